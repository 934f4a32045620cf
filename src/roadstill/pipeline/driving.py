"""The stage that drives: the agents of a recipe in a closed loop, and what comes of it."""

from roadstill.agents import train_agent
from roadstill.driving.closed_loop import scenarios_of
from roadstill.driving.deciding import GUARDS
from roadstill.driving.film import write_films
from roadstill.driving.judging import DrivingComparison, compare_drives
from roadstill.driving.sessions import Entrant, drive_all
from roadstill.parallel import Workers
from roadstill.pipeline.jobs import do_all
from roadstill.pipeline.measuring import lesson_inputs, lesson_of
from roadstill.pipeline.road import Road
from roadstill.runs import Stage, plain, write_json
from roadstill.world.logs import write_world

FOLDER = "drives"


def drive(road: Road, workers: Workers) -> DrivingComparison | None:
    """Trains the agents again that drive, drives all scenarios with each, and judges; None if the recipe drives not."""
    recipe, asked = road.recipe, road.recipe.drive
    if asked is None:
        return None
    folder, kind = road.folder / FOLDER, asked.world
    stage = road.stage("drive-world", kind, product=[f"{FOLDER}/world"])
    if not stage.done:
        stage.begin()
        write_world(folder / "world", **vars(kind))
        stage.finish()
    names = asked.arms or tuple(recipe.arms)
    entrants, wanted = [], list[tuple[str, int, Stage]]()
    for name, _, seed in road.runs():
        if name in names and seed < asked.seeds:
            agent, product = recipe.agent_for(name), f"{FOLDER}/agents/{name}/seed{seed}"
            inputs, config = lesson_inputs(road, name, seed, agent), {"agent": agent, "seed": seed}
            job = road.stage(f"driver-{name}-{seed}", config, *inputs, product=[product], later=True)
            wanted += [] if job.done else [(name, seed, job)]
            entrants.append(Entrant(name, seed, road.folder / product))
    do_all(road, workers, [(train_driver, *job) for job in wanted])
    entrants += [Entrant(name) for name in GUARDS]
    scenarios = scenarios_of(folder / "world", asked.scenarios, seconds=asked.seconds)
    found = drive_all(entrants, scenarios, folder / "outcomes", driver=asked.driver, workers=road.workers, say=road.say)
    bounds = [*(name for name in names if recipe.arms[name].whole), *GUARDS]
    comparison = compare_drives(found, baseline=recipe.baseline, bounds=bounds)
    labels = {name: recipe.arms[name].label for name in names} | {name: name for name in GUARDS}
    write_json(road.folder / "drives.json", {**plain(comparison), "labels": labels, "synthetic": True})
    small = [each for each in entrants if each.arm not in (*bounds, recipe.baseline)]
    if small:
        write_films(small[-asked.seeds :], found, scenarios, folder, driver=asked.driver)
    return comparison


def train_driver(road: Road, name: str, seed: int) -> None:
    """One agent, as `train_one_agent` trains it, kept in a folder."""
    config = road.recipe.agent_for(name)
    images = lesson_of(road, name, seed, config)
    agent = train_agent(images, config=config, seed=seed, cache=road.agent_cache)
    agent.save(road.folder / FOLDER / "agents" / name / f"seed{seed}")
