"""Other spellings of a recipe's fields: settings that stand without their group, and what a run recorded."""

from functools import cache
from typing import Any

from roadstill.adapters import BitFit, DiffFit, Full, LoRA
from roadstill.denoisers.base import Sampling
from roadstill.generator.config import FinetuneConfig
from roadstill.names import dataclasses_within
from roadstill.networks.kinds import NetworkConfig, SongUNetConfig, UNet2DConfig
from roadstill.runs import regrouped

GROUPED = {"finetune": FinetuneConfig, "pretrain": FinetuneConfig, "sampling": Sampling}
_CHOICES = {kind.__name__: kind for kind in (Full, BitFit, DiffFit, LoRA, NetworkConfig, SongUNetConfig, UNet2DConfig)}
"""Classes of which a field takes several, so that a recipe names one by its class path."""


def in_groups(settings: dict[str, Any]) -> dict[str, Any]:
    """The fields of a recipe, an arm or a size, settings put into their groups where they stand flat, as before 0.1.

    Raises:
        UserError: a setting stands both flat and in its group.
    """
    found = dict(settings)
    for name, value in settings.items():
        if isinstance(value, dict) and name in GROUPED:
            found[name] = regrouped(GROUPED[name], value)
        elif isinstance(value, dict) and name in ("arms", "sizes"):
            found[name] = {key: in_groups(each) if isinstance(each, dict) else each for key, each in value.items()}
    return found


def unrecorded(value: Any, kind: type) -> Any:
    """Fields without the names of types that records have; where a recipe needs one, as a class path.

    Args:
        value: value read from a YAML file.
        kind: dataclass that it is of.
    """
    if isinstance(value, list):
        return [unrecorded(each, kind) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: unrecorded(each, kind) for key, each in value.items()}
    name = found.get("type")
    if not isinstance(name, str) or name not in {*_CHOICES, *_names_within(kind)}:
        return found
    del found["type"]
    if name not in _CHOICES:
        return found
    return {"class_path": f"{_CHOICES[name].__module__}.{name}", "init_args": found}


@cache
def _names_within(kind: type) -> frozenset[str]:
    """Names of the dataclasses that a dataclass holds, itself included."""
    return frozenset(each.__name__ for each in dataclasses_within(kind))
