"""Distil a driving data set into a few stills, and judge honestly whether they beat picked real frames.

The names of ``__all__`` are the library's public face. Each is imported when it is first asked for, so that
``import roadstill`` and ``roadstill --help`` answer at once.
"""

import os
import sys

# ``python -m roadstill`` puts the working folder first on the import path, so that anybody's ``numpy.py`` there would
# be taken for the library. Both modules above were loaded when Python started; all others come after this.
if sys.argv[:1] == ["-m"] and {"roadstill", "-mroadstill"} & {*sys.orig_argv[1:]}:
    if sys.path[:1] == [os.getcwd()] and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from roadstill.moved import install as _install

if TYPE_CHECKING:
    from roadstill.adapters import Adapter, BitFit, DiffFit, Full, LoRA, apply_adapters, merge, parameter_ledger
    from roadstill.agents import Agent, AgentConfig, open_agent, train_agent
    from roadstill.codecs import Codec, load_codec
    from roadstill.codecs.config import CodecTraining
    from roadstill.codecs.latents import LatentStore, encode_imageset, open_latents
    from roadstill.codecs.training import pretrain_codec
    from roadstill.criteria import Criterion, Diversity, MeanAlignment, Representativeness
    from roadstill.data.folders import import_folder
    from roadstill.data.indexing import IndexConfig, index_data
    from roadstill.data.picture_store import PictureConfig
    from roadstill.data.prepare import prepare_splits
    from roadstill.data.privacy import BlurBoxes
    from roadstill.data.sources import PictureSource, SetRequest
    from roadstill.denoisers.base import Denoiser, Estimate, Origin, Sampling, SolverNoise, TeacherGuidance
    from roadstill.distil.refine import Refinement, refine
    from roadstill.errors import UserError
    from roadstill.evaluation import (
        Comparison,
        Evaluation,
        Run,
        Verdict,
        compare,
        compare_sets,
        evaluate,
        open_run,
        open_runs,
        open_test,
        run_of,
    )
    from roadstill.frames import BrakeLabel, FrameTable, open_frames
    from roadstill.frames.filters import FrameFilter, SceneFilter
    from roadstill.generator.checkpoints import export_base, load_denoiser
    from roadstill.generator.config import Attributes, EDMTraining, Ema, FinetuneConfig, Labels, Minimax, Term
    from roadstill.generator.finetune import finetune
    from roadstill.generator.generate import generate
    from roadstill.images import BrokenImage
    from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
    from roadstill.names import trusting
    from roadstill.networks.kinds import NetworkConfig, SongUNetConfig, UNet2DConfig
    from roadstill.pipeline import run_recipe
    from roadstill.recipes import Recipe, read_recipe
    from roadstill.report import write_report
    from roadstill.schedules import NoiseSchedule, Progressive, cosine, linear, read_schedule, spoon_cosine
    from roadstill.selection import SELECTORS, JointSelector, Maker, Selector, make_selector, pick, select
    from roadstill.sharing import Published, share
    from roadstill.sources.base import FrameSource

__version__ = "0.1.0"
__all__ = [
    "SELECTORS",
    "Adapter",
    "Agent",
    "AgentConfig",
    "Attributes",
    "BitFit",
    "BlurBoxes",
    "BrakeLabel",
    "BrokenImage",
    "Codec",
    "CodecTraining",
    "Comparison",
    "Criterion",
    "Denoiser",
    "DiffFit",
    "Diversity",
    "EDMTraining",
    "Ema",
    "Estimate",
    "Evaluation",
    "FinetuneConfig",
    "FrameFilter",
    "FrameSource",
    "FrameTable",
    "Full",
    "ImageSet",
    "ImageSetWriter",
    "IndexConfig",
    "JointSelector",
    "Labels",
    "LatentStore",
    "LoRA",
    "Maker",
    "MeanAlignment",
    "Minimax",
    "NetworkConfig",
    "NoiseSchedule",
    "Origin",
    "PictureConfig",
    "PictureSource",
    "Progressive",
    "Published",
    "Recipe",
    "Refinement",
    "Representativeness",
    "Run",
    "Sampling",
    "SceneFilter",
    "Selector",
    "SetRequest",
    "SolverNoise",
    "SongUNetConfig",
    "TeacherGuidance",
    "Term",
    "UNet2DConfig",
    "UserError",
    "Verdict",
    "apply_adapters",
    "compare",
    "compare_sets",
    "cosine",
    "encode_imageset",
    "evaluate",
    "export_base",
    "finetune",
    "generate",
    "import_folder",
    "index_data",
    "linear",
    "load_codec",
    "load_denoiser",
    "make_selector",
    "merge",
    "open_agent",
    "open_frames",
    "open_imageset",
    "open_latents",
    "open_run",
    "open_runs",
    "open_test",
    "parameter_ledger",
    "pick",
    "prepare_splits",
    "pretrain_codec",
    "read_recipe",
    "read_schedule",
    "refine",
    "run_of",
    "run_recipe",
    "select",
    "share",
    "spoon_cosine",
    "train_agent",
    "trusting",
    "write_report",
]
_PUBLIC = {
    "adapters": ("Adapter", "BitFit", "DiffFit", "Full", "LoRA", "apply_adapters", "merge", "parameter_ledger"),
    "agents": ("Agent", "AgentConfig", "open_agent", "train_agent"),
    "codecs": ("Codec", "load_codec"),
    "codecs.latents": ("LatentStore", "encode_imageset", "open_latents"),
    "codecs.config": ("CodecTraining",),
    "codecs.training": ("pretrain_codec",),
    "criteria": ("Criterion", "Diversity", "MeanAlignment", "Representativeness"),
    "data.folders": ("import_folder",),
    "data.indexing": ("IndexConfig", "index_data"),
    "data.picture_store": ("PictureConfig",),
    "data.prepare": ("prepare_splits",),
    "data.privacy": ("BlurBoxes",),
    "data.sources": ("PictureSource", "SetRequest"),
    "denoisers.base": ("Denoiser", "Estimate", "Origin", "Sampling", "SolverNoise", "TeacherGuidance"),
    "errors": ("UserError",),
    "evaluation": (
        "Comparison",
        "Evaluation",
        "Run",
        "Verdict",
        "compare",
        "compare_sets",
        "evaluate",
        "open_run",
        "open_runs",
        "open_test",
        "run_of",
    ),
    "frames": ("BrakeLabel", "FrameTable", "open_frames"),
    "frames.filters": ("FrameFilter", "SceneFilter"),
    "generator.checkpoints": ("export_base", "load_denoiser"),
    "generator.config": ("Attributes", "EDMTraining", "Ema", "FinetuneConfig", "Labels", "Minimax", "Term"),
    "generator.finetune": ("finetune",),
    "generator.generate": ("generate",),
    "distil.refine": ("Refinement", "refine"),
    "images": ("BrokenImage",),
    "imagesets": ("ImageSet", "ImageSetWriter", "open_imageset"),
    "names": ("trusting",),
    "networks.kinds": ("NetworkConfig", "SongUNetConfig", "UNet2DConfig"),
    "pipeline": ("run_recipe",),
    "recipes": ("Recipe", "read_recipe"),
    "report": ("write_report",),
    "schedules": ("NoiseSchedule", "Progressive", "cosine", "linear", "read_schedule", "spoon_cosine"),
    "selection": ("SELECTORS", "JointSelector", "Maker", "Selector", "make_selector", "pick", "select"),
    "sharing": ("Published", "share"),
    "sources.base": ("FrameSource",),
}
_MODULE_OF = {name: f"roadstill.{module}" for module, names in _PUBLIC.items() for name in names}


if not TYPE_CHECKING:  # a type checker that saw it would take any name

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(_MODULE_OF[name]), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Python binds what it imports to the package: `roadstill.generate` as a module of the old layout must not hide
        # the function of that name.
        if name not in _MODULE_OF or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
_install()
