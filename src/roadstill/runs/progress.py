"""Progress of long work: loops tell it here, and whoever called them decides how it is shown.

Called as a library, nothing is shown. The command line shows bars, lines or JSON (`roadstill.cli.displays`); a program
of one's own may show it otherwise, by a `Display` within `showing`.
"""

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import closing, contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Task(Protocol):
    """One piece of work that is shown."""

    def to(self, done: int, total: int | None) -> None:
        """Takes how much is done so far, and of how much, if that is known."""

    def close(self) -> None:
        """Ends it, be it done or not."""


class Display(Protocol):
    """Where progress is shown."""

    def task(self, what: str, total: int | None, done: int) -> Task:
        """Begins to show a piece of work, of which some may have been done by an earlier call."""

    def say(self, line: str) -> None:
        """Shows a line of progress."""


_display: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def showing(display: Display | None) -> Iterator[None]:
    """Within this block progress is shown there; None shows nothing."""
    before = _display.set(display)
    try:
        yield
    finally:
        _display.reset(before)


def say(line: str) -> None:
    """Shows a line of progress."""
    if (display := _display.get()) is not None:
        display.say(line)


def track(items: Iterable[Item], what: str, *, total: int | None = None, done: int = 0) -> Iterator[Item]:
    """The items, one by one, while it is shown how many are done.

    Args:
        items: items to go through.
        what: what they are, as a plural: steps, pictures.
        total: number of all of them, if the items do not tell their number or some are done.
        done: number of those that an earlier call has done, which are not among the items.
    """
    display = _display.get()
    if display is None:
        yield from items
        return
    if total is None and isinstance(items, Sized):
        total = done + len(items)
    with closing(display.task(what, total, done)) as task:
        for number, item in enumerate(items, done + 1):
            yield item
            task.to(number, total)


def counter(what: str) -> Callable[[int, int], None]:
    """A function to be called with how many are done and how many there are; the work begins now.

    It ends with the call that has both equal.

    Args:
        what: what is counted, as a plural.
    """
    display = _display.get()
    task = None if display is None else display.task(what, None, 0)

    def count(done: int, total: int) -> None:
        if task is not None:
            task.to(done, total)
            if done >= total:
                task.close()

    return count
