"""The verb plan: what a size takes, before anything is begun."""

import json as _json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from roadstill.errors import UserError


def plan(
    frames: int | None = None,
    *,
    backbone: str = "DiT-XL/2",
    gpus: int = 0,
    cores: int = 2,
    size_px: int = 256,
    codec: Literal["shipped", "autoencoder"] = "shipped",
    train_share: float = 0.7,
    steps: int = 20_000,
    batch_size: int = 32,
    all_learn: bool = False,
    per_class: int = 10,
    sets: int = 10,
    sampling_steps: int = 50,
    agents: int = 60,
    agent_steps: int = 100,
    bench: Path | None = None,
    gpu_tflops: float | None = None,
    json: bool = False,
) -> str:
    """Plans a size: disk, memory, floating-point operations, hours and engine of every stage.

    Args:
        frames: number of frames that are indexed and prepared.
        backbone: name of the generator's network, such as DiT-S/2 or DiT-XL/2.
        gpus: number of GPUs that encode, fine-tune and draw; 0 for the cores.
        cores: number of cores, of all machines.
        size_px: side of the prepared pictures.
        codec: codec of the latents: the shipped one, or Stable Diffusion's autoencoder, as published DiT weights take.
        train_share: share of the frames in the train part, which is encoded.
        steps: number of steps of fine-tuning.
        batch_size: number of latents a step, over all processes.
        all_learn: whether all weights learn, not adapters alone.
        per_class: number of generated images of each class.
        sets: number of generated sets, one for each seed.
        sampling_steps: number of steps of drawing an image.
        agents: number of agents that are trained, over all arms and seeds.
        agent_steps: number of steps of each.
        bench: file of a machine's figures, made by bench stages; those of two cores come with the package.
        gpu_tflops: rate of one GPU in TFLOP/s, for figures of a machine without one.
        json: whether to print the stages as JSON.
    """
    from roadstill.bench.plan import Size, table
    from roadstill.bench.plan import plan as stages_of
    from roadstill.bench.rates import read_rates

    if frames is None:
        raise UserError("name the number of frames: --frames 100000")
    rates = read_rates(bench)
    size = Size(frames, backbone, gpus, cores, size_px, codec, train_share, steps, batch_size, all_learn, per_class,
                sets, sampling_steps, agents, agent_steps, gpu_tflops)  # fmt: skip
    stages = stages_of(size, rates)
    if json:
        return _json.dumps({"rates": rates.measured_on, "stages": [asdict(each) for each in stages]}, indent=2)
    return table(stages, size, rates)
