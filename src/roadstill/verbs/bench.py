"""The verb bench: how fast the parts are, beside a plainly written baseline."""

from typing import Literal


def bench(
    what: Literal["finetune", "sample", "encode", "memory"],
    *,
    backbone: str = "DiT-S/2",
    memory_size: int = 64,
    rounds: int = 3,
) -> str:
    """Times a part against a plainly written baseline in the same run and prints ratios.

    Args:
        what: the fine-tuning step, sampling, encoding, or the memory that fine-tuning takes.
        backbone: name such as DiT-S/2 or DiT-B/2, with random weights.
        memory_size: entries per class in the criteria's memories.
        rounds: timed rounds; the works take turns.
    """
    from roadstill.bench import bench_encode, bench_finetune, bench_memory, bench_sample

    if what == "finetune":
        return bench_finetune(backbone, rounds=rounds, memory_size=memory_size)
    if what == "memory":
        return bench_memory(backbone)
    return bench_sample(backbone, rounds=rounds) if what == "sample" else bench_encode(rounds=rounds)
