"""The stages that make small sets, one per arm and seed: picked or generated, chosen among candidates, refined."""

from pathlib import Path
from typing import Any, Literal

from roadstill.agents import AgentConfig
from roadstill.distil.refine import refine
from roadstill.generator.checkpoints import load_denoiser
from roadstill.generator.generate import generate
from roadstill.imagesets import ImageSet
from roadstill.parallel import Workers
from roadstill.pipeline.distilled import distil_set, distilled_with, experts_of
from roadstill.pipeline.jobs import Job, do_all
from roadstill.pipeline.road import Road
from roadstill.recipes import Arm
from roadstill.recipes.arms import MADE
from roadstill.selection import Picker, make_selector, needs, pick


def make_small_sets(road: Road, workers: Workers) -> None:
    """Every arm's set for every seed, a fresh draw or a fresh generation each; fewer where an arm says so."""
    recipe = road.recipe
    jobs: list[Job] = []
    for name, arm, seed in road.runs():
        if arm.whole or road.set_of(name, seed) != seed:
            continue
        generated = arm.kind == "generated"
        tuned = name if arm.finetune else arm.of
        inputs = ["sets"] + (["encode"] if generated else []) + ([f"finetune-{tuned}"] if tuned else [])
        inputs += ["teacher"] if needs_teacher(arm, recipe.features) else []
        config: dict[str, Any] = {"kind": arm.kind, "per_class": road.per_class(name), "seed": seed}
        config |= looked_at(road, arm) | picked_with(arm)
        if arm.distil:
            config |= distilled_with(road, name)
            inputs += experts_of(road, name)
        if arm.refine:
            config |= {"refine": arm.refine, "agent": recipe.agent}
            config |= {"codec": recipe.codec, "decoder": recipe.decoder}
            config |= {"base": road.base_digest} if arm.refine.score else {}
        if generated:
            config |= {"sampling": arm.sampling or recipe.sampling, "base": road.base_digest}
            config |= {
                "start": arm.start,
                "guided": arm.guided,
                "candidates": arm.candidates,
                "choose": arm.choose,
                "decoder": recipe.decoder,
            }
        stage = road.stage(f"set-{name}-{seed}", config, *inputs, product=[f"arms/{name}/seed{seed}"], later=True)
        jobs += [] if stage.done else [(make_small_set, name, seed, stage)]
    jobs.sort(key=lambda job: recipe.arms[job[1]].refine is None)  # the longest first, as with agents
    do_all(road, workers, jobs)


def make_small_set(road: Road, name: str, seed: int) -> None:
    """One arm's set for one seed: picked or generated, chosen from among candidates, refined."""
    recipe, arm, train = road.recipe, road.recipe.arms[name], road.split("train")
    out, per_class = road.folder / "arms" / name / f"seed{seed}", road.per_class(name)
    drawn = road.folder / "candidates" / name / f"seed{seed}" if arm.candidates > 1 or arm.refine else out
    if arm.distil:
        made = distil_set(road, name, seed, drawn, lambda which: _selector(road, which, None))
    elif arm.kind != "generated":
        made = pick(train, _selector(road, arm.kind, arm.settings), per_class=per_class, seed=seed, out=drawn)
    else:
        made = _generate_set(road, name, seed, drawn)
    if arm.candidates > 1:
        among = _selector(road, arm.choose, arm.choose_settings, among="candidates")
        made = pick(made, among, per_class=per_class, seed=seed, out=out)
    if arm.refine:
        refine(
            made,
            train,
            road.codec,
            agent=recipe.agent,
            config=arm.refine,
            seed=seed,
            out=out,
            cache=road.agent_cache,
            base=load_denoiser(road.base) if arm.refine.score else None,
            dev=road.split("dev") if arm.refine.looks else None,
        )
    elif made.root != out:
        made.save(out)


def _generate_set(road: Road, name: str, seed: int, out: Path) -> ImageSet:
    """What an arm's generator draws for one seed, all candidates of it."""
    recipe, arm, train = road.recipe, road.recipe.arms[name], road.split("train")
    tuned = name if arm.finetune else arm.of
    count = road.per_class(name) * arm.candidates
    start = None
    if arm.start:
        begins = _selector(road, arm.start, arm.start_settings)
        start = pick(train, begins, per_class=count, seed=seed, out=out)
    return generate(
        load_denoiser(road.folder / "finetune" / tuned if tuned else road.base),
        road.codec,
        class_names=train.class_names,
        per_class=count,
        seed=seed,
        config=arm.sampling or recipe.sampling,
        out=out,
        start=start,
        teacher=road.teacher if arm.guided else None,
    )


def _selector(
    road: Road, name: str, settings: dict[str, Any] | None, among: Literal["frames", "candidates"] = "frames"
) -> Picker:
    """What picks images, by its name in a recipe; candidates are held against the real frames."""
    real = {"reference": lambda: road.split("train")} if among == "candidates" else {}
    return make_selector(name, road.tools | real, settings)


def picked_with(arm: Arm) -> dict[str, Any]:
    """The settings of an arm's selectors, as far as a recipe gives some: stages without any keep their digests."""
    given = {
        "settings": arm.settings,
        "start_settings": arm.start_settings,
        "choose_settings": arm.choose_settings,
    }
    return {name: settings for name, settings in given.items() if settings}


def looked_at(road: Road, arm: Arm) -> dict[str, Any]:
    """What an arm's selectors look at besides the teacher, so that other settings make other sets."""
    recipe, wanted = road.recipe, {need for name in arm.picks for need in needs(name)}
    found: dict[str, Any] = {"student": recipe.agent} if "student" in wanted else {}
    if "forgetting" in wanted:
        found["watched"] = recipe.full_agent
    if "features" in wanted and recipe.features != "agent":
        found["features"] = recipe.features
        if recipe.features == "dit":
            found |= {"base": road.base_digest, "codec": recipe.codec}
    return found


def needs_teacher(arm: Arm, features: str) -> bool:
    """Whether a trained agent chooses or leads an arm's images; ``features`` names the recipe's feature network."""
    wanted = {need for name in arm.picks for need in needs(name)}
    return arm.guided or "predict" in wanted or (features == "agent" and "features" in wanted)


def asks_teacher(arm: Arm, agent: AgentConfig) -> bool:
    """Whether a teacher says what an agent learns: soft labels, or the numbers that generated pictures do not have."""
    return agent.labels == "soft" or (agent.target != "class" and arm.kind in MADE)
