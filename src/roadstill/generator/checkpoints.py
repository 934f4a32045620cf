"""Generators on disk: a checkpoint folder (what was trained, on top of a base) or one file (a whole network).

::

    checkpoint/  trained.safetensors  trained tensors, their moving average under ``ema/``, ``schedule/betas``,
                                      ``latents/class_mean``
                 config.json          network, adapters, classes, digests of base and latents, resolved settings
    base.safetensors                  all weights as fp16, betas, the network's keywords in the metadata

What stands in ``config.json`` and metadata under ``network`` are the keywords of a DiT, or those of the ``kind`` that
it names (`roadstill.networks.kinds`).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from roadstill.adapters import Adapter, load_trained
from roadstill.denoisers.kinds import kind_of
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError, located, one_line
from roadstill.generator.assembly import Assembly, adapt, opened, plain_network
from roadstill.generator.foreign import is_foreign, load_foreign
from roadstill.generator.records import (
    CheckpointRecord,
    GeneratorRecord,
    adapter_of,
    adapter_record,
    facts_in,
    told_later,
)
from roadstill.generator.step import Training
from roadstill.imagesets.sources import OF_PACKAGE
from roadstill.networks.kinds import Network, network_of, outline, sizes_of
from roadstill.runs import atomic_path, beside, digest_file, read_record, require_folder, typed, write_json
from roadstill.schedules import NoiseSchedule
from roadstill.weights import local, require_fetched, shipped
from roadstill.weights.sizes import without_weights
from roadstill.weights.tensors import Shapes, open_tensors, require_digest, require_shapes, shapes_of, write_tensors

FORMAT = "roadstill-checkpoint-1"
BASE_FORMAT = "roadstill-generator-1"
SHIPPED = "shipped"
HUB = "hub:"
EMA = "ema/"
CLASS_MEAN = "latents/class_mean"
SCHEDULE = ("schedule/betas", "schedule/timesteps")
_MOST_BASES = 8  # checkpoints that stand on one another
_AGAIN = "finetune again, or copy it again"


def load_denoiser(
    path: Path | None = None, *, which: str = "ema", base: Path | None = None, objective: str | None = None
) -> LabelledDenoiser:
    """Opens a generator for sampling: a checkpoint folder, a base file, weights of others, or the shipped base.

    Args:
        path: folder written by finetune or pretrain; file written by `export_base`; DiT or SiT weights in the original
            layout (``.pt``, safetensors); a diffusers DiT (folder or hub name); a pickle of EDM (``.pkl``), of which no
            code is run; ``None`` is the shipped base.
        which: ``ema`` or ``trained`` tensors of a checkpoint; a base file has one set of weights only.
        base: path of the checkpoint's base, if it has moved.
        objective: prediction target of weights of others: ``noise`` (DiT, the default), ``v_prediction`` or
            ``velocity`` (SiT); our own record it, and EDM's predict ``denoised`` pictures.

    Raises:
        UserError: nothing there, another format, tensors that do not fit, a base that is not the recorded one,
            no moving average in the checkpoint, an objective that is not the recorded one.
    """
    if which not in ("ema", "trained"):
        raise UserError(f"which is {which!r}; choose ema or trained")
    return _load(shipped("dit.safetensors") if path is None else local(path), which, base, objective, ())


def _load(
    path: Path, which: str, base: Path | None, objective: str | None, above: tuple[Path, ...]
) -> LabelledDenoiser:
    """See `load_denoiser`; ``above`` are the checkpoints that stand on this one."""
    if len(above) > _MOST_BASES or path.resolve() in above:
        raise UserError(f"{above[0]}: its base stands on itself, or on more than {_MOST_BASES} others; finetune again")
    if is_foreign(path):
        found = load_foreign(path, objective)
    elif path.is_file() or path.suffix == ".safetensors":
        found = _load_base(path)
    else:
        require_folder(path, "a checkpoint (a folder with trained.safetensors)")
        found = _load_checkpoint(path, which, base, above)
    if objective not in (None, found.objective):
        raise UserError(f"{path} predicts {found.objective}, not {objective}")
    return found


def _load_base(path: Path) -> LabelledDenoiser:
    file = open_tensors(path, "a generator (.safetensors written by pretrain)")
    if file.about.get("format") != BASE_FORMAT:
        found = str(file.about.get("format"))[:100]
        raise UserError(f"{path} has format {found!r}, not {BASE_FORMAT!r}; export it with this version")
    record = typed(dict(file.about), GeneratorRecord, f"{path}, metadata", "export or fetch it again")
    sizes = sizes_of(record.network, f"{path}, network", "export or fetch it again")
    like = outline(sizes, str(path), file.shapes)
    wanted = {name: shape for name, shape in shapes_of(like.state_dict()).items() if name != "pos_embed"}
    require_shapes({name: shape for name, shape in file.shapes.items() if name not in SCHEDULE}, wanted, path)
    with beside(file.tensors) as read, beside(lambda: digest_file(path)) as digest:
        network, tensors = network_of(sizes), read()
    schedule = _schedule(tensors, like, record.objective, path)
    network.load_state_dict({name: tensors[name].float() for name in wanted}, strict=False)
    ours = {"sources": (OF_PACKAGE,)} if path.parent == shipped("") else {}  # their files tell nothing of it
    return opened(network, schedule, facts_in(record) | ours, digest(), path)


def _load_checkpoint(folder: Path, which: str, base: Path | None, above: tuple[Path, ...]) -> LabelledDenoiser:
    where = folder / "config.json"
    record = read_record(where, CheckpointRecord, _AGAIN, format=FORMAT)
    path = folder / "trained.safetensors"
    with beside(lambda: require_digest(path, record.trained, _AGAIN)) as digest:
        try:
            network, schedule, class_mean = _trained(folder, record, which, base, above)
        finally:
            digest()  # a damaged file is said to be one, whatever else is wrong with it
    return opened(network, schedule, facts_in(record) | {"class_mean": class_mean}, digest(), folder)


def _trained(
    folder: Path, record: CheckpointRecord, which: str, base: Path | None, above: tuple[Path, ...]
) -> tuple[Network, NoiseSchedule | None, Tensor | None]:
    """The network of a checkpoint with what was trained, its schedule and its classes' means."""
    where, path = folder / "config.json", folder / "trained.safetensors"
    file = open_tensors(path, "the trained tensors of a checkpoint")
    averaged = {name.removeprefix(EMA) for name in file.shapes if name.startswith(EMA)}
    if which == "ema" and not averaged:
        raise UserError(f"{folder} was trained without a moving average (ema: off); load it with which='trained'")
    adapters = [adapter_of(each, f"{where}, adapters") for each in record.adapters]
    below = None if record.base is None else _network_of_base(folder, record, base, above)
    sizes = sizes_of(record.network, f"{where}, network", _AGAIN)
    if below is not None:
        theirs = sizes_of(below.config, str(where), _AGAIN)
        for name, size in sizes.items():
            if theirs.get(name) != size:
                raise UserError(f"{where}, network: {name} is {size}, that of its base is {theirs.get(name)}; {_AGAIN}")
    held = dict(file.shapes) | ({} if below is None else shapes_of(below.state_dict()))
    learned, like = _outline(sizes, adapters, record, str(where), held)
    for prefix in ("", EMA) if averaged else ("",):
        found = {name: shape for name, shape in file.shapes.items() if name not in (*SCHEDULE, CLASS_MEAN)}
        mine = {name: shape for name, shape in found.items() if name.startswith(EMA) == bool(prefix)}
        require_shapes(mine, {prefix + name: shape for name, shape in learned.items()}, path)
    tensors = file.tensors()
    schedule = _schedule(tensors, like, record.objective, path)
    network = network_of(sizes) if below is None else below
    adapt(network, adapters, record.fresh_labels, record.fresh_attributes)
    prefix = EMA if which == "ema" else ""
    load_trained(network, {name: tensors[prefix + name] for name in learned})
    return network, schedule, tensors.get(CLASS_MEAN)


def _network_of_base(folder: Path, record: CheckpointRecord, moved: Path | None, above: tuple[Path, ...]) -> Network:
    told = record.base
    assert told is not None
    if moved is None and told.path.startswith(HUB):
        name = told.path.removeprefix(HUB)
        with located(folder / "config.json"):
            require_fetched(name, "base")
        moved = Path(name)
    elif moved is None and told.path != SHIPPED:
        moved = folder / told.path
        if not moved.exists():
            raise UserError(f"{folder}: its base {one_line(told.path[:200])} is missing; give its present path (base)")
    path = shipped("dit.safetensors") if moved is None else local(moved)
    found = _load(path, "ema", None, record.objective, (*above, folder.resolve()))
    if found.origin.digest != told.digest:
        raise UserError(f"{folder} was trained on base {told.digest}, but {moved or SHIPPED} is {found.origin.digest}")
    return plain_network(found)


def _outline(
    sizes: Mapping[str, Any], adapters: list[Adapter], record: CheckpointRecord, where: str, held: Shapes
) -> tuple[Shapes, Network]:
    """Shapes of what learns in a network with its adapters, and the network, both without weights."""
    network = outline(sizes, where, held)
    with without_weights(where, held), located(where):
        adapt(network, adapters, record.fresh_labels, record.fresh_attributes)
    return shapes_of({name: each for name, each in network.named_parameters() if each.requires_grad}), network


def _schedule(
    tensors: Mapping[str, Tensor], network: Network, objective: str | None, path: Path
) -> NoiseSchedule | None:
    """The noise schedule among a file's tensors, for kinds of generators that need one."""
    if not kind_of(type(network), objective).needs_schedule:
        return None
    if not all(name in tensors for name in SCHEDULE):
        raise UserError(f"{path} holds no noise schedule; it was not written by this package")
    betas, times = (tensors[name] for name in SCHEDULE)
    with located(path):
        NoiseSchedule.of(betas)  # checks them
    if times.shape != betas.shape or not bool((times >= 0).all() and (times.diff() >= 0).all() and times[-1] < 1e6):
        raise UserError(f"{path}: schedule/timesteps are not a rising time for each of {len(betas)} betas; {_AGAIN}")
    return NoiseSchedule(betas, times)


def schedule_tensors(schedule: NoiseSchedule | None) -> dict[str, Tensor]:
    """The schedule as named tensors for a checkpoint."""
    if schedule is None:
        return {}
    return dict(zip(SCHEDULE, (schedule.betas, schedule.timesteps), strict=True))


def save_checkpoint(
    folder: Path,
    training: Training,
    assembly: Assembly,
    *,
    base: Mapping[str, str] | None,
    class_mean: Tensor,
    steps_done: int,
) -> None:
    """Writes ``trained.safetensors`` and ``config.json``, each atomically.

    Args:
        folder: checkpoint folder.
        training: training that goes on, or has ended.
        assembly: denoiser that it began with.
        base: the base as `record_base` names it, if there is one.
        class_mean: mean latents of the classes, ``[k, c, h, w]``.
        steps_done: number of optimiser steps so far.
    """
    denoiser, latents, config = training.denoiser, training.latents, training.config
    progress = 1.0 if steps_done == config.steps else (steps_done - 1) / config.steps
    tensors: dict[str, Tensor] = dict(zip(training.names, training.weights, strict=True))
    tensors |= {EMA + name: tensor for name, tensor in training.averaged.items()}
    tensors |= schedule_tensors(denoiser.at(progress).schedule) | {CLASS_MEAN: class_mean}
    about = {
        "format": FORMAT,
        "step": steps_done,
        "objective": denoiser.objective,
        "network": assembly.network,
        "adapters": [adapter_record(adapter) for adapter in config.adapters],
        "fresh_labels": assembly.fresh_labels,
        "class_names": latents.class_names,
        "base": base,
        "base_digest": base["digest"] if base else "none",
        "latents": latents.digest,
        "codec": latents.about.get("codec"),
        "seed": training.seed,
        "settings": config,
    } | told_later(denoiser.origin, assembly.fresh_attributes)
    with atomic_path(folder / "trained.safetensors") as temporary:
        write_tensors(temporary, tensors)
        # Both files change at nearly the same moment; a run that is killed between them writes both anew when resumed.
        write_json(folder / "config.json", about | denoiser.settings | {"trained": digest_file(temporary)})


def export_base(checkpoint: Path, path: Path, *, which: str = "ema", base: Path | None = None) -> Path:
    """Writes a checkpoint as one file that stands alone: adapters folded in, weights as fp16, betas inside."""
    return write_base(load_denoiser(checkpoint, which=which, base=base), path)


def write_base(found: LabelledDenoiser, path: Path, dtype: torch.dtype = torch.float16) -> Path:
    """As `export_base`, of a generator that is open; its weights in any precision."""
    network = plain_network(found)
    weights = {name for name, _ in network.named_parameters()}  # buffers are constants: frequencies, filters
    tensors = {
        name: tensor.to(dtype) if name in weights else tensor
        for name, tensor in network.state_dict().items()
        if name != "pos_embed"
    }
    origin = found.origin
    about = (
        {
            "format": BASE_FORMAT,
            "objective": found.objective,
            "network": network.config,
            "class_names": origin.class_names or None,
            "latents": origin.latents,
            "codec": origin.codec,
            "step": origin.step,
            "checkpoint": origin.digest,
        }
        | found.settings
        | told_later(found.origin)
    )
    write_tensors(path, tensors | schedule_tensors(found.schedule), about, sealed=True)
    return path


def record_base(folder: Path, base: Path | None, digest: str) -> dict[str, str]:
    """How a checkpoint names its base: relative to itself, so that both can move together, or by its hub name."""
    if base is None:
        path = SHIPPED
    else:
        path = Path(os.path.relpath(base, folder)).as_posix() if base.exists() else HUB + base.as_posix()
    return {"path": path, "digest": digest}
