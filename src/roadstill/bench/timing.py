"""Timing in turns, the machine's own speed, and one table for all benchmarks."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch


@dataclass(frozen=True)
class Row:
    """One line of a benchmark.

    Attributes:
        name: name of the work that was timed.
        seconds: seconds of every round.
        items: images, latents or frames per round.
        flops: floating-point operations per round, if they are the whole work.
    """

    name: str
    seconds: Sequence[float]
    items: int
    flops: float | None = None

    @property
    def rate(self) -> float:
        """Items per second, from the median round."""
        return self.items / median(self.seconds)


def in_turns(works: Mapping[str, Callable[[], object]], *, rounds: int, warm: bool = True) -> dict[str, list[float]]:
    """Seconds of every work in every round; the works take turns, so that a slower minute hits all of them.

    Each work runs once before, untimed, unless ``warm`` is off.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(0 if warm else 1, rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def matmul_flops_per_s(dtype: torch.dtype = torch.float32, size: int = 1024, rounds: int = 9) -> float:
    """The machine's rate on one square matrix product: the upper bound that other rates are compared with."""
    left, right = torch.randn(2, size, size).to(dtype)
    seconds = in_turns({"matmul": lambda: left @ right}, rounds=rounds)["matmul"]
    return 2 * size**3 / min(seconds)


def flops_of(work: Callable[[], object]) -> float:
    """Floating-point operations of a work's matrix products, attention and convolutions, backward pass included."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def table(title: str, rows: Sequence[Row], *, unit: str, roof: float | None = None) -> str:
    """Rows as text: rate, ratio to the last row (the baseline), share of the machine's matrix rate where known."""
    lines = [title, f"{'':<44} {unit + '/s':>12} {'ratio':>8} {'of matmul':>10}"]
    for row in rows:
        ratio = row.rate / rows[-1].rate
        share = f"{row.flops / median(row.seconds) / roof:.0%}" if row.flops and roof else ""
        lines.append(f"{row.name:<44} {row.rate:>12.2f} {ratio:>7.2f}x {share:>10}")
    return "\n".join(lines)


def table_of(
    title: str,
    seconds: Mapping[str, Sequence[float]],
    items: int,
    *,
    unit: str,
    flops: Mapping[str, float] | None = None,
    roof: float | None = None,
) -> str:
    """The table of works that handle the same number of items, as `in_turns` timed them; see `Row` and `table`."""
    rows = [Row(name, each, items, (flops or {}).get(name)) for name, each in seconds.items()]
    return table(title, rows, unit=unit, roof=roof)
