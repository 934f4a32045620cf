"""`finetune`: one loop for both, adapting a pretrained generator and training one from scratch.

Everything random is a function of (seed, step): rows, posterior draws, noise levels, noise, label dropout. What cannot
be computed again (weights, moving average, optimiser, memories) is saved, so that a killed run goes on bit for bit.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from roadstill.codecs.latents import LatentStore
from roadstill.errors import UserError
from roadstill.generator.assembly import assemble
from roadstill.generator.checkpoints import load_denoiser, record_base, save_checkpoint
from roadstill.generator.config import FinetuneConfig, require_trackers
from roadstill.generator.step import Training
from roadstill.learning.loops import (
    optimizer_tensors,
    require_finite,
    restore_optimizer,
    rewind_metrics,
    saved_state,
)
from roadstill.learning.precision import in_bfloat16
from roadstill.runs import Stage, plain
from roadstill.weights.tensors import require_shapes, shapes_of, write_tensors

_ANEW = "remove it and begin anew"


def finetune(latents: LatentStore, *, base: Path | None, out: Path, config: FinetuneConfig, seed: int) -> Path:
    """Trains a generator; a second call with the same arguments goes on where the first one stopped.

    Args:
        latents: training data.
        base: base file or checkpoint folder; ``None`` is the shipped base, or no base if ``config.network`` is given.
        out: the checkpoint folder.
        config: see `FinetuneConfig`.
        seed: seed of everything random.

    Returns:
        ``out``.

    Raises:
        UserError: base, latents and configuration do not fit, ``out`` holds a run with other settings, or a loss is not
            finite: then the state that was saved before it is kept.
    """
    from tqdm import tqdm

    if config.network is not None and base is not None:
        raise UserError(f"both a base ({base}) and a network from scratch are given; choose one")
    below = None if config.network is not None else load_denoiser(base, objective=config.objective)
    record = None if below is None else record_base(out, base, below.origin.digest)
    digests = {"latents": latents.digest, "base": record["digest"] if record else "none"}
    stage = Stage(out, config, digests | {"seed": str(seed)})
    if stage.done:
        return out
    assembly, class_mean = assemble(latents, below, config, seed), latents.class_mean()
    accelerator = accelerator_of(config, out)
    main = accelerator.is_main_process
    training = Training(assembly.denoiser, latents, config, seed, accelerator)
    state = _State(out / f"resume-{accelerator.process_index}.safetensors", stage.key, training)
    start = state.restore()
    if (found := set(accelerator.gather(torch.tensor([start], device=accelerator.device)).tolist())) != {start}:
        raise UserError(
            f"{out}: the processes were stopped at different steps {sorted(found)}; remove it and begin anew"
        )
    accelerator.init_trackers(out.name, _scalars(config))
    rewind_metrics(out / "metrics.jsonl", start)
    if main and start:  # it may have been stopped between the state and the checkpoint of this step
        save_checkpoint(out, training, assembly, base=record, class_mean=class_mean, steps_done=start)
    for step in tqdm(range(start, config.steps), initial=start, total=config.steps, disable=None if main else True):
        training.take(step)
        done = step + 1
        if main and (done % config.log_every == 0 or done == config.steps):
            line = training.meter.line()
            stage.log(step=done, **line)
            accelerator.log(line, step=done)
        if done % config.save_every == 0 or done == config.steps:
            state.save(done)  # before the checkpoint: a checkpoint without it could not go on
            if main:
                save_checkpoint(out, training, assembly, base=record, class_mean=class_mean, steps_done=done)
            accelerator.wait_for_everyone()
    if main:
        stage.finish(trained=sum(weight.numel() for weight in training.weights), tensors=len(training.names))
    accelerator.wait_for_everyone()
    for tracker in accelerator.trackers:  # end_training() would take the process group down with them
        tracker.finish()
    state.drop()
    return out


def accelerator_of(config: FinetuneConfig, out: Path) -> Any:
    """Device, precision, processes and trackers.

    Raises:
        UserError: more processes were started than work together, or a tracker that is not installed or trusted.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.tracking import filter_trackers

    # accelerate keeps the first Accelerator's precision for the whole process and refuses another one.
    AcceleratorState._reset_state()
    asked = list(config.trackers)
    require_trackers(config)
    try:
        found = {str(tracker) for tracker in filter_trackers(asked, out)}
    except ValueError as error:
        raise UserError(f"trackers {', '.join(asked)}: {error}") from None
    if missing := set(asked) - found:
        raise UserError(f"tracker {min(missing)!r} is not installed; install its package or leave it out of trackers")
    kind = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    accelerator = Accelerator(
        mixed_precision="bf16" if in_bfloat16(kind.type, config.mixed_precision == "bf16") else "no",
        cpu=kind.type == "cpu",  # else it sees no other processes on a machine without any
        log_with=asked or None,
        project_dir=out,
    )
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != started:
        raise UserError(
            f"{started} processes were started, but {accelerator.num_processes} work together; start them with "
            "python -m torch.distributed.run --nproc_per_node N"
        )
    return accelerator


def _scalars(config: FinetuneConfig) -> dict[str, Any]:
    """The settings that every tracker can show."""
    return {name: value for name, value in plain(config).items() if isinstance(value, (bool, int, float, str))}


@dataclass
class _State:
    """What must be saved to go on: weights, their average, the optimiser's moments, the criteria's memories."""

    path: Path
    key: str
    training: Training

    def save(self, step: int) -> None:
        run = self.training
        tensors: dict[str, Tensor] = {
            f"weight/{name}": weight for name, weight in zip(run.names, run.weights, strict=True)
        }
        tensors |= {f"average/{name}": tensor for name, tensor in run.averaged.items()}
        tensors |= {f"criterion/{name}": tensor for name, tensor in run.criteria.state_dict().items()}
        tensors |= optimizer_tensors(run.optimizer.optimizer, run.names)
        require_finite(tensors, step=step - 1)
        write_tensors(self.path, tensors, {"step": step, "key": self.key})

    def restore(self) -> int:
        """Puts the saved state back, if there is one; returns the number of steps done."""
        saved = saved_state(self.path, self.key, "the state of a training")
        if saved is None:
            if (self.path.parent / "config.json").exists():
                raise UserError(f"{self.path.parent} holds another checkpoint; choose another folder or remove it")
            return 0
        tensors, steps_done = saved
        run = self.training
        wanted: dict[str, Tensor] = {
            f"weight/{name}": weight for name, weight in zip(run.names, run.weights, strict=True)
        }
        wanted |= {f"average/{name}": average for name, average in run.averaged.items()}
        found = {name: tensor for name, tensor in tensors.items() if name.startswith(("weight/", "average/"))}
        require_shapes(shapes_of(found), shapes_of(wanted), self.path, _ANEW)
        with torch.no_grad():
            for name, mine in wanted.items():
                mine.copy_(found[name])
        memories = {n.removeprefix("criterion/"): t for n, t in tensors.items() if n.startswith("criterion/")}
        try:
            run.criteria.load_state_dict(memories)
            restore_optimizer(run.optimizer.optimizer, run.names, tensors)
        except (RuntimeError, ValueError, LookupError) as error:
            raise UserError(f"{self.path} is damaged ({' '.join(str(error).split())[:200]}); {_ANEW}") from None
        return steps_done

    def drop(self) -> None:
        """Removes the file: the run is finished, nothing will resume it."""
        self.path.unlink(missing_ok=True)
