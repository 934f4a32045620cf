"""The stages that train agents and measure them."""

from typing import Any

from roadstill.agents import AgentConfig, soften, train_agent
from roadstill.evaluation import LEDGER, evaluate, note_outcome, open_test, run_of, set_bytes
from roadstill.evaluation.leaks import check_leak
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.parallel import Workers
from roadstill.pipeline.jobs import do_all
from roadstill.pipeline.road import Road, runs_folder
from roadstill.pipeline.small_sets import asks_teacher
from roadstill.protocols import PROTOCOLS
from roadstill.runs import Stage


def train_agents(road: Road, workers: Workers) -> None:
    """Trains one agent per arm and seed, measures it on dev and, through one audited opening, on test."""
    recipe = road.recipe
    names = ["dev"] if "dev" in PROTOCOLS[recipe.protocol].shares(recipe.index.shares) else []
    names += ["test"] if recipe.judged_on == "test" else []
    wanted: list[tuple[str, int, str | None, Stage]] = []
    for name, _, seed in road.runs():
        for other in (None, *recipe.others):
            agent = recipe.agent_for(name, other)
            config = {"agent": agent, "seed": seed, "protocol": recipe.protocol, "looks": recipe.looks}
            if recipe.judged_on == "dev":  # the same folder judged on test later lacks the runs on test
                config["judged_on"] = "dev"
            inputs = lesson_inputs(road, name, seed, agent)
            named = name if other is None else f"{name}+{other}"
            runs = [f"{runs_folder(other)}/{part}/{name}/seed{seed}" for part in names]
            stage = road.stage(f"agent-{named}-{seed}", config, *inputs, product=runs, later=True)
            wanted += [] if stage.done else [(name, seed, other, stage)]
    if not wanted:
        return
    what = f"{len(wanted)} agents of recipe {recipe.name}, protocol {recipe.protocol}"
    if recipe.world.reserved:
        what += f"; confirmation on the reserved world {recipe.world.seed}"
    ledger = road.folder / LEDGER
    parts = {name: road.split(name) for name in names}
    if "test" in parts:
        parts["test"] = open_test(parts["test"], ledger=ledger, config=recipe, what=what, allow_leak=road.allow_leak)
    # The longest jobs first, so that no worker waits for one at the end.
    wanted.sort(key=lambda job: not recipe.arms[job[0]].whole)
    jobs = [(train_one_agent, name, seed, other, parts, stage) for name, seed, other, stage in wanted]
    do_all(road, workers, jobs)
    if "test" in parts:
        note_outcome(parts["test"], ledger=ledger, outcome=f"{len(wanted)} agents measured")


def require_apart(road: Road) -> None:
    """Refuses, before hours of work, a train part that shares something with the test part that will judge.

    Each agent's own set is looked at when it is evaluated.

    Raises:
        UserError: they share a log, a time of a drive, a frame or a picture.
    """
    if road.recipe.judged_on == "test":
        train = road.split("train").footprint
        check_leak(train, road.split("test"), f"recipe {road.recipe.name}", allow=road.allow_leak)


def lesson_inputs(road: Road, name: str, seed: int, agent: AgentConfig) -> list[str]:
    """Names of the stages that what `lesson_of` gives depends on."""
    arm = road.recipe.arms[name]
    inputs = ["sets"] if arm.whole else ["sets", f"set-{name}-{road.set_of(name, seed)}"]
    return [*inputs, "teacher"] if asks_teacher(arm, agent) else inputs


def lesson_of(road: Road, name: str, seed: int, config: AgentConfig) -> ImageSet:
    """The set that an arm's agent of a seed learns from, with what a teacher says if one is asked."""
    arm = road.recipe.arms[name]
    small = road.folder / f"arms/{name}/seed{road.set_of(name, seed)}"
    images = road.split("train") if arm.whole else open_imageset(small)
    return soften(images, road.teacher) if asks_teacher(arm, config) else images


def train_one_agent(road: Road, name: str, seed: int, other: str | None, parts: dict[str, ImageSet]) -> None:
    """One agent, measured on all parts: after its last step, and at the step that its protocol would choose."""
    recipe, protocol = road.recipe, PROTOCOLS[road.recipe.protocol]
    config = recipe.agent_for(name, other)
    images = lesson_of(road, name, seed, config)
    about: dict[str, Any] = {"set": images.digest, "num_images": len(images), "steps": config.num_steps(len(images))}
    agent = train_agent(
        images,
        config=config,
        seed=seed,
        cache=road.agent_cache,
        dev=parts[protocol.watched],
        looks=recipe.looks,
        peek=protocol.watched == "test",
        plateau=protocol.plateau,
    )
    assert agent.chosen
    about["bytes"] = set_bytes(images, config.labels).total
    dev = evaluate(agent, parts["dev"]) if "dev" in parts else None
    for part, pictures in parts.items():
        found = dev if part == "dev" and dev else evaluate(agent, pictures)
        more: dict[str, Any] = {}
        if part == recipe.judged_on:
            step = agent.chosen.about["chosen_step"]
            best = found if step == about["steps"] else evaluate(agent.chosen, pictures)
            more["chosen"] = {"step": step, "accuracy": best.accuracy, "balanced_accuracy": best.balanced_accuracy}
        run = run_of(name, seed, found, pictures, dev=dev, **about, **more)
        run.save(road.folder / runs_folder(other) / part / name / f"seed{seed}")
