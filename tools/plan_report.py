"""Holds a plan against three measured sizes of four stages: bytes, operations, and seconds of one core.

    python tools/plan_report.py WORK

The figures that the plan is made from are those of a size between them, measured in the same run.
"""

import argparse
from pathlib import Path

from roadstill.bench.arithmetic import Backbone
from roadstill.bench.stages import (
    bytes_in,
    fitted_index,
    measured_encode,
    measured_index,
    measured_prepare,
    measured_training,
    one_thread,
)

COUNTS, BASE = (4, 16, 32), 8
SIDES, BASE_SIDE = (8, 16, 24), 16
PX = 128


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="folder to work in; it must not exist")
    work = parser.parse_args().work
    work.mkdir(parents=True)
    print(f"{'stage':<10} {'size':>18} {'what':<8} {'planned':>12} {'measured':>12} {'deviation':>10}")
    with one_thread():
        measured_prepare(work / "warm", 2, PX)  # the first calls of a library are slow
        prepare, images = measured_prepare(work / "base", BASE, PX)
        measured_encode(images, work / "warm-latents")
        encode, flops = measured_encode(images, work / "base-latents")
        measured_index(work / "warm-index", 1)
        index = fitted_index(work, BASE // 4)
        for count in COUNTS:
            its, images = measured_prepare(work / f"set{count}", count, PX)
            told("prepare", f"{count} pictures", "bytes", count * prepare["bytes_per_picture"],
                 bytes_in(work / f"set{count}"))  # fmt: skip
            told("prepare", f"{count} pictures", "seconds", count / prepare["pictures_per_s"],
                 count / its["pictures_per_s"])  # fmt: skip
            own, counted = measured_encode(images, work / f"latents{count}")
            told("encode", f"{count} pictures", "FLOPs", count * flops / BASE, counted)
            told("encode", f"{count} pictures", "seconds", count * flops / BASE / encode["flops_per_s"],
                 counted / own["flops_per_s"])  # fmt: skip
        for logs in (1, 4, 8):
            its, written = measured_index(work / f"index{logs}", logs)
            told(
                "index",
                f"{600 * logs} frames",
                "bytes",
                index["bytes_fixed"] + 600 * logs * index["bytes_per_frame"],
                written,
            )
            told("index", f"{600 * logs} frames", "seconds", 600 * logs / index["frames_per_s"],
                 600 * logs / its["frames_per_s"])  # fmt: skip
        measured_training(4, BASE_SIDE)
        rate = measured_training(4, BASE_SIDE)["flops_per_s"]
        for side in SIDES:
            its = measured_training(4, side)
            planned = 4 * Backbone("DiT-S/2", side).training_flops(all_learn=True)
            told("finetune", f"4 of {side} x {side}", "FLOPs", planned, its["flops"])
            told("finetune", f"4 of {side} x {side}", "seconds", planned / rate, its["flops"] / its["flops_per_s"])


def told(stage: str, size: str, what: str, planned: float, measured: float) -> None:
    """Prints one line."""
    print(f"{stage:<10} {size:>18} {what:<8} {planned:>12.4g} {measured:>12.4g} {planned / measured - 1:>+10.1%}",
          flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
