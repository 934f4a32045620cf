"""Checks what an untrusted file held: plain data only, and small enough for any walk over it."""

from itertools import chain
from typing import Any

import numpy as np

from roadstill.weights.guarded import Refused

MAX_DEPTH = 8
MAX_PARTS = 2**16  # of one container: nine hours of frames at 2 Hz
MAX_ITEMS = 2**25  # of the whole tree, what is shared counted as often as it is met
_LEAVES = frozenset((str, int, float, bool, type(None), np.ndarray))
_CONTAINERS = frozenset((list, tuple, dict))
_TEXT = frozenset((str,))


def check_plain(value: Any) -> None:
    """Lists, tuples, dicts, text, numbers, None and arrays, at most 8 deep, with at most 65,536 parts each.

    Shared parts are visited once, so that a bomb of references costs nothing here, but counted each time they are met.

    Raises:
        Refused: anything else.
    """
    _Walk().measure([value], MAX_DEPTH + 1)


def is_small(value: list[Any] | dict[str, Any], most: int) -> bool:
    """Whether `check_plain` would let this through, and all keys are text: by a faster look, level by level.

    Args:
        value: root of the tree.
        most: largest number of items for which to look; what is shared counts as often as it is met.

    Returns:
        False also if it cannot tell.
    """
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        sizes = list(map(len, level))
        most -= sum(sizes)
        if most < 0 or max(sizes) > MAX_PARTS:
            return False
        # What many share is looked at once.
        dicts = [part for part in level if type(part) is dict]
        rows = list({id(part): part for part in level if type(part) is not dict}.values())
        if not _TEXT.issuperset(map(type, chain.from_iterable(dicts))):
            return False
        level = []
        for parts in (list(map(dict.values, dicts)), rows):
            if others := set(map(type, chain.from_iterable(parts))) - _LEAVES:
                if any(not issubclass(kind, np.generic) for kind in others - _CONTAINERS):
                    return False
                level += [child for child in chain.from_iterable(parts) if type(child) in _CONTAINERS]
        if not level:
            return True
    return False


class _Walk:
    """Keeps height and size of the containers that were visited, by identity."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[int, int]] = {}

    def measure(self, value: Any, room: int) -> tuple[int, int]:
        """Height of a container, and the number of items below it as if nothing were shared."""
        found = self.known.get(id(value))
        if found is None and room:
            if not value:
                return 1, 0
            found = self.known[id(value)] = self._below(value, room - 1)
        if found is None or found[0] > room:
            raise Refused(f"containers are nested more than {MAX_DEPTH} deep")
        return found

    def _below(self, value: Any, room: int) -> tuple[int, int]:
        height, items = 0, len(value)
        if items > MAX_PARTS:
            raise Refused(f"a {type(value).__name__} of {items:,} parts")
        children = value.values() if type(value) is dict else value
        if others := set(map(type, children)) - _LEAVES:
            for kind in others - _CONTAINERS:
                if not issubclass(kind, np.generic):
                    raise Refused(f"it holds a {kind.__name__}, which is not plain data")
            for child in children:
                if type(child) in _CONTAINERS:
                    below = self.measure(child, room)
                    height, items = max(height, below[0]), items + below[1]
        if items > MAX_ITEMS:
            raise Refused(f"shared parts make it more than {MAX_ITEMS:,} items")
        return height + 1, items
