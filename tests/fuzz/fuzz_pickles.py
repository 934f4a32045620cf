"""Coverage-guided fuzzing of what reads strangers' pickles: ``python tests/fuzz/fuzz_pickles.py TARGET --seconds N``.

Targets: ``log`` (the log reader, and whether Python's unpickler agrees with the machine), ``torch`` (files of
torch.save), ``edm`` (EDM's pickles). It needs ``pip install -e '.[fuzz]'`` (atheris). Each input either is read or ends
in an error that readers turn into one line; nothing is called or imported; no input takes 10 s or 1 GB. What breaks
that is written to ``--findings``; `tests/sources/pickles/test_findings.py` reads what is kept there.
"""

import argparse
import io
import pickle
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "helpers"))
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


TARGETS = {"log": (check_log, seeds_log), "torch": (check_torch, seeds_torch), "edm": (check_edm, seeds_edm)}


def main() -> None:
    """Runs one target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=1200)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of inputs, which grows")
    parser.add_argument("--findings", type=Path, default=HERE / "findings")
    arguments = parser.parse_args()
    import atheris

    with atheris.instrument_imports(include=["roadstill.sources.pickles", "roadstill.weights"]):
        import roadstill.sources.pickles.edm_pickle
        import roadstill.sources.pickles.unpickle  # noqa: F401
    from watch import WATCH

    check, seeds = TARGETS[arguments.target]
    corpus, findings = arguments.corpus, arguments.findings / arguments.target
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (corpus / f"seed-{number:04d}").write_bytes(data)
        check(data)  # what is imported late is not what an input does

    def one(data: bytes) -> None:
        with WATCH:
            check(data)
        assert not WATCH.acts, [act for act, _ in WATCH.acts[:5]]

    limits = [f"-max_total_time={arguments.seconds}", "-max_len=40000", "-timeout=10", "-rss_limit_mb=3000"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, f"-artifact_prefix={findings}/"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
