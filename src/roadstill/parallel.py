"""Independent jobs side by side, in processes of one thread each.

Small networks on a processor gain little from a second thread; two of them, each on a thread of its own, gain nearly
twofold. One thread also makes a result the same whatever the number of cores.
"""

import ctypes
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.context import SpawnContext
from types import TracebackType
from typing import Any, TypeVar

from roadstill.errors import UserError
from roadstill.runs import held, share

_SAFE_PATH = "PYTHONSAFEPATH"
_worker: Any = None
_carried: list[tuple[Callable[[], Any], Callable[[Any], None]]] = [(held, share)]
Item = TypeVar("Item")


def carry(take: Callable[[], Any], put: Callable[[Any], None]) -> None:
    """Hands something that a process knows apart from its objects, as what is trusted, to the workers it starts.

    Args:
        take: function that gives it in this process.
        put: function of a module that a worker calls with it.
    """
    _carried.append((take, put))


def inherited() -> list[tuple[Callable[[Any], None], Any]]:
    """What this process knows apart from its objects, each with the function that a worker calls with it."""
    return [(put, take()) for take, put in _carried]


@dataclass(frozen=True)
class Shard:
    """One of several equal shares of the work, for several machines.

    Attributes:
        number: number of this share, from 1.
        total: number of shares.
    """

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The share that a text names: ``2/8`` is the second of eight.

        Raises:
            UserError: anything else.
        """
        number, slash, total = text.partition("/")
        if not (slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
            raise UserError(f"shard {text!r} should be i/n with i from 1 to n, such as 2/8")
        return cls(int(number), int(total))

    def of(self, items: Sequence[Item]) -> list[Item]:
        """Every n-th item, beginning with the i-th."""
        return list(items[self.number - 1 :: self.total])


class Workers:
    """Processes that hold a copy of an object each and call its methods; they start with the first jobs.

    Args:
        count: number of processes; 1 does the work in this one, with all its threads.
        holder: object that the methods belong to; it must be picklable.
    """

    def __init__(self, count: int, holder: Any) -> None:
        self.count, self.holder = count, holder
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def each(self, method: str, jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        """Calls the method once per job and yields each job when it is done, in no particular order.

        Raises:
            UserError: one that a job raised, or a process that was killed.
        """
        if self.count < 2:
            for job in jobs:
                getattr(self.holder, method)(*job)
                yield job
            return
        try:
            with spawning() as context:
                if self._pool is None:
                    # The holder as bytes: what it imports takes seconds, in which nothing would follow a killed parent.
                    start = (os.getpid(), inherited(), pickle.dumps(self.holder))
                    self._pool = ProcessPoolExecutor(self.count, mp_context=context, initializer=_begin, initargs=start)
                pending = {self._pool.submit(_call, method, job): job for job in jobs}
            for done in as_completed(pending):
                done.result()
                yield pending[done]
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, most likely for lack of memory; start again with --workers 1, "
                "finished work is kept"
            ) from None


@contextmanager
def spawning() -> Iterator[SpawnContext]:
    """The way to start processes: afresh, as a forked copy of one that has used threads may hang.

    A fresh Python (``python -c``) looks into the working folder first for modules of its own, where somebody else's
    ``pickle.py`` may lie; from 3.11 on it does not if the environment says so. The import path that counts comes with
    the work. What is started within this block is started like that.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield get_context("spawn")
    finally:
        os.environ.pop(_SAFE_PATH)
        if before is not None:
            os.environ[_SAFE_PATH] = before


def _begin(parent: int, inherited: Sequence[tuple[Callable[[Any], None], Any]], holder: bytes) -> None:
    global _worker
    # Workers outlive a killed parent, and would go on writing into a folder that another run may use by then.
    threading.Thread(target=_follow_parent, daemon=True).start()
    end_with_parent(parent)
    for put, value in inherited:
        put(value)
    _worker = pickle.loads(holder)
    if torch := sys.modules.get("torch"):  # loaded with the holder, if its methods need it
        torch.set_num_threads(1)
    os.environ["TQDM_DISABLE"] = "1"  # bars of several processes would overwrite each other


def _follow_parent() -> None:
    parent = parent_process()
    assert parent
    parent.join()
    os._exit(1)


def end_with_parent(parent: int | None = None) -> None:
    """Ends this process when the one that started it has ended, on Linux, even in the midst of a long call of C.

    Args:
        parent: process that started it, if that is known: it may have ended already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SIGNAL_AT_PARENTS_END, signal.SIGKILL)
        if parent not in (None, os.getppid()):
            os._exit(1)


_SIGNAL_AT_PARENTS_END = 1  # PR_SET_PDEATHSIG of prctl(2)


def _call(method: str, job: tuple[Any, ...]) -> None:
    getattr(_worker, method)(*job)


def launched() -> tuple[int, int, Callable[[], None]]:
    """Rank, number of processes and a barrier, under torchrun; else one process that waits for nobody."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return 0, 1, lambda: None
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.accelerator.is_available())
    return state.process_index, state.num_processes, state.wait_for_everyone
