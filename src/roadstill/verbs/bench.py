"""The verb bench: how fast the parts are, beside a plainly written baseline."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from roadstill.errors import UserError
from roadstill.runs import hold
from roadstill.verbs.given import require_figures


def bench(
    what: Literal[
        "finetune",
        "sample",
        "encode",
        "memory",
        "index",
        "prepare",
        "select",
        "agent",
        "distil",
        "edm",
        "world",
        "stages",
    ],
    *,
    backbone: str = "DiT-S/2",
    memory_size: int = 64,
    frames: int = 1_000_000,
    rounds: int | None = None,
    out: Path | None = None,
) -> str:
    """Times a part against a plainly written baseline in the same run and prints the ratios.

    Args:
        what: part to time: the fine-tuning step, sampling, encoding, the memory of fine-tuning, reading logs, cropping
            and resizing pictures, selecting images by their features, training agents, a step of each method of
            distillation, training and sampling EDM, the built-in world, or all stages for plan, without a baseline.
        backbone: name of the backbone, such as DiT-S/2 or DiT-B/2; its weights are random.
        memory_size: entries per class in the criteria's memories.
        frames: largest number of frames that index is timed with.
        rounds: number of timed rounds, in which the candidates take turns; by default 1 for sampling, else 3.
        out: file for the figures of stages.
    """
    if out is not None and what != "stages":
        raise UserError(f"out is for stages; leave it out with {what}")
    if what == "stages":
        from roadstill.bench.stages import bench_stages

        if out is None:
            return bench_stages()
        require_figures(out, {"measured_on"}, "file of figures")
        with hold(out):
            return bench_stages(out)
    from roadstill import bench as benches

    some = rounds or 3
    works: dict[str, Callable[[], str]] = {
        "finetune": lambda: benches.bench_finetune(backbone, rounds=some, memory_size=memory_size),
        "sample": lambda: benches.bench_sample(backbone, rounds=rounds or 1),
        "encode": lambda: benches.bench_encode(rounds=some),
        "memory": lambda: benches.bench_memory(backbone),
        "index": lambda: benches.bench_index(frames=frames, rounds=some),
        "prepare": lambda: benches.bench_prepare(rounds=some),
        "select": lambda: benches.bench_select(rounds=some),
        "agent": lambda: benches.bench_agent(rounds=some),
        "distil": lambda: benches.bench_distil(rounds=some),
        "edm": lambda: benches.bench_edm(rounds=some, memory_size=memory_size),
        "world": lambda: benches.bench_world(rounds=some),
    }
    return works[what]()
