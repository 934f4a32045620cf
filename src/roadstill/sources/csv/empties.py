"""Empty cells of a table: too many, or a block at its end, come from columns of unequal length put side by side."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_FEW = 5  # rows that prove nothing
_MOST_AT_END = 0.02  # share of the rows


class Empties:
    """Counts empty cells, batch by batch.

    Args:
        most: largest share of rows without a needed cell; 1 accepts any.
    """

    def __init__(self, most: float) -> None:
        self._most, self._rows = most, 0
        self._count: Counter[str] = Counter()
        self._at_end: Counter[str] = Counter()

    def add(self, empty: Mapping[str, NDArray[np.bool_]]) -> None:
        """Counts a batch.

        Args:
            empty: whether each cell is empty, ``[n]``, by the meaning of its column.
        """
        for role, mask in empty.items():
            filled = np.flatnonzero(~mask)
            self._count[role] += int(mask.sum())
            self._at_end[role] = len(mask) - 1 - int(filled[-1]) if len(filled) else self._at_end[role] + len(mask)
        self._rows += len(next(iter(empty.values())))

    def found(self) -> str | None:
        """What is wrong, and the way out; None if nothing is."""
        for role, count in self._count.most_common():
            at_end = self._at_end[role]
            too_many = count > self._most * self._rows
            if self._most < 1 and count >= _FEW and (too_many or at_end > max(_FEW, _MOST_AT_END * self._rows)):
                place = f", {at_end:,} of them the last of the file" if at_end > 1 else ""
                return (
                    f"{count:,} of {self._rows:,} rows have no {role}{place}; if columns of unequal length were put "
                    "side by side, rows hold what does not belong together: join them by time; else drop these rows "
                    "with --csv.max_empty 1"
                )
        return None
