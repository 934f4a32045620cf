"""Weights that are already on this machine: the package's own, and those in the hub's cache."""

import os
from pathlib import Path
from typing import Any

from roadstill.weights import HUB_NAMES, shipped

SHIPPED = {"codec": "codec.safetensors", "base generator": "dit.safetensors", "EDM": "edm-cifar10.safetensors"}
_MOST_FILES = 200


def shipped_weights() -> dict[str, dict[str, Any]]:
    """State of the files that come with the package: found, missing or damaged; size in bytes, number of tensors."""
    from safetensors import SafetensorError, safe_open

    found: dict[str, dict[str, Any]] = {}
    for what, name in SHIPPED.items():
        path = shipped(name)
        try:
            with safe_open(path, framework="np") as file:
                found[what] = {"state": "found", "bytes": path.stat().st_size, "tensors": len(file.keys())}
        except FileNotFoundError:
            found[what] = {"state": "missing"}
        except (OSError, SafetensorError) as error:
            found[what] = {"state": "damaged", "reason": str(error)[:200]}
    return found


def hub_cache() -> Path:
    """The folder in which the hub's client keeps its downloads."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def hub_weights() -> dict[str, dict[str, Any]]:
    """State of the known models in the hub's cache: found, incomplete or missing; nothing is downloaded."""
    cache = hub_cache()
    found: dict[str, dict[str, Any]] = {}
    for name in HUB_NAMES:
        folder = cache / f"models--{name.replace('/', '--')}" / "snapshots"
        sizes = [_tensor_bytes(snapshot) for snapshot in _folders(folder)]
        if not sizes:
            found[name] = {"state": "missing"}
        else:
            found[name] = {"state": "found", "bytes": max(sizes)} if max(sizes) else {"state": "incomplete"}
    return found


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()][:_MOST_FILES]
    except OSError:
        return []


def _tensor_bytes(snapshot: Path) -> int:
    """Size of a snapshot's safetensors files; a broken link counts as 0."""
    total = looked = 0
    for folder, _, names in os.walk(snapshot):
        for name in names:
            looked += 1
            path = Path(folder, name)
            if looked <= _MOST_FILES and name.endswith(".safetensors") and path.is_file():
                total += path.stat().st_size
    return total
