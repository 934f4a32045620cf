"""Where the modules of the layout before 0.1.0 lie now; recipes, records and scripts still hold their old names.

The old names go in 0.3.0. Until then Python imports them with a `DeprecationWarning`, dotted paths find them without
one, and records go on naming things as they always did, so that what was made before is known as the same.

``finetune``, ``generate`` and ``refine`` are public functions of the package as well. There the function wins: after
``import roadstill.generate``, ``roadstill.generate`` is still the function, and the old module is reached only by
``from roadstill.generate import ...``.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

GONE_IN = "0.3.0"
MOVED = {
    f"roadstill.{old}": f"roadstill.{new}"
    for old, new in {
        "archives": "data.archives",
        "checkpoints": "generator.checkpoints",
        "cifar10": "data.cifar10",
        "edm_files": "generator.edm_weights",
        "expectations": "data.thesis_counts",
        "filters": "frames.filters",
        "finetune": "generator.finetune",
        "folders": "data.folders",
        "framestore": "frames.store",
        "generate": "generator.generate",
        "generator.refine": "distil.refine",
        "guides": "generator.guidance",
        "hub": "weights",
        "indexing": "data.indexing",
        "latents": "codecs.latents",
        "loops": "learning.loops",
        "noising": "generator.noising",
        "pictures": "data.picture_store",
        "precision": "learning.precision",
        "prepare": "data.prepare",
        "presets": "generator.published",
        "pretrain": "codecs.training",
        "privacy": "data.privacy",
        "refine": "distil.refine",
        "sources.boxes": "sources.navsim.boxes",
        "sources.cifar10_batch": "sources.cifar10.batch",
        "sources.cifar10_files": "sources.cifar10.files",
        "sources.cifar10_parquet": "sources.cifar10.parquet",
        "sources.csv_cells": "sources.csv.cells",
        "sources.csv_config": "sources.csv.config",
        "sources.csv_drives": "sources.csv.drives",
        "sources.csv_rows": "sources.csv.rows",
        "sources.csv_table": "sources.csv.table",
        "sources.edm_pickle": "sources.pickles.edm_pickle",
        "sources.lookup": "sources.navsim.lookup",
        "sources.pickled_arrays": "sources.pickles.arrays",
        "sources.plain_tree": "sources.pickles.plain_tree",
        "sources.presets": "sources.navsim.presets",
        "sources.schema": "sources.navsim.schema",
        "sources.unpickle": "sources.pickles.unpickle",
        "splits": "frames.splits",
        "steps": "generator.step",
        "studies": "pipeline.studies",
        "training": "generator.config",
        "verify": "data.verify",
    }.items()
}
_RECORDED = {new: old for old, new in MOVED.items()}


def present(path: str) -> str:
    """A dotted path of the old layout as one of this layout; any other path as it is."""
    module, _, name = path.rpartition(".")
    return f"{MOVED[module]}.{name}" if module in MOVED else path


def recorded(path: str) -> str:
    """A dotted path as records name it: by the old layout, if it had the module."""
    module, _, name = path.rpartition(".")
    return f"{_RECORDED[module]}.{name}" if module in _RECORDED else path


class _Alias(ModuleType):
    """An old module's name for the module that took its place."""

    def __getattr__(self, name: str) -> Any:
        module = importlib.import_module(MOVED[self.__name__])
        return [each for each in dir(module) if each[0] != "_"] if name == "__all__" else getattr(module, name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Alias(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        message = f"{module.__name__} is {MOVED[module.__name__]} now; the old name goes in roadstill {GONE_IN}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)


def install() -> None:
    """Lets Python import the old names; done once, by ``import roadstill``."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
