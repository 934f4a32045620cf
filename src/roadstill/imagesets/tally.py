"""What the facts of a set's pictures come to, one picture at a time: counts, columns and their types."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["string", "int64", "float64", "bool", "list"]
"""Type of a column: texts, whole numbers, numbers, truth values, lists of numbers."""
_KINDS: dict[type, Kind] = {str: "string", int: "int64", float: "float64", bool: "bool"}
_OWN = ("file_name", "label")
_MOST_SHARED = 500  # letters of a text that all pictures share; nobody reads longer ones in a card


class Tally:
    """Counts and columns of pictures that are added one by one; memory does not grow with them.

    Attributes:
        class_names: one name per label.
        counts: images per class, in label order.
        shared: numbers and texts that all pictures so far have in common, by name.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self.counts = [0] * len(self.class_names)
        self.shared: dict[str, Any] = {}
        self._kinds: dict[str, Kind | None] = {}
        self._mixed: set[str] = set()

    def __len__(self) -> int:
        return sum(self.counts)

    @property
    def columns(self) -> dict[str, Kind]:
        """Types by name of all facts that a table can hold, besides ``file_name`` and ``label``, in order."""
        return {name: kind for name, kind in self._kinds.items() if kind is not None and name not in self._mixed}

    def add(self, facts: Mapping[str, Any]) -> None:
        """Adds a picture by its facts, ``label`` among them."""
        is_first = not len(self)
        self.counts[facts["label"]] += 1
        for name in [name for name, value in self.shared.items() if facts.get(name) != value]:
            del self.shared[name]
        for name, value in facts.items():
            if name in _OWN:
                continue
            kind, before = _kind_of(value), self._kinds.setdefault(name, None)
            if is_first and kind not in (None, "list", "mixed") and len(str(value)) <= _MOST_SHARED:
                self.shared[name] = value
            if kind == "mixed" or (both := _both(before, kind)) == "mixed":
                self._mixed.add(name)
            else:
                self._kinds[name] = both


def _kind_of(value: Any) -> Kind | Literal["mixed"] | None:
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return "list" if all(isinstance(each, (int, float)) for each in value) else "mixed"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "mixed"
    return _KINDS.get(type(value), "mixed")


def _both(one: Kind | None, other: Kind | None) -> Kind | Literal["mixed"] | None:
    """The type of a column that holds both."""
    if one == other or other is None:
        return one
    if one is None:
        return other
    return "float64" if {one, other} == {"int64", "float64"} else "mixed"
