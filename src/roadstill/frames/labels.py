"""Rules that give frames their labels, by what the vehicle does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadstill.errors import UserError
from roadstill.runs import Record, check_ranges, later, parse_json, typed

CLASS_NAMES = ("not_brake", "brake")
COMMAND_NAMES = ("throttle", "hold", "brake")
_METADATA = b"roadstill.label"
_WHERE, _AGAIN = "the frames' label rule", "run `roadstill index` again"


class _Rule(Record, kw_only=True, frozen=True):
    """What `BrakeLabel.stored` writes."""

    rule: str
    version: int
    threshold_mps2: float | None = None
    edges_mps2: tuple[float, ...] = ()


@dataclass(frozen=True)
class BrakeLabel:
    """How a frame gets its label, by its longitudinal acceleration: classes from high to low, brakes last.

    Without edges there are two classes, and a frame is *brake* (1) below the threshold (thesis 4.2). Two edges around
    0 make the commands throttle, hold and brake; others make bins that are named by their ends, such as
    ``below_-2``, ``-2_to_0`` and ``above_0``.

    Attributes:
        threshold_mps2: acceleration below which a frame is *brake*, if there are no edges.
        edges_mps2: ends of the classes, from low to high, the first at most 0; a frame on an edge is of the class
            above. Every class below an edge of at most 0 is one of braking.

    Raises:
        UserError: edges that do not rise, more than 31 of them, none of at most 0, or a threshold beside them.
    """

    threshold_mps2: float = 0.0
    edges_mps2: tuple[float, ...] = later(())

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges_mps2", tuple(float(edge) for edge in self.edges_mps2))
        check_ranges(self)
        edges = self.edges_mps2
        if not edges:
            return
        if self.threshold_mps2:
            raise UserError(
                f"threshold_mps2 is {self.threshold_mps2:g}, but edges_mps2 make the classes; leave one out"
            )
        if list(edges) != sorted(set(edges)) or len(edges) > 31 or edges[0] > 0:
            raise UserError(f"edges_mps2 is {list(edges)}; give up to 31 numbers that rise, the first at most 0")

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the labels, in their order."""
        edges = self.edges_mps2
        if not edges:
            return CLASS_NAMES
        if len(edges) == 2 and edges[0] < 0 < edges[1]:
            return COMMAND_NAMES
        ends = [f"{edge:g}" for edge in edges]
        between = [f"{low}_to_{high}" for low, high in pairwise(ends)]
        return (f"above_{ends[-1]}", *reversed(between), f"below_{ends[0]}")

    @property
    def brakes(self) -> int:
        """Number of classes, counted from the last, whose frames brake."""
        return sum(edge <= 0 for edge in self.edges_mps2) or 1

    def of(self, accel_mps2: ArrayLike) -> NDArray[np.int64]:
        """The label of each acceleration ``[n]``."""
        edges = np.array(self.edges_mps2 or (self.threshold_mps2,))
        return len(edges) - np.searchsorted(edges, np.asarray(accel_mps2, np.float64), side="right").astype(np.int64)

    def __str__(self) -> str:
        if not self.edges_mps2:
            return f"accel_mps2 < {self.threshold_mps2:g}"
        return "accel_mps2 at " + ", ".join(f"{edge:g}" for edge in self.edges_mps2)

    def stored(self) -> dict[bytes, bytes]:
        """The rule as metadata of a Parquet file; ``version`` counts changes of the rule's meaning."""
        rule: dict[str, object] = {"rule": "brake", "version": 1, "threshold_mps2": self.threshold_mps2}
        if self.edges_mps2:
            rule = {"rule": "accel", "version": 1, "edges_mps2": self.edges_mps2}
        return {_METADATA: json.dumps(rule).encode()}

    @classmethod
    def restored(cls, metadata: Mapping[bytes, bytes] | None) -> "BrakeLabel":
        """The rule that `stored` wrote; the default if there is none.

        Raises:
            UserError: another rule, or another version of it.
        """
        if not metadata or _METADATA not in metadata:
            return cls()
        known = typed(parse_json(metadata[_METADATA], _WHERE), _Rule, _WHERE, _AGAIN)
        if (known.rule, known.version) == ("brake", 1) and known.threshold_mps2 is not None:
            return cls(known.threshold_mps2)
        if (known.rule, known.version) == ("accel", 1) and known.edges_mps2:
            return cls(edges_mps2=known.edges_mps2)
        raise UserError(f"{_WHERE}, {known.rule[:40]!r}, version {known.version}, is not of this version; {_AGAIN}")
