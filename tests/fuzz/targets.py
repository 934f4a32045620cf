"""What is fuzzed; ``run.py`` fuzzes it by coverage, `test_findings` reads the seeds and what was found once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """One reader of strangers' files.

    Attributes:
        seeds: makes good inputs, and whatever else is needed below a folder.
        read: reads one input below that folder; raises anything but what becomes a line for the user.
        rooms: parts of the package whose branches are counted.
        most_bytes: length of the longest input.
        most_seconds: after so long an input hangs.
    """

    seeds: Callable[[Path], Iterable[bytes]]
    read: Callable[[bytes, Path], None]
    rooms: tuple[str, ...]
    most_bytes: int = 4096
    most_seconds: int = 10


def check_line(said: str) -> None:
    """Asserts that a message is one line that a terminal shows as it is."""
    assert said.isprintable(), ascii(said)
    assert len(said) < 2000, said


def all_targets() -> dict[str, Target]:
    """Every target by its name."""
    import fuzz_checkpoints
    import fuzz_csv
    import fuzz_pickles
    import fuzz_recipes
    import fuzz_sets

    return {
        **fuzz_pickles.TARGETS,
        "checkpoints": fuzz_checkpoints.TARGET,
        "csv": fuzz_csv.TARGET,
        "recipes": fuzz_recipes.TARGET,
        "sets": fuzz_sets.TARGET,
    }
