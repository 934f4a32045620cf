"""Finds models (in the package, on this machine, on the hub), and opens the folders of diffusers strictly."""

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.runs import read_json

WEIGHTS = "diffusion_pytorch_model.safetensors"

OURS = "roadstill/"  # models of the package, by names like those of the hub
_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")
_WANTED = ("*.json", "*.safetensors")  # nothing that could run code


def shipped(name: str) -> Path:
    """A file of the package's ``weights`` folder."""
    return Path(str(files(__name__))) / name


def local(source: Path) -> Path:
    """The path itself if it exists; else ``owner/name`` or ``owner/name@revision`` fetched from the hub.

    ``roadstill/name`` comes with the package. Only JSON and safetensors are fetched; what was fetched before is not
    fetched again.

    Raises:
        UserError: neither a path nor in the package nor reachable on the hub.
    """
    name = source.as_posix()
    if source.exists() or not _NAME.fullmatch(name):
        return source
    if name.startswith(OURS):
        path = shipped(f"{source.name}.safetensors")
        if not path.is_file():
            known = ", ".join(sorted(OURS + each.stem for each in path.parent.glob("*.safetensors")))
            raise UserError(f"{name} does not come with the package; it has {known}")
        return path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(_WANTED)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name} does not exist here, and could not be fetched from the hub ({reason})") from None


def diffusers_class(folder: Path) -> str | None:
    """The class that a diffusers model folder names; None if the folder is not one."""
    path = folder / "config.json"
    found = read_json(path) if path.is_file() else None
    return str(found["_class_name"]) if isinstance(found, dict) and "_class_name" in found else None


def open_model(folder: Path, kinds: Sequence[str]) -> Any:
    """Opens a diffusers model folder; only safetensors are read, and tensors must fit exactly.

    Raises:
        UserError: another kind of folder or model, missing or unexpected tensors, wrong shapes, a damaged file.
    """
    import diffusers
    import torch

    kind = diffusers_class(folder)
    if kind is None or kind not in kinds:
        raise UserError(f"{folder} is not a diffusers model folder with one of {', '.join(kinds)} in its config.json")
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} has no {WEIGHTS}; other formats may run code and are not read")
    try:
        network, about = getattr(diffusers, kind).from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True, torch_dtype=torch.float32
        )
    except Exception as error:  # diffusers and safetensors raise errors of many kinds
        raise UserError(f"{folder} cannot be opened: {' '.join(str(error).split())[:300]}") from None
    wrong = [f"{what.replace('_', ' ')}: {about[what]}" for what in about if about[what]]
    if wrong:
        raise UserError(f"{folder}: tensors do not fit ({'; '.join(wrong)[:500]})")
    return network
