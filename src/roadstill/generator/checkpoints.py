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
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from roadstill import adapters as known_adapters
from roadstill.adapters import Adapter, apply_adapters, load_trained, renew_labels
from roadstill.denoisers.kinds import kind_of
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError, located
from roadstill.generator.assembly import Assembly, opened, plain_network
from roadstill.generator.foreign import is_foreign, load_foreign
from roadstill.generator.step import Training
from roadstill.learning.loops import read_tensors, require_names, write_tensors
from roadstill.networks.kinds import Network, network_of
from roadstill.runs import WithClasses, digest_file, read_json, require_folder, typed, write_json
from roadstill.schedules import NoiseSchedule
from roadstill.weights import local, require_fetched, shipped

FORMAT = "roadstill-checkpoint-1"
BASE_FORMAT = "roadstill-generator-1"
SHIPPED = "shipped"
HUB = "hub:"
EMA = "ema/"
CLASS_MEAN = "latents/class_mean"
SCHEDULE = ("schedule/betas", "schedule/timesteps")


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
        objective: prediction target of weights of others: ``noise`` (DiT, the default) or ``velocity`` (SiT); our own
            record it, and EDM's predict ``denoised`` pictures.

    Raises:
        UserError: nothing there, another format, tensors that do not fit, a base that is not the recorded one,
            no moving average in the checkpoint, an objective that is not the recorded one.
    """
    if which not in ("ema", "trained"):
        raise UserError(f"which is {which!r}; choose ema or trained")
    path = shipped("dit.safetensors") if path is None else local(path)
    if is_foreign(path):
        found = load_foreign(path, objective)
    elif path.is_file() or path.suffix == ".safetensors":
        found = _load_base(path)
    else:
        require_folder(path, "a checkpoint (a folder with trained.safetensors)")
        found = _load_checkpoint(path, which, base)
    if objective not in (None, found.objective):
        raise UserError(f"{path} predicts {found.objective}, not {objective}")
    return found


def _load_base(path: Path) -> LabelledDenoiser:
    tensors, about = read_tensors(path, "a generator (.safetensors written by pretrain)")
    if about.get("format") != BASE_FORMAT:
        raise UserError(f"{path} has format {about.get('format')!r}, not {BASE_FORMAT!r}; export it with this version")
    if about.get("class_names") is not None:
        typed(about, WithClasses, str(path), "export it again")
    network = _build(about, path)
    schedule = _take_schedule(tensors, network, about, path)
    wanted = {name: tensor for name, tensor in network.state_dict().items() if name != "pos_embed"}
    require_names(tensors, wanted, path)
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape or not tensor.isfinite().all():
            raise UserError(f"{path}: {name} has a wrong shape or holds numbers that are not finite; it is damaged")
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)
    return opened(network, schedule, about, digest_file(path))


def _load_checkpoint(folder: Path, which: str, base: Path | None) -> LabelledDenoiser:
    about = read_json(folder / "config.json")
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise UserError(f"{folder / 'config.json'} is not of format {FORMAT}; train with this version")
    typed(about, WithClasses, str(folder / "config.json"), "train it again")
    path = folder / "trained.safetensors"
    tensors, _ = read_tensors(path, "the trained tensors of a checkpoint")
    class_mean = tensors.pop(CLASS_MEAN, None)
    schedules = {name: tensors.pop(name) for name in SCHEDULE if name in tensors}
    averaged = {name.removeprefix(EMA): tensor for name, tensor in tensors.items() if name.startswith(EMA)}
    trained = {name: tensor for name, tensor in tensors.items() if not name.startswith(EMA)}
    if which == "ema" and not averaged:
        raise UserError(f"{folder} was trained without a moving average (ema: off); load it with which='trained'")
    network = _build(about, path) if about["base"] is None else _network_of_base(folder, about, base)
    schedule = _take_schedule(schedules, network, about, path)
    apply_adapters(network, [adapter_of(record) for record in about["adapters"]])
    if about["fresh_labels"] is not None:
        renew_labels(network, about["fresh_labels"])
    load_trained(network, averaged if which == "ema" else trained)
    return opened(network, schedule, about | {"class_mean": class_mean}, digest_file(path))


def _network_of_base(folder: Path, about: Mapping[str, Any], moved: Path | None) -> Network:
    record = about["base"]
    if moved is None and record["path"].startswith(HUB):
        moved = Path(record["path"].removeprefix(HUB))
        with located(folder / "config.json"):
            require_fetched(moved.as_posix(), "base")
    elif moved is None and record["path"] != SHIPPED:
        moved = folder / record["path"]
        if not moved.exists():
            raise UserError(f"{folder}: its base {record['path']} is missing; give its present path (base)")
    found = load_denoiser(moved, objective=about.get("objective"))
    if found.origin.digest != record["digest"]:
        raise UserError(
            f"{folder} was trained on base {record['digest']}, but {moved or SHIPPED} is {found.origin.digest}"
        )
    return plain_network(found)


def _build(about: Mapping[str, Any], path: Path) -> Network:
    try:
        return network_of(about["network"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: the network's configuration cannot be used ({error})") from None


def _take_schedule(
    tensors: dict[str, Tensor], network: Network, about: Mapping[str, Any], path: Path
) -> NoiseSchedule | None:
    if not kind_of(type(network), about.get("objective")).needs_schedule:
        return None
    if not all(name in tensors for name in SCHEDULE):
        raise UserError(f"{path} holds no noise schedule; it was not written by this package")
    return NoiseSchedule(*(tensors.pop(name) for name in SCHEDULE))


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
    }
    write_json(folder / "config.json", about | denoiser.settings)
    write_tensors(folder / "trained.safetensors", tensors)


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
    about = {
        "format": BASE_FORMAT,
        "objective": found.objective,
        "network": network.config,
        "class_names": origin.class_names or None,
        "latents": origin.latents,
        "codec": origin.codec,
        "step": origin.step,
        "checkpoint": origin.digest,
    } | found.settings
    write_tensors(path, tensors | schedule_tensors(found.schedule), about)
    return path


def record_base(folder: Path, base: Path | None, digest: str) -> dict[str, str]:
    """How a checkpoint names its base: relative to itself, so that both can move together, or by its hub name."""
    if base is None:
        path = SHIPPED
    else:
        path = Path(os.path.relpath(base, folder)).as_posix() if base.exists() else HUB + base.as_posix()
    return {"path": path, "digest": digest}


def adapter_record(adapter: Adapter) -> dict[str, Any]:
    """An adapter as JSON: its type's name and its settings."""
    if not is_dataclass(adapter) or not hasattr(known_adapters, type(adapter).__name__):
        raise UserError(f"adapter {adapter!r} is not one of roadstill.adapters; checkpoints record only those")
    return {"type": type(adapter).__name__} | asdict(adapter)


def adapter_of(record: Mapping[str, Any]) -> Adapter:
    """The adapter that `adapter_record` described; only types of `roadstill.adapters` are made."""
    settings = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    kind = getattr(known_adapters, str(settings.pop("type", None)), None)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise UserError(f"adapter type {record.get('type')!r} is unknown; known are Full, BitFit, DiffFit and LoRA")
    try:
        found = kind(**settings)
    except TypeError as error:
        raise UserError(f"adapter {record.get('type')} cannot be made: {error}") from None
    assert isinstance(found, Adapter)
    return found
