"""Train, dev and test: the frames of an index, filtered and split by drive."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.frames.filters import FrameFilter, Funnel, Rule, SceneFilter, Sieve
from roadstill.frames.table import BrakeLabel, FrameTable, frame_writers, stream_frames
from roadstill.runs import Count, Record, read_json, typed

SPLITS = ("train", "dev", "test")
SHARES: Mapping[str, float] = MappingProxyType({"train": 0.7, "dev": 0.15, "test": 0.15})


@dataclass(frozen=True)
class Cut:
    """How an index is cut.

    Attributes:
        scenes: rules that make a frame a scene.
        windows: definition of a scene, to count those with gaps; None if the frames do not come from NAVSIM logs.
        decisions: rules on what a scene shows.
        label: rule that labels the frames.
        shares: shares of the parts, in the order train, dev, test; a drive is never cut.
        seed: seed that decides which drives go where.
        test_logs: names of the logs whose drives make up the last part, as in navsim's own split: test, or dev if the
            test part comes from elsewhere. None lets the shares decide.
    """

    scenes: Sequence[Rule] = ()
    windows: SceneFilter | None = None
    decisions: FrameFilter = field(default_factory=FrameFilter)
    label: BrakeLabel = field(default_factory=BrakeLabel)
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    seed: int = 0
    test_logs: frozenset[str] | None = None


def write_index(tables: Iterable[FrameTable], folder: Path, cut: Cut) -> tuple[dict[str, int], Funnel]:
    """Passes all frames through the rules and writes ``train``, ``dev`` and ``test``, the funnel and ``motion.json``.

    One table is in memory at a time: the frames that pass go to a file first, since the drives can be dealt out only
    when all are known.

    Returns:
        Number of frames in each part, and the funnel.

    Raises:
        UserError: a rule removed every frame, or there are too few drives for the parts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sieve = Sieve(cut.scenes, cut.decisions, cut.windows, cut.label.class_names)
    kept_path = folder / ".kept.parquet"
    counts: Counter[tuple[str, int]] = Counter()
    held: set[str] = set()
    with frame_writers([kept_path], cut.label) as (write,):
        for frames in tables:
            kept = sieve(FrameTable(frames.table, cut.label))
            counts.update(zip(kept.column("drive").tolist(), kept.labels.tolist(), strict=True))
            if cut.test_logs is not None:
                logs = zip(kept.column("drive"), kept.column("log"), strict=True)
                held |= {drive for drive, log in logs if log in cut.test_logs}
            write(kept)
        funnel = sieve.funnel()
    try:
        part = _parts(counts, cut, held)
        with frame_writers([folder / f"{name}.parquet" for name in cut.shares], cut.label) as writers:
            for frames in stream_frames(kept_path):
                where = np.array([part[drive] for drive in frames.column("drive")])
                for index, write in enumerate(writers):
                    write(frames.take(where == index))
    finally:
        kept_path.unlink()
    funnel.save(folder / "funnel.json")
    sieve.save_motion(folder / "motion.json")
    return {name: write.count for name, write in zip(cut.shares, writers, strict=True)}, funnel


class _IndexRecord(Record, kw_only=True, frozen=True):
    """What all readers of ``index.json`` rely on."""

    data: str
    sensors: str
    frames: dict[Literal["train", "dev", "test"], Count]
    logs: str | None = None
    counts: dict[str, Count] | None = None
    notes: list[str] | None = None
    config: dict[str, Any] | None = None


def open_index(folder: Path) -> dict[str, Any]:
    """The contents of ``index.json``.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / "index.json"
    known = read_json(path)
    typed(known, _IndexRecord, str(path), "run `roadstill index` again")
    return dict(known)


def _parts(counts: Mapping[tuple[str, int], int], cut: Cut, held: set[str]) -> dict[str, int]:
    """The part of every drive; those of the logs that are held back are not dealt out."""
    if cut.test_logs is None:
        return deal_drives(counts, cut.shares, cut.seed)
    *others, last = cut.shares
    if not others:
        raise UserError(
            f"the preset holds back the logs of {last}, which cannot be the only part; give train a share, too"
        )
    if not held:
        raise UserError(f"no frame of the {last} part is left; index the logs of navsim's val_logs too")
    rest = {key: count for key, count in counts.items() if key[0] not in held}
    dealt = deal_drives(rest, {name: cut.shares[name] for name in others}, cut.seed)
    return dealt | dict.fromkeys(held, len(others))


def deal_drives(
    counts: Mapping[tuple[str, int], int], shares: Mapping[str, float] = SHARES, seed: int = 0, *, tries: int = 32
) -> dict[str, int]:
    """The part of every drive: whole drives, so that no part shows another's streets on the same day.

    Several random orders of the drives are dealt out, each drive to the part that lacks most frames; the order is taken
    whose parts come nearest to the shares, in frames and in those of every label but the first.

    Args:
        counts: number of frames by (drive, label).
        shares: shares of the parts, by name.
        seed: seed of the orders.
        tries: number of orders.

    Returns:
        Index of the part, in the order of ``shares``, by drive.

    Raises:
        UserError: fewer drives than parts, or shares that are not positive.
    """
    if not shares or any(not share > 0 for share in shares.values()):
        raise UserError(f"shares {dict(shares)} should all be above 0; leave out a part that you do not want")
    names = sorted({drive for drive, _ in counts})
    if len(names) < len(shares):
        raise UserError(
            f"{len(names)} drives cannot fill {len(shares)} parts ({', '.join(shares)}): a drive is never cut; "
            f"index logs of at least {len(shares)} drives, loosen the filters, or ask for fewer parts"
        )
    labels = range(max(2, 1 + max((label for _, label in counts), default=0)))
    sizes = np.array([[counts.get((drive, label), 0) for label in labels] for drive in names], np.int64)
    sizes[:, 0] = sizes.sum(1)
    wanted = np.array(list(shares.values())) / sum(shares.values())
    rng = np.random.default_rng(seed)
    tries = max(1, min(tries, 2_000_000 // len(names)))
    deals = [_deal(sizes[:, 0], wanted, rng.permutation(len(names))) for _ in range(tries)]
    best = min(deals, key=lambda deal: _unevenness(deal, sizes, wanted))
    return dict(zip(names, best.tolist(), strict=True))


def _deal(sizes: NDArray[np.int64], wanted: NDArray[np.float64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """A part per drive: each in turn goes where most frames are missing; no part stays empty."""
    lacking = wanted * sizes.sum()
    part = np.full(len(sizes), -1)
    empty = set(range(len(wanted)))
    for turn, drive in enumerate(order):
        must = len(order) - turn <= len(empty)
        choice = max(empty if must else range(len(wanted)), key=lambda index: (lacking[index], -index))
        part[drive] = choice
        lacking[choice] -= sizes[drive]
        empty.discard(choice)
    return part


def _unevenness(part: NDArray[np.int64], sizes: NDArray[np.int64], wanted: NDArray[np.float64]) -> float:
    """Sum over parts of |have - want| as shares, for all frames and for those of every label but the first."""
    have = np.stack([np.bincount(part, weights=column, minlength=len(wanted)) for column in sizes.T], 1)
    return float(np.abs(have / np.maximum(sizes.sum(0), 1) - wanted[:, None]).sum())
