"""Records of sets and all that judging reads, of any bytes: they end in a value or in one line."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

from targets import Target, check_line


def _set(folder: Path) -> None:
    from roadstill.imagesets import open_imageset

    images = open_imageset(folder / "set")
    images.footprint.as_record()
    images.twins()
    images.pixels()


def _run(folder: Path) -> None:
    from roadstill.evaluation import open_run
    from roadstill.evaluation.summary import summarise

    run = open_run(folder / "runs" / "other-0")
    summarise(run.arm, [run])


def _report(folder: Path) -> None:
    from roadstill.report.verdicts import comparisons

    comparisons(folder / "run")


def _ledger(folder: Path) -> None:
    from roadstill.evaluation import read_ledger

    read_ledger(folder / "run" / "test_ledger.jsonl")


def _book(folder: Path) -> None:
    from roadstill.evaluation import read_book

    book = read_book(folder / "runs" / "records.jsonl")
    for said in book.broken:
        check_line(said)


def _stage(folder: Path) -> None:
    from roadstill.pipeline.products import Work

    work = Work(folder / "run" / "stages" / "sets", None, product=("sets",), run=folder / "run")
    for said in work.damage(deep=True):
        check_line(said)


READERS: Mapping[str, Callable[[Path], None]] = {
    "set/set.json": _set,
    "set/metadata.jsonl": _set,
    "runs/other-0/run.json": _run,
    "runs/records.jsonl": _book,
    "run/comparison.json": _report,
    "run/test_ledger.jsonl": _ledger,
    "run/stages/sets/stage.json": _stage,
}


@cache
def whole(folder: Path) -> dict[str, bytes]:
    """Makes whole products below a folder; the bytes of each file that is fuzzed."""
    from made import picture_set, runs_of_two_arms, tiny_run, unseal_all

    picture_set(folder / "set", 4, px=8)
    runs_of_two_arms(folder / "runs")
    tiny_run(folder)
    for name in ("sets/train", "sets/dev", "arms", "figures"):  # the page's pictures would take most of the time
        shutil.rmtree(folder / "run" / name, ignore_errors=True)
    unseal_all(folder)
    return {file: (folder / file).read_bytes() for file in READERS}


def read(data: bytes, folder: Path) -> None:
    """Reads one file with these bytes in it; the first chooses which one.

    Raises:
        Exception: anything but a line for the user.
    """
    file = list(READERS)[data[0] % len(READERS)] if data else "set/set.json"
    read_file(file, data[1:], folder)


def read_file(file: str, data: bytes, folder: Path) -> None:
    """Reads one file with these bytes in it, as `read`."""
    from roadstill.errors import UserError

    before = whole(folder)[file]
    (folder / file).write_bytes(data)
    try:
        READERS[file](folder)
    except UserError as error:
        check_line(str(error))
    finally:
        (folder / file).write_bytes(before)


def seeds(folder: Path) -> Iterator[bytes]:
    """The whole products' files, each after the number of its reader."""
    return (bytes([number]) + data for number, data in enumerate(whole(folder).values()))


# Drawing a page's figures takes a while.
TARGET = Target(seeds, read, rooms=("runs", "imagesets", "evaluation"), most_bytes=16384, most_seconds=60)
