"""What the sets of a run cost: minutes, told apart by what is done once and what is done for every set and agent."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from roadstill.report.records import REMEDY, StageRecord
from roadstill.runs import read_record

_SHARED = ("sets",)  # what all arms need, with all that it needs: the frames themselves


@dataclass(frozen=True)
class Minutes:
    """Minutes of an arm, as its stages noted them; several at a time count in full each.

    Attributes:
        once: what only some arms need and is done once: fine-tuning, latents, a teacher.
        per_set: mean of making one of its sets; 0 for all frames.
        per_agent: mean of training and measuring one of its agents.
    """

    once: float
    per_set: float
    per_agent: float

    @property
    def total(self) -> float:
        """Minutes until the first agent of the arm is there."""
        return self.once + self.per_set + self.per_agent


def stage_records(run: Path) -> dict[str, StageRecord]:
    """The records of a run's stages by the stage's name."""
    paths = {path.parent.name: path for place in ("*", "stages/*") for path in run.glob(f"{place}/stage.json")}
    paths |= {path.stem: path for path in run.glob("stages/*.json")}
    return {name: read_record(path, StageRecord, REMEDY) for name, path in paths.items()}


def minutes(stages: Mapping[str, StageRecord]) -> dict[tuple[str, str], Minutes]:
    """Minutes by arm and kind of agent, "" for the recipe's own; an arm of several budgets goes by ``arm@number``."""
    made: dict[str, list[str]] = {}
    trained: dict[tuple[str, str], list[str]] = {}
    for name in stages:
        if found := re.fullmatch(r"(set|agent)-(.+)-\d+", name):
            arm, _, other = found[2].partition("+")
            if found[1] == "set":
                made.setdefault(arm, []).append(name)
            else:
                trained.setdefault((arm, other), []).append(name)
    found_minutes = {}
    for (arm, other), agents in sorted(trained.items()):
        sets = made.get(arm, [])
        before = _before(stages, [*sets, *agents]) - {*sets, *agents}
        once = sum(stages[name].seconds for name in sorted(before)) / 60
        found_minutes[arm, other] = Minutes(once, _mean(stages, sets), _mean(stages, agents))
    return found_minutes


def _before(stages: Mapping[str, StageRecord], names: Sequence[str]) -> set[str]:
    """The stages that some need, directly or not, but for what all arms need."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        inputs = stages[waiting.pop()].inputs
        new = {name for name in inputs if name in stages and name not in _SHARED} - found
        found |= new
        waiting += new
    return found


def _mean(stages: Mapping[str, StageRecord], names: list[str]) -> float:
    return sum(stages[name].seconds for name in names) / 60 / len(names) if names else 0.0
