"""Verbs that run the whole pipeline: demo, run, study, report."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from roadstill.errors import PartlyDone, UserError
from roadstill.runs.progress import say


def demo(
    out: Path = Path("runs/demo"),
    *,
    size: Literal["toy", "full"] | None = None,
    seeds: int | None = None,
    workers: int = 2,
) -> str:
    """Runs the whole pipeline on the built-in synthetic world: data, distilled sets, verdict, report.

    Args:
        out: run folder; what is already there is not made again.
        size: size of the run: toy takes a minute and only shows that it works; full has more drives, arms and seeds,
            and takes half an hour.
        seeds: number of paired seeds instead of the recipe's.
        workers: number of processes.
    """
    return run("demo", out=out, size=size, seeds=seeds, workers=workers)


def run(
    recipe: str,
    *,
    out: Path | None = None,
    size: Literal["toy", "small", "full"] | None = None,
    seeds: int | None = None,
    data: str | None = None,
    workers: int = 2,
    allow_leak: bool = False,
    reserved: int | None = None,
) -> str:
    """Runs a recipe: all verbs in order, skipping what is already on disk.

    Args:
        recipe: name of a shipped recipe, or a YAML file.
        out: run folder; runs/<name> if not given.
        size: size of the run, toy, small or full, where the recipe has it.
        seeds: number of paired seeds instead of the recipe's.
        data: folder of NAVSIM logs and sensors, or whatever the recipe's ``source`` reads, instead of the recipe's.
        workers: number of processes.
        allow_leak: whether a train part that shares a log, a time of a drive, a frame or a picture with the test part
            is judged all the same; the report says so.
        reserved: seed of a reserved world, 9000 or above, for the one confirmation of what was developed on others: it
            has two towns more. The ledger records it.
    """
    from roadstill.pipeline import run_recipe
    from roadstill.protocols import PROTOCOLS
    from roadstill.recipes import read_recipe
    from roadstill.report.verdicts import comparisons
    from roadstill.verbs.judge import table

    chosen = read_recipe(recipe, size, **_given(seeds=seeds, data=data))
    if reserved is not None:
        if data is not None:
            raise UserError("--reserved names a built-in world, and --data other data; leave one out")
        chosen = replace(chosen, world=chosen.world.confirming(reserved))
    folder = _folder(out, chosen.name if reserved is None else f"{chosen.name}-{reserved}", size)
    found = run_recipe(chosen, folder, say=say, workers=workers, allow_leak=allow_leak)
    titles = [shown["title"] for shown in comparisons(folder) or []]
    source = chosen.pictures
    tables = "\n\n".join(
        f"{title}\n{table(comparison)}" if len(found) > 1 else table(comparison)
        for title, comparison in zip(titles, found, strict=True)
    )
    if chosen.judged_on == "dev":
        source += ", measured on dev to choose: no result"
    says = f"Protocol {chosen.protocol}: {PROTOCOLS[chosen.protocol].says}."
    return f"{tables}\n{says}\nAll figures are from {source}.\n{folder / 'report.html'}"


def study(
    name: str,
    *,
    out: Path | None = None,
    size: Literal["toy", "small", "full"] | None = None,
    seeds: int | None = None,
    data: str | None = None,
    workers: int = 2,
    allow_leak: bool = False,
) -> str:
    """Runs the recipes of a study and puts the results into one table beside the thesis' figures.

    Args:
        name: name of a shipped recipe, or the beginning of several recipes' names, such as thesis-table-4.2; or a YAML
            file.
        out: folder of the study; runs/<name> if not given. A second call resumes there.
        size: size of the runs, toy, small or full, where the recipes have it.
        seeds: number of paired seeds instead of the recipes'.
        data: folder of NAVSIM logs and sensors, or whatever the recipes' ``source`` reads, instead of the recipes'.
        workers: number of processes.
        allow_leak: as for run.
    """
    from roadstill.pipeline.studies import recipes_of, run_study

    recipes = recipes_of(name, size, **_given(seeds=seeds, data=data))
    folder = _folder(out, Path(name).stem if Path(name).is_file() else name, size)
    run_study(recipes, folder, say=say, workers=workers, allow_leak=allow_leak)
    return f"{(folder / 'study.md').read_text(encoding='utf-8')}{folder / 'study.md'}"


def report(run: Path) -> str:
    """Writes report.html of a run folder.

    Parts that cannot be read are named on the page and on the last line, and the exit code is 3.

    Args:
        run: folder made by run or demo.
    """
    from roadstill.runs import hold, require_folder

    require_folder(run, "a run folder, made by run or demo")  # before what takes seconds to import
    from roadstill.report import write_report

    with hold(run / "report.html"):  # not the folder: a report may be written while the run goes on
        lacks: list[str] = []
        page = write_report(run, say=lacks.append)
    if lacks:
        more = f" and {len(lacks) - 1} more" if len(lacks) > 1 else ""
        raise PartlyDone(str(page), f"{lacks[0]}{more}")
    return str(page)


def _given(**options: Any) -> dict[str, Any]:
    """The options that the user gave, which replace a recipe's fields."""
    return {name: value for name, value in options.items() if value is not None}


def _folder(out: Path | None, name: str, size: str | None) -> Path:
    """Where a run or a study goes.

    Raises:
        UserError: a file is in the way.
    """
    folder = out or Path("runs") / (name if size is None else f"{name}-{size}")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder with --out")
    return folder
