"""Generators that others trained: DiT and SiT in the original layout or as diffusers folders, and EDM's pickles."""

from pathlib import Path
from typing import Any

import torch
from msgspec.structs import asdict

from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError, located
from roadstill.generator.assembly import opened
from roadstill.generator.edm_weights import CODEC, load_edm
from roadstill.imagesets.sources import UNRECORDED
from roadstill.networks.exported import SchedulerRecord
from roadstill.networks.interchange import (
    DIFFUSERS_KIND,
    facts_of,
    load_dit,
    open_diffusers_dit,
    scheduler_beside,
    transformer_folder,
)
from roadstill.runs import digest_file
from roadstill.schedules import NoiseSchedule, linear
from roadstill.weights import WEIGHTS, diffusers_class
from roadstill.weights.tensors import open_tensors


def is_foreign(path: Path) -> bool:
    """Whether a file or folder is not of this package's making."""
    if path.suffix in (".pkl", ".pt", ".pth"):
        return True
    if not path.is_file():
        inside = transformer_folder(path)
        return inside != path or diffusers_class(inside) == DIFFUSERS_KIND
    try:
        return not open_tensors(path, "a generator").is_own
    except UserError:
        return False  # the reader that follows reports what is wrong


def load_foreign(path: Path, objective: str | None) -> LabelledDenoiser:
    """Opens a generator that others trained.

    Args:
        path: DiT or SiT weights in the original layout (``.pt``, safetensors), a diffusers folder, or a pickle of EDM
            (``.pkl``), of which no code is run.
        objective: prediction target of a DiT: ``noise`` (the default), ``v_prediction`` or ``velocity``.

    Raises:
        UserError: another format, or tensors that do not fit.
    """
    return _load_edm(path) if path.suffix == ".pkl" else _load_dit(path, objective)


def _load_edm(path: Path) -> LabelledDenoiser:
    network, facts = load_edm(path)
    about = {"network": network.config, "guided_channels": None, "label_rows": None, "codec": CODEC} | facts
    about["sources"] = ("edm-weights",)
    return opened(network, None, about, digest_file(path), path)


def _load_dit(path: Path, objective: str | None) -> LabelledDenoiser:
    network = open_diffusers_dit(path) if path.is_dir() else load_dit(path)
    facts = facts_of(path)
    scheduler = scheduler_beside(path) if path.is_dir() else SchedulerRecord()
    about: dict[str, Any] = {
        "objective": objective or ("v_prediction" if scheduler.prediction_type == "v_prediction" else None),
        "label_dropout": 0.1,
        # What the reference does to the four channels of Stable Diffusion's latents.
        "guided_channels": 3 if network.in_channels == 4 else None,
        "label_rows": None,
    }
    if facts is not None and facts.objective is not None:
        about |= asdict(facts)
    # What this package exported tells no more of what it stems from than that it is a DiT.
    about["sources"] = ("dit-weights",) if facts is None else ("dit-weights", UNRECORDED)
    weights = transformer_folder(path) / WEIGHTS if path.is_dir() else path
    betas = scheduler.trained_betas
    about["schedule_assumed"] = betas is None
    with located(path):
        schedule = NoiseSchedule.of(linear() if betas is None else torch.tensor(betas, dtype=torch.float64))
    return opened(network, schedule, about, digest_file(weights), path)
