"""`finetune`: one loop for both, adapting a pretrained generator and training one from scratch.

Everything random is a function of (seed, step): rows, posterior draws, noise levels, noise, label dropout. What cannot
be computed again (weights, moving average, optimiser, memories) is saved, so that a killed run goes on bit for bit.
"""

import os
from collections.abc import Mapping
from copy import deepcopy
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
from roadstill.generator.consistency import Teacher
from roadstill.generator.step import Training
from roadstill.learning.loops import (
    optimizer_tensors,
    require_finite,
    restore_optimizer,
    rewind_metrics,
    saved_state,
)
from roadstill.learning.precision import in_bfloat16
from roadstill.runs import Stage, holding, plain, remove, require_own
from roadstill.runs.progress import track
from roadstill.weights.tensors import require_shapes, shapes_of, write_tensors

_ANEW = "remove it and begin anew"


@holding()
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
    if config.network is not None and base is not None:
        raise UserError(f"both a base ({base}) and a network from scratch are given; choose one")
    require_own(out, own="config.json")
    if config.labels.one_class is not None:
        latents = latents.as_one_class(config.labels.one_class)
    below = None if config.network is not None else load_denoiser(base, objective=config.objective)
    record = None if below is None else record_base(out, base, below.origin.digest)
    digests = {"latents": latents.digest, "base": record["digest"] if record else "none"}
    stage = Stage(out, config, digests | {"seed": str(seed)})
    if stage.done:
        _drop_states(out)  # which a kill after the last line has left
        return out
    teacher = None
    if below is not None and config.consistency.steps is not None:
        teacher = Teacher(deepcopy(below), config)  # a copy: the adapters go into the base's own network
    assembly, class_mean = assemble(latents, below, config, seed), latents.class_mean()
    accelerator = accelerator_of(config, out)
    main = accelerator.is_main_process
    training = Training(assembly.denoiser, latents, config, seed, accelerator, teacher)
    state = _State(out / f"resume-{accelerator.process_index}.safetensors", stage.key, training)
    start = state.restore()
    accelerator.init_trackers(out.name, _scalars(config))
    if main:
        rewind_metrics(out / "metrics.jsonl", start)
        if start:  # a kill between the state of this step and its checkpoint
            save_checkpoint(out, training, assembly, base=record, class_mean=class_mean, steps_done=start)
    for step in track(range(start, config.steps), "steps of fine-tuning", done=start):
        training.take(step)
        done = step + 1
        if main and (done % config.log_every == 0 or done == config.steps):
            line = training.meter.line()
            stage.log(step=done, **line)
            accelerator.log(line, step=done)
        if done % config.save_every == 0 or done == config.steps:
            state.save(done)
            accelerator.wait_for_everyone()  # a checkpoint without the states of all could not go on
            state.settle()
            if main:
                save_checkpoint(out, training, assembly, base=record, class_mean=class_mean, steps_done=done)
    if main:
        stage.finish(trained=sum(weight.numel() for weight in training.weights), tensors=len(training.names))
    accelerator.wait_for_everyone()
    for tracker in accelerator.trackers:  # end_training() would take the process group down with them
        tracker.finish()
    if main:
        _drop_states(out)
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
        """Saves the state; that of the save before is kept until `settle`, if there are other processes."""
        run = self.training
        tensors: dict[str, Tensor] = {
            f"weight/{name}": weight for name, weight in zip(run.names, run.weights, strict=True)
        }
        tensors |= {f"weight/{name}": weight for name, weight in run.helpers.items()}
        tensors |= {f"average/{name}": tensor for name, tensor in run.averaged.items()}
        tensors |= {f"criterion/{name}": tensor for name, tensor in run.criteria.state_dict().items()}
        tensors |= optimizer_tensors(run.optimizer.optimizer, (*run.names, *run.helpers))
        require_finite(tensors, step=step - 1)
        tensors |= run.meter.tensors()
        if run.accelerator.num_processes > 1 and self.path.exists():
            os.replace(self.path, self.before)
        write_tensors(self.path, tensors, {"step": step, "key": self.key})

    def settle(self) -> None:
        """All processes have saved: the state before can go."""
        self.before.unlink(missing_ok=True)

    @property
    def before(self) -> Path:
        return self.path.with_name(f"{self.path.stem}-before.safetensors")

    def restore(self) -> int:
        """Puts the last state back that all processes have saved, if there is one; returns the number of steps done."""
        run, out = self.training, self.path.parent
        states = [saved_state(path, self.key, "the state of a training") for path in (self.path, self.before)]
        found = {saved[1]: saved[0] for saved in states if saved is not None}
        if not found and (out / "config.json").exists():
            raise UserError(f"{out} holds another checkpoint; choose another folder or remove it")
        steps = torch.tensor(sorted(found)[-2:] + [0] * (2 - len(found)), device=run.accelerator.device)
        of_all = run.accelerator.gather(steps).reshape(-1, 2).tolist()
        steps_done = max(set.intersection(*({0, *theirs} for theirs in of_all)))
        if steps_done:
            self.take(found[steps_done])
        return steps_done

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Puts back what was saved."""
        run = self.training
        wanted: dict[str, Tensor] = {
            f"weight/{name}": weight for name, weight in zip(run.names, run.weights, strict=True)
        }
        wanted |= {f"weight/{name}": weight for name, weight in run.helpers.items()}
        wanted |= {f"average/{name}": average for name, average in run.averaged.items()}
        saved = {name: tensor for name, tensor in tensors.items() if name.startswith(("weight/", "average/"))}
        require_shapes(shapes_of(saved), shapes_of(wanted), self.path, _ANEW)
        with torch.no_grad():
            for name, mine in wanted.items():
                mine.copy_(saved[name])
        memories = {n.removeprefix("criterion/"): t for n, t in tensors.items() if n.startswith("criterion/")}
        try:
            run.criteria.load_state_dict(memories)
            restore_optimizer(run.optimizer.optimizer, (*run.names, *run.helpers), tensors)
            run.meter.restore(
                {name: tensor.to(run.accelerator.device) for name, tensor in tensors.items() if "meter/" in name}
            )
        except (RuntimeError, ValueError, LookupError) as error:
            raise UserError(f"{self.path} is damaged ({' '.join(str(error).split())[:200]}); {_ANEW}") from None


def _drop_states(out: Path) -> None:
    """Removes the states of all processes: the training is finished, nothing will resume it."""
    for path in out.glob("resume-*.safetensors"):
        remove(path)
