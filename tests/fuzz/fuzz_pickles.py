"""What reads strangers' pickles: logs, files of torch.save, EDM's.

Each input either is read or ends in an error that readers turn into one line; nothing is called or imported. A log is
read by the machine and by Python's unpickler, which must agree.
"""

import io
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from targets import Target

EXPECTED = (ArithmeticError, LookupError, TypeError, ValueError, struct.error)  # what guards turn into one line


def check_log(data: bytes) -> None:
    """Reads a log twice."""
    from same import same

    from roadstill.sources.pickles.arrays import LogMachine
    from roadstill.sources.pickles.plain_tree import check_plain
    from roadstill.sources.pickles.regular import read_regular

    machine = LogMachine(data)
    try:
        slow = machine.run(2**20)
        check_plain(slow)
    except EXPECTED:
        assert read_regular(data, 2**20) is None, "Python's unpickler takes what the machine refuses"
    else:
        fast = read_regular(data, 2**20)
        if fast is not None:
            same(fast, slow)


def check_torch(data: bytes) -> None:
    """Reads a file of torch.save, its pickle alone, or the older form."""
    from roadstill.weights.guarded import Budget, Refused
    from roadstill.weights.torch_file import TorchMachine, read_legacy

    def bytes_of(key: str, count: int) -> bytearray:
        if count > len(data):
            raise Refused("more bytes than there are")
        return bytearray(count)

    for read in (read_legacy, lambda data: TorchMachine(data, bytes_of, Budget(2 * len(data))).run(2**20)):
        with suppress(*EXPECTED, RuntimeError):
            _touch(read(data))


def check_edm(data: bytes) -> None:
    """Reads a pickle of EDM."""
    from roadstill.sources.pickles.edm_pickle import _Networks

    with suppress(*EXPECTED, RuntimeError):
        _touch(_Networks(data).run(2**20))


def _touch(value: Any, depth: int = 0) -> None:
    """Uses all numbers of all tensors, so that a tensor beyond its memory shows."""
    import torch

    if isinstance(value, torch.Tensor):
        value.isfinite().all().item()
    elif isinstance(value, dict) and depth < 9:
        for each in value.values():
            _touch(each, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < 9:
        for each in value:
            _touch(each, depth + 1)


def seeds_log() -> list[bytes]:
    """Good logs, small and regular, and the corpus of attacks."""
    from attacks import PICKLES
    from made_logs import make_log

    good = [pickle.dumps(make_log(3, boxes), protocol) for boxes in (2, 9) for protocol in (2, 4, 5)]
    return good + [data for data in PICKLES.values() if len(data) < 4000]


def seeds_torch() -> list[bytes]:
    """The pickle in a file of torch.save, and files of the older form."""
    import zipfile

    import torch
    from torch import nn

    objects: list[Any] = [
        nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).state_dict(),
        {"a": nn.Parameter(torch.ones(2, 3)), "b": torch.ones(2, 3).T, "c": torch.zeros(3, dtype=torch.bool)},
        {"model": {"x": torch.arange(5)}, "ema": [1, 2.0, None, "x"], "size": torch.Size([2])},
    ]
    found = []
    for value in objects:
        packed, older = io.BytesIO(), io.BytesIO()
        torch.save(value, packed)
        torch.save(value, older, _use_new_zipfile_serialization=False)
        with zipfile.ZipFile(packed) as archive:
            found.append(archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl"))))
        found.append(older.getvalue())
    return found


def seeds_edm() -> list[bytes]:
    """A pickle as EDM writes it."""
    from tempfile import TemporaryDirectory

    from made_edm import content_of, write
    from torch import nn

    tiny = nn.Conv2d(1, 1, 1)
    with TemporaryDirectory() as folder:
        paths = [write(Path(folder) / f"{n}.pkl", content_of(tiny, settings={"label_dim": 10}), n) for n in (2, 4, 5)]
        return [path.read_bytes() for path in paths]


def read(data: bytes, folder: Path, check: Callable[[bytes], None]) -> None:
    """Reads one input, and watches what Python does meanwhile."""
    from watch import WATCH

    with WATCH:
        check(data)
    assert not WATCH.acts, [act for act, _ in WATCH.acts[:5]]


def _target(check: Callable[[bytes], None], made: Callable[[], list[bytes]]) -> Target:
    def seeds(_: Path) -> Iterator[bytes]:
        for data in made():
            check(data)  # what is imported late is not what an input does
            yield data

    return Target(seeds, partial(read, check=check), rooms=("sources.pickles", "weights"), most_bytes=40000)


TARGETS = {
    "logs": _target(check_log, seeds_log),
    "torch": _target(check_torch, seeds_torch),
    "edm": _target(check_edm, seeds_edm),
}
