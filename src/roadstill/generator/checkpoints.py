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
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from roadstill import adapters as known_adapters
from roadstill.adapters import Adapter, apply_adapters, load_trained, merge
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.denoisers.edm import EDMDenoiser
from roadstill.denoisers.labelled import ASSUMED, LabelledDenoiser
from roadstill.denoisers.sit import SiTDenoiser
from roadstill.errors import UserError
from roadstill.generator.edm_weights import CODEC, load_edm
from roadstill.learning.loops import METADATA, generator_of, read_tensors, require_names, write_tensors
from roadstill.networks.dit import DiT, LabelEmbed
from roadstill.networks.interchange import (
    DIFFUSERS_KIND,
    betas_beside,
    load_dit,
    open_diffusers_dit,
    transformer_folder,
)
from roadstill.networks.kinds import Network, network_of
from roadstill.runs import digest_file, read_json, require_folder, write_json
from roadstill.schedules import NoiseSchedule, Progressive, linear
from roadstill.weights import WEIGHTS, diffusers_class, local, shipped

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
        base: where the checkpoint's base lies now, if it has moved.
        objective: what weights of others predict: ``noise`` (DiT, the default) or ``velocity`` (SiT); ours know, and
            EDM's predict ``denoised`` pictures.

    Raises:
        UserError: nothing there, another format, tensors that do not fit, a base that is not the recorded one,
            no moving average in the checkpoint, an objective that is not the recorded one.
    """
    if which not in ("ema", "trained"):
        raise UserError(f"which is {which!r}; choose ema or trained")
    path = shipped("dit.safetensors") if path is None else local(path)
    if path.suffix == ".pkl":
        found = _load_edm(path)
    elif path.is_file() or path.suffix in (".safetensors", ".pt", ".pth"):
        found = _load_foreign(path, objective) if _is_foreign(path) else _load_base(path)
    elif diffusers_class(transformer_folder(path)) == DIFFUSERS_KIND:
        found = _load_foreign(path, objective)
    else:
        require_folder(path, "a checkpoint (a folder with trained.safetensors)")
        found = _load_checkpoint(path, which, base)
    if objective not in (None, objective_of(found)):
        raise UserError(f"{path} predicts {objective_of(found)}, not {objective}")
    return found


def objective_of(denoiser: LabelledDenoiser) -> str:
    """What a denoiser's network predicts: ``noise``, ``velocity`` or ``denoised`` pictures."""
    return denoiser.objective


def _load_edm(path: Path) -> LabelledDenoiser:
    network, facts = load_edm(path)
    about = {"network": network.config, "objective": "denoised", "loss_reduction": "sum", "augment": 0.0}
    about |= {"guided_channels": None, "label_rows": None, "codec": CODEC} | facts
    return _stored(network, None, about, digest_file(path))


def _is_foreign(path: Path) -> bool:
    if path.suffix in (".pt", ".pth"):
        return True
    try:
        with safe_open(path, framework="pt") as file:
            return METADATA not in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False  # the reader that follows says what is wrong


def _load_foreign(path: Path, objective: str | None) -> LabelledDenoiser:
    network = open_diffusers_dit(path) if path.is_dir() else load_dit(path)
    about: dict[str, Any] = {
        "network": network.config,
        "label_dropout": 0.1,
        # What the reference does to the four channels of Stable Diffusion's latents.
        "guided_channels": 3 if network.in_channels == 4 else None,
        "label_rows": None,
    }
    weights = transformer_folder(path) / WEIGHTS if path.is_dir() else path
    betas = betas_beside(path) if path.is_dir() else None
    if betas is None:
        about["schedule"], betas = ASSUMED, linear()
    return _stored(network, None if objective == "velocity" else NoiseSchedule.of(betas), about, digest_file(weights))


def _load_base(path: Path) -> LabelledDenoiser:
    tensors, about = read_tensors(path, "a generator (.safetensors written by pretrain)")
    if about.get("format") != BASE_FORMAT:
        raise UserError(f"{path} has format {about.get('format')!r}, not {BASE_FORMAT!r}; export it with this version")
    network = _build(about, path)
    schedule = _take_schedule(tensors, about, path)
    wanted = {name: tensor for name, tensor in network.state_dict().items() if name != "pos_embed"}
    require_names(tensors, wanted, path)
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape or not tensor.isfinite().all():
            raise UserError(f"{path}: {name} has a wrong shape or holds numbers that are not finite; it is damaged")
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)
    return _stored(network, schedule, about, digest_file(path))


def _load_checkpoint(folder: Path, which: str, base: Path | None) -> LabelledDenoiser:
    about = read_json(folder / "config.json")
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise UserError(f"{folder / 'config.json'} is not of format {FORMAT}; train with this version")
    path = folder / "trained.safetensors"
    tensors, _ = read_tensors(path, "the trained tensors of a checkpoint")
    schedule = _take_schedule(tensors, about, path)
    class_mean = tensors.pop(CLASS_MEAN, None)
    averaged = {name.removeprefix(EMA): tensor for name, tensor in tensors.items() if name.startswith(EMA)}
    trained = {name: tensor for name, tensor in tensors.items() if not name.startswith(EMA)}
    if which == "ema" and not averaged:
        raise UserError(f"{folder} was trained without a moving average (ema: off); load it with which='trained'")
    network = _build(about, path) if about["base"] is None else _network_of_base(folder, about, base)
    adapt(network, [adapter_of(record) for record in about["adapters"]], about["fresh_labels"], seed=0)
    load_trained(network, averaged if which == "ema" else trained)
    denoiser = _stored(network, schedule, about, digest_file(path))
    denoiser.class_mean = class_mean
    return denoiser


def _network_of_base(folder: Path, about: Mapping[str, Any], moved: Path | None) -> Network:
    record = about["base"]
    if moved is None and record["path"].startswith(HUB):
        moved = Path(record["path"].removeprefix(HUB))
    elif moved is None and record["path"] != SHIPPED:
        moved = folder / record["path"]
        if not moved.exists():
            raise UserError(f"{folder}: its base {record['path']} is not there; say where it lies now (base)")
    found = load_denoiser(moved, objective=about.get("objective"))
    if found.digest != record["digest"]:
        raise UserError(f"{folder} was trained on base {record['digest']}, but {moved or SHIPPED} is {found.digest}")
    return plain_network(found)


def plain_network(denoiser: LabelledDenoiser) -> Network:
    """The denoiser's network with all adapters folded in, ready for new ones."""
    network = denoiser.network
    assert isinstance(network, Network)
    return merge(network)


def _build(about: Mapping[str, Any], path: Path) -> Network:
    try:
        return network_of(about["network"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: the network's configuration cannot be used ({error})") from None


def _take_schedule(tensors: dict[str, Tensor], about: Mapping[str, Any], path: Path) -> NoiseSchedule | None:
    if about.get("objective") in ("velocity", "denoised"):
        return None
    if not all(name in tensors for name in SCHEDULE):
        raise UserError(f"{path} holds no noise schedule; it was not written by this package")
    return NoiseSchedule(*(tensors.pop(name) for name in SCHEDULE))


def schedule_tensors(schedule: NoiseSchedule | None) -> dict[str, Tensor]:
    """The schedule as named tensors for a checkpoint."""
    if schedule is None:
        return {}
    return dict(zip(SCHEDULE, (schedule.betas, schedule.timesteps), strict=True))


def denoiser_of(
    network: Network, schedule: NoiseSchedule | Progressive | None, about: Mapping[str, Any]
) -> LabelledDenoiser:
    """The denoiser that predicts noise over this schedule, or, if there is none, velocity or denoised pictures."""
    settings = {name: about[name] for name in ("label_dropout", "guided_channels", "label_rows")}
    if about.get("objective") == "denoised":
        return EDMDenoiser(network, **settings, loss_reduction=about["loss_reduction"], augment=about["augment"])
    return SiTDenoiser(network, **settings) if schedule is None else DiTDenoiser(network, schedule, **settings)


def _stored(
    network: Network, schedule: NoiseSchedule | None, about: Mapping[str, Any], digest: str
) -> LabelledDenoiser:
    denoiser = denoiser_of(network.eval().requires_grad_(False), schedule, about)
    denoiser.digest, denoiser.about = digest, about
    return denoiser


def save_checkpoint(
    folder: Path,
    *,
    trained: Mapping[str, Tensor],
    averaged: Mapping[str, Tensor],
    schedule: NoiseSchedule | None,
    class_mean: Tensor,
    about: Mapping[str, Any],
) -> None:
    """Writes ``trained.safetensors`` and ``config.json``, each atomically."""
    tensors = dict(trained) | {EMA + name: tensor for name, tensor in averaged.items()} | schedule_tensors(schedule)
    tensors[CLASS_MEAN] = class_mean
    write_json(folder / "config.json", {"format": FORMAT} | dict(about))
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
    kept = ["label_dropout", "guided_channels", "label_rows", "class_names", "latents", "codec", "step", "objective"]
    kept += ["loss_reduction", "augment"] if found.objective == "denoised" else []
    about = {key: found.about.get(key) for key in kept}
    about |= {"format": BASE_FORMAT, "network": network.config, "checkpoint": found.digest}
    write_tensors(path, tensors | schedule_tensors(found.schedule), about)
    return path


def record_base(folder: Path, base: Path | None, digest: str) -> dict[str, str]:
    """How a checkpoint names its base: relative to itself, so that both can move together, or by its hub name."""
    if base is None:
        path = SHIPPED
    else:
        path = Path(os.path.relpath(base, folder)).as_posix() if base.exists() else HUB + base.as_posix()
    return {"path": path, "digest": digest}


def adapt(
    network: Network,
    adapters: Sequence[Adapter],
    fresh_labels: int | None,
    *,
    seed: int,
    like: Sequence[int] | None = None,
) -> list[str]:
    """Gives the network its adapters and, if asked, a new label table; returns the names that learn."""
    if fresh_labels is not None:
        if not isinstance(network, DiT):
            raise UserError(f"a {type(network).__name__} has no label table to renew; leave label_init as it is")
        renew_labels(network, fresh_labels, seed=seed, like=like)
    apply_adapters(network, adapters)
    if fresh_labels is not None and isinstance(network, DiT):
        network.y_embedder.requires_grad_(True)
    return [name for name, parameter in network.named_parameters() if parameter.requires_grad]


@torch.no_grad()
def renew_labels(network: DiT, num_classes: int, *, seed: int, like: Sequence[int] | None = None) -> None:
    """New label rows: the mean of the old ones (``like`` names which) plus a little seeded noise.

    The row for "no label" is kept.

    The noise (a tenth of the old rows' spread) tells the classes apart from the first step on.
    """
    old = network.y_embedder.embedding_table.weight
    if like is not None and not all(0 <= row < len(old) - 1 for row in like):
        raise UserError(f"label_rows {list(like)} name rows beyond the base's {len(old) - 1}")
    rows = old[:-1] if like is None else old[list(like)]
    table = LabelEmbed(num_classes, network.hidden_size)
    spread = rows.std() if rows.numel() > 1 else rows.new_ones(())
    noise = torch.randn((num_classes, old.shape[1]), generator=generator_of("label rows", seed))
    table.embedding_table.weight[:-1] = rows.mean(0) + 0.1 * spread * noise
    table.embedding_table.weight[-1] = old[-1]
    network.y_embedder, network.num_classes = table, num_classes


def adapter_record(adapter: Adapter) -> dict[str, Any]:
    """An adapter as JSON: its type's name and its settings."""
    if not is_dataclass(adapter) or not hasattr(known_adapters, type(adapter).__name__):
        raise UserError(f"adapter {adapter!r} is not one of roadstill.adapters, so a checkpoint could not name it")
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
