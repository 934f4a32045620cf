"""What was read last is kept."""

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values by key, of which the last ones read stay in memory.

    Args:
        read: function that gives the values of some keys, of each.
        most: number of values that are kept.
    """

    def __init__(self, read: Callable[[list[K]], dict[K, V]], most: int) -> None:
        self._read, self._most = read, most
        self._values: dict[K, V] = {}

    def of(self, keys: Iterable[K]) -> dict[K, V]:
        """The values of these keys, in their order."""
        wanted = list(dict.fromkeys(keys))
        missing = [key for key in wanted if key not in self._values]
        if missing:
            self._values |= self._read(missing)
        found = {key: self._values[key] for key in wanted}
        if len(self._values) > self._most:
            self._values = found
        return found
