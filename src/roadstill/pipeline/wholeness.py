"""Whether a run folder is whole: every stage of its recipe, every record and chain; and what makes it whole again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.evaluation import LEDGER, RECORDS, chain, read_book, read_ledger, unentered
from roadstill.parallel import Workers
from roadstill.pipeline import make_data, make_rest, require_data, run_recipe
from roadstill.pipeline.products import Work
from roadstill.pipeline.road import Road, silent
from roadstill.recipes import read_recipe
from roadstill.runs import hold, require_folder


@dataclass(frozen=True)
class Finding:
    """Something that is damaged or missing.

    Attributes:
        place: name of the stage, or of the file.
        says: what is wrong with it.
        mendable: whether the same recipe makes it again.
    """

    place: str
    says: str
    mendable: bool = True

    def __str__(self) -> str:
        return f"{self.place}: {self.says}"


class Survey(Road):
    """A road on which every stage counts as done, so that nothing is made, and all of them come to be known."""

    def stage(self, name: str, config: Any, *inputs: str, product: Sequence[str] = (), later: bool = False) -> Work:
        """The stage of this name, which says that it is done."""
        found = self.work(name, config, *inputs, product=product)
        return _Passed(found.folder, config, found.inputs, product=found.product, run=found.run)


class _Passed(Work):
    @property
    def done(self) -> bool:
        """True, so that nothing is made."""
        return True


def runs_in(folder: Path) -> list[Path]:
    """The run folder itself; of a study, the run folders in it.

    Raises:
        UserError: no such folder, or none of the two.
    """
    require_folder(folder, "a run folder (made by run or demo), or a study")
    if (folder / "recipe.yaml").is_file() or (folder / "stages").is_dir():
        return [folder]
    found = sorted(path.parent for path in folder.glob("*/recipe.yaml"))
    if not found:
        raise UserError(f"{folder} holds no run (there is no recipe.yaml); give the folder that run or demo made")
    return found


def examine(folder: Path) -> list[Finding]:
    """Everything in a run folder that is damaged or missing; every byte that a digest was recorded of is read.

    Raises:
        UserError: another process is writing it.
    """
    with hold(folder):
        return _stages(folder) + _records(folder) + _ends(folder)


def mend(folder: Path, *, say: Callable[[str], None] = silent, workers: int = 2) -> list[Finding]:
    """Makes again what is damaged or missing, by the run's own recipe, and says what is not as it was afterwards.

    Raises:
        UserError: as `run_recipe`; the recipe cannot be read.
    """
    before = {path.parent.name: _noted(path.parent) for path in sorted(folder.glob("stages/*/stage.json"))}
    run_recipe(read_recipe(str(folder / "recipe.yaml")), folder, say=say, workers=workers, deep=True)
    found = examine(folder)
    for name, files in before.items():
        now = _noted(folder / "stages" / name)
        for file, noted in files.items():
            if now.get(file) != noted:
                found.append(Finding(file, "was made again, but is not as it was", mendable=False))
    return found


def _stages(folder: Path) -> list[Finding]:
    try:
        recipe = read_recipe(str(folder / "recipe.yaml"))
        require_data(recipe)
        road = Survey(recipe, folder)
        make_data(road)
        make_rest(road, Workers(1, road))
    except UserError as error:
        return [Finding("recipe.yaml", str(error), mendable=False)]
    found = []
    for name, work in road.stages.items():
        place = f"stage {name}"
        if work.record is None:
            state = "its record is damaged" if (work.folder / "stage.json").exists() else "not made"
            found.append(Finding(place, state))
        elif not work.is_recorded:
            found.append(Finding(place, "made with other settings than recipe.yaml has", mendable=False))
        else:
            found += [Finding(place, said) for said in work.damage(deep=True)]
    return found


def _records(folder: Path) -> list[Finding]:
    """Chains that are broken, and files that are not as they were entered; no recipe makes a chain again."""
    try:
        book = read_book(folder / RECORDS)
        found = [Finding(RECORDS, said, mendable=False) for said in book.broken]
        found += [Finding(name, "changed after it was written") for name in book.changed]
        found += [Finding(name, "missing, but in the book of records") for name in book.removed]
        if unknown := unentered(folder, book):
            found.append(Finding(RECORDS, f"{len(unknown)} of the run's records are not in it, the first {unknown[0]}"))
        read_ledger(folder / LEDGER)
        found += [Finding(LEDGER, said, mendable=False) for said in chain.read(folder / LEDGER).faults]
    except UserError as error:
        found = [Finding("records", str(error), mendable=False)]
    return found


def _ends(folder: Path) -> list[Finding]:
    """Files that every finished run has at its end."""
    wanted = ["report.html"] if list(folder.glob("comparison*.json")) else ["comparison.json", "report.html"]
    return [Finding(name, "missing") for name in wanted if not (folder / name).is_file()]


def _noted(stage: Path) -> dict[str, Any]:
    try:
        return dict(Work(stage, None).noted())
    except UserError:
        return {}
