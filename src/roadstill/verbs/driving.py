"""The verb that drives."""

from pathlib import Path
from typing import TYPE_CHECKING

from roadstill.driving.plan import Driver
from roadstill.errors import UserError
from roadstill.runs import holding, plain, require_folder, require_own, write_json

if TYPE_CHECKING:
    from roadstill.driving.sessions import Entrant


@holding()
def drive(
    world: Path,
    out: Path,
    *,
    agents: list[Path] | None = None,
    baseline: str | None = None,
    scenarios: int = 100,
    seconds: float = 30.0,
    driver: Driver = Driver(brake_mps2=3.5, jerk_mps3=6.0),  # noqa: B008  frozen; the command line shows its fields
    workers: int = 2,
) -> str:
    """Lets agents drive in a built-in world, in a closed loop: what they decide changes what they see.

    Beside them drive those who always brake, who never do, and an oracle that is told what the world's own driver
    wants; if the first two score well or the last one badly, the scenarios measure nothing. Needs the extra map.

    Args:
        world: built-in world, made by world with another seed than the agents' pictures; it needs no pictures.
        out: folder to make: outcomes, drives.json, report.html, and a film of a success and of a failure.
        agents: agents made by train; or folders of several, one for each seed, which count as one arm.
        baseline: name of the arm that the others are compared with, of at least 3 seeds each.
        scenarios: number of logs that are driven.
        seconds: length of each drive.
        driver: how decisions are carried out.
        workers: processes.
    """
    from roadstill.driving.closed_loop import scenarios_of
    from roadstill.driving.deciding import GUARDS
    from roadstill.driving.film import write_films
    from roadstill.driving.judging import compare_drives
    from roadstill.driving.sessions import Entrant, drive_all
    from roadstill.report import write_report

    require_own(out, "drives.json")
    require_folder(world, "a built-in world, made by roadstill world")
    entrants = [each for path in agents or [] for each in _entrants(path)]
    if twice := {each.arm for each in entrants if sum((each.arm, each.seed) == (o.arm, o.seed) for o in entrants) > 1}:
        raise UserError(f"two agents would be the arm {min(twice)!r}; rename a folder, or put them into one")
    entrants += [Entrant(name) for name in GUARDS]
    chosen = scenarios_of(world, scenarios, seconds=seconds)
    found = drive_all(entrants, chosen, out / "outcomes", driver=driver, workers=workers)
    bounds = list(GUARDS)
    comparison = compare_drives(found, baseline=baseline, bounds=bounds)
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
