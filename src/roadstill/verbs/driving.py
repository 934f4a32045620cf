"""The verb that drives."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from roadstill.driving.plan import IN_TRAFFIC, Driver
from roadstill.errors import UserError
from roadstill.runs import atomic_path, holding, plain, require_file, require_folder, require_own, write_json
from roadstill.runs.progress import track

if TYPE_CHECKING:
    from roadstill.driving.sessions import Entrant

_SHOWN = 8  # scenes of logs of which pictures are kept


@holding()
def drive(
    world: Path,
    out: Path,
    *,
    agents: list[Path] | None = None,
    baseline: str | None = None,
    scenarios: int = 100,
    seconds: float = 30.0,
    replay: bool = False,
    every: int = 14,
    sensors: Path | None = None,
    maps: Path | None = None,
    route: str | None = None,
    driver: Driver = IN_TRAFFIC,
    workers: int = 2,
) -> str:
    """Lets agents drive in a built-in world, in a closed loop: what they decide changes what they see.

    Beside them drive those who always brake, who never do, and an oracle that is told what the world's own driver
    wants; if the first two score well or the last one badly, the scenarios measure nothing. With replay agents drive
    beside logs instead, as NAVSIM judges: nobody reacts. On a map alone (.osm of Lanelet2, .gpkg of nuPlan) a car
    drives along a route by itself. Needs the extra map.

    Args:
        world: built-in world, made by world with another seed than the agents' pictures; it needs no pictures. With
            replay any folder of NAVSIM logs, with pictures and maps. Or a map.
        out: folder to make: drives.json, report.html and films; with replay replays.json and pictures of scenes; on a
            map drive.csv and pictures from above.
        agents: agents made by train; or folders of several, one for each seed, which count as one arm.
        baseline: name of the arm that the others are compared with, of at least 3 seeds each.
        scenarios: number of logs that are driven; with replay number of scenes.
        seconds: length of each drive; with replay it is 4.
        replay: whether agents drive beside logs.
        every: frames from one scene of a log to the next, with replay.
        sensors: folder of the pictures, if it is not beside the logs, with replay.
        maps: folder of nuPlan's maps, if it is not beside the logs, with replay.
        route: ids of blocks (lanelets of Lanelet2's maps) with commas between, on a map: the first, the last, and any
            of those between.
        driver: how decisions are carried out.
        workers: processes.
    """
    from roadstill.driving.closed_loop import scenarios_of
    from roadstill.driving.deciding import GUARDS
    from roadstill.driving.film import write_films
    from roadstill.driving.judging import compare_drives
    from roadstill.driving.sessions import Entrant, drive_all
    from roadstill.report import write_report

    if world.suffix in (".osm", ".gpkg"):
        require_own(out, "drive.csv")
        return _alone(world, out, (route or "").split(","), driver, seconds)
    require_folder(world, "a built-in world, made by roadstill world, or logs")
    entrants = [each for path in agents or [] for each in _entrants(path)]
    if twice := {each.arm for each in entrants if sum((each.arm, each.seed) == (o.arm, o.seed) for o in entrants) > 1}:
        raise UserError(f"two agents would be the arm {min(twice)!r}; rename a folder, or put them into one")
    if replay:
        require_own(out, "replays.json")
        return _replayed(world, out, entrants, driver, every=every, most=scenarios, sensors=sensors, maps=maps)
    require_own(out, "drives.json")
    entrants += [Entrant(name) for name in GUARDS]
    chosen = scenarios_of(world, scenarios, seconds=seconds)
    found = drive_all(entrants, chosen, out / "outcomes", driver=driver, workers=workers)
    comparison = compare_drives(found, baseline=baseline, bounds=list(GUARDS))
    write_films(
        [each for each in entrants if each.agent] or entrants[-1:], found, chosen, out / "drives", driver=driver
    )
    write_json(out / "drives.json", {**plain(comparison), "synthetic": True})
    write_report(out)
    lines = [f"{'driven by':<24} score   progress   collisions   red lights   comfortable"]
    for name, arm in comparison.arms.items():
        shares = (arm.progress, arm.collisions, arm.red_lights, arm.comfortable)
        cells = "   ".join(f"{100 * share.mean:8.1f}" for share in shares)
        lines.append(f"{name:<24} {100 * arm.score.mean:5.1f}   {cells}")
    lines += [verdict.sentence for verdict in comparison.verdicts.values()]
    return "\n".join(
        [*lines, f"{len(chosen)} scenarios of the built-in world, synthetic, in %", str(out / "report.html")]
    )


def _entrants(path: Path) -> "list[Entrant]":
    """One agent, or those of an arm: subfolders that hold one each, in their order."""
    from roadstill.driving.sessions import Entrant

    if (path / "agent.json").is_file():
        return [Entrant(path.resolve().name, 0, path)]
    several = sorted(folder.parent for folder in path.glob("*/agent.json"))
    if not several:
        raise UserError(f"{path} holds no agent; name a folder that roadstill train made, or one of several of them")
    return [Entrant(path.resolve().name, seed, folder) for seed, folder in enumerate(several)]


def _replayed(
    data: Path, out: Path, entrants: "list[Entrant]", driver: Driver, *, every: int, most: int, sensors: Path | None,
    maps: Path | None,
) -> str:  # fmt: skip
    from roadstill.driving.replays import TERMS, Logs, replays, table_of
    from roadstill.driving.sessions import Entrant, decide_of
    from roadstill.sources.navsim.logs import find_data

    found = find_data(data)
    where = Logs(found.logs, sensors or found.sensors or found.logs, maps or data / "maps")
    deciders = {f"{each.arm}-{each.seed}": decide_of(each, driver) for each in entrants}
    deciders |= {name: decide_of(Entrant(name), driver) for name in ("always-brake", "never-brake")}
    notes: list[str] = []
    scenes = replays(where, deciders, driver=driver, every=every, most=most, shows=_SHOWN, skipped=notes.append)
    made = list(track(scenes, "scenes", total=most))
    table = table_of(made)
    out.mkdir(parents=True, exist_ok=True)
    for each in made:
        if each.shown is not None:
            with atomic_path(out / f"{each.log}-{each.position:04d}.png") as path:
                Image.fromarray(each.shown).save(path, "PNG")
    write_json(out / "replays.json", {"scenes": len(made), "drives": table, "skipped": notes})
    heads = {"no_collision": "no collision", "drivable": "on the road", "keeps_away": "keeps away",
             "lane_keeping": "lane", "pdm_like": "PDM-like"}  # fmt: skip
    lines = [f"{'driven by':<20} " + " ".join(f"{heads.get(name, name):>12}" for name in TERMS)]
    lines += [f"{who:<20} " + " ".join(f"{means[name]:12.3f}" for name in TERMS) for who, means in table.items()]
    lines += [f"{len(notes)} scenes or logs were skipped; the first: {notes[0]}"] if notes else []
    return "\n".join([*lines, f"{len(made)} scenes of 4 s, nobody reacts; PDM-like is not NAVSIM's score", str(out)])


def _alone(path: Path, out: Path, route: list[str], driver: Driver, seconds: float) -> str:
    import csv

    from roadstill.driving.alone import drive_along, from_above, line_of
    from roadstill.driving.maps import open_map

    if len(route) < 2:
        raise UserError(f"{path} is a map; name the first and the last block of a way, as --route 1100,1104")
    road = open_map(require_file(path, "a map, of Lanelet2 (.osm) or nuPlan (.gpkg)"))
    line = line_of(road, route)
    motion = drive_along(line, driver, seconds=seconds)
    count = len(motion.x_m)
    out.mkdir(parents=True, exist_ok=True)
    for at in range(0, count, 50):
        with atomic_path(out / f"{at // 10:03d}s.png") as picture:
            Image.fromarray(from_above(road, line, motion, at)).save(picture, "PNG")
    with atomic_path(out / "drive.csv") as table, table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time_s", *motion._fields])
        writer.writerows([f"{0.1 * at:.1f}", *(f"{value[at]:.4f}" for value in motion)] for at in range(count))
    way_m, most_mps = float(line.project(motion.poses[-1, :2])), motion.speed_mps.max()
    way = f"{way_m:.0f} m of {line.length_m:.0f} m over {len(line.lanes)} lanes"
    return f"{out}: {way} in {(count - 1) / 10:.1f} s, at most {most_mps:.1f} m/s"
