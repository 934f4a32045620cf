"""Finds models (in the package, on this machine, on the hub), and opens the folders of diffusers strictly."""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from roadstill.errors import UserError, located
from roadstill.names import require_trust, trusts
from roadstill.runs import read_json

WEIGHTS = "diffusion_pytorch_model.safetensors"

OURS = "roadstill/"  # models of the package, by names like those of the hub
HUB_NAMES = ("facebook/DiT-XL-2-256", "stabilityai/sd-vae-ft-ema", "stabilityai/sd-vae-ft-mse")
"""Models of the hub that shipped recipes name, so that anybody's may."""
_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w.-]+)?")
_WANTED = ("*.json", "*.safetensors")  # nothing that could run code
MODELS = ("codec", "decoder", "base", "checkpoint", "weights", "network")  # settings that may name a model on the hub
_OF_LIBRARY = "transformers:"


def shipped(name: str) -> Path:
    """A file of the package's ``weights`` folder."""
    return Path(str(files(__name__))) / name


def local(source: Path) -> Path:
    """The path itself if it exists; else ``owner/name`` or ``owner/name@revision`` fetched from the hub.

    ``roadstill/name`` comes with the package. Only JSON and safetensors are fetched; what was fetched before is not
    fetched again. A name that stands in somebody's file passes `require_fetched` first.

    Raises:
        UserError: neither a path nor in the package nor reachable on the hub.
    """
    name = source.as_posix()
    if name.startswith(OURS) and _NAME.fullmatch(name) and not source.exists():
        path = shipped(f"{source.name}.safetensors")
        if not path.is_file():
            known = ", ".join(sorted(OURS + each.stem for each in path.parent.glob("*.safetensors")))
            raise UserError(f"{name} does not come with the package; it has {known}")
        return path
    if not on_hub(name):
        return source
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    if (found := _fetched(name)) is not None:
        return found
    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(_WANTED)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name} does not exist here, and could not be fetched from the hub ({reason})") from None


def require_findable(name: str, what: str) -> None:
    """Refuses a model that is neither here nor, by its name, in the package or on the hub, before any work for it.

    Raises:
        UserError: names it and what it is for.
    """
    if not on_hub(name) and not local(Path(name)).exists():
        raise UserError(f"{what} {name[:200]!r} does not exist; give a file, a folder or a name on the hub")


def on_hub(name: str) -> bool:
    """Whether a text names a model on the hub: neither a path that exists nor a model of the package."""
    return bool(_NAME.fullmatch(name)) and not name.startswith(OURS) and not Path(name).exists()


def require_fetched(name: str, what: str) -> None:
    """Refuses the name of a model on the hub that stands in a file, unless it was fetched before or is well known.

    Args:
        name: a name, or anything else, which passes.
        what: what the model is for, as "base".

    Raises:
        Untrusted: it is neither here nor trusted (see `roadstill.names`).
    """
    if name not in HUB_NAMES and on_hub(name) and not trusts(name) and _fetched(name) is None:
        require_trust(name, what, "it would be fetched from the hub")


def require_all_fetched(fields: Any, where: str) -> None:
    """As `require_fetched`, for all models that a file of settings names.

    Args:
        fields: what the file holds.
        where: name of the file.

    Raises:
        UserError: names file and model.
    """
    parts = fields.items() if isinstance(fields, Mapping) else enumerate(fields) if isinstance(fields, list) else ()
    for key, part in parts:
        if key in MODELS and isinstance(part, str):
            with located(where):
                require_fetched(part.removeprefix(_OF_LIBRARY), str(key))
        require_all_fetched(part, where)


def _fetched(name: str) -> Path | None:
    """The folder of a model that was fetched before; the hub is not asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        folder = Path(snapshot_download(repository, revision=revision or None, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None
    return folder if any(folder.rglob("*.safetensors")) else None  # else it was not fetched to its end


def diffusers_class(folder: Path) -> str | None:
    """The class that a diffusers model folder names; None if the folder is not one."""
    path = folder / "config.json"
    found = read_json(path) if path.is_file() else None
    return str(found["_class_name"]) if isinstance(found, dict) and "_class_name" in found else None


def open_model(folder: Path, kinds: Sequence[str]) -> Any:
    """Opens a diffusers model folder; only safetensors are read, and tensors must fit exactly.

    Raises:
        UserError: another kind of folder or model, sizes beyond what the file holds, missing or unexpected tensors,
            wrong shapes, numbers that are not finite, a damaged file.
    """
    import diffusers
    import torch

    from roadstill.weights.sizes import without_weights
    from roadstill.weights.tensors import open_tensors

    kind = diffusers_class(folder)
    if kind is None or kind not in kinds:
        raise UserError(f"{folder} is not a diffusers model folder with one of {', '.join(kinds)} in its config.json")
    config = read_json(folder / "config.json")
    if "quantization_config" in config:  # names classes of other libraries
        raise UserError(f"{folder} holds quantised weights, which are not read; take the model in full precision")
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} has no {WEIGHTS}; other formats may run code and are not read")
    file = open_tensors(folder / WEIGHTS, f"the weights of a {kind}")
    level = diffusers.utils.logging.get_verbosity()
    diffusers.utils.logging.set_verbosity_error()  # what does not fit is said in one line
    try:
        with without_weights(str(folder / "config.json"), file.shapes):
            getattr(diffusers, kind).from_config(config)
        file.tensors()  # checks them
        network, about = getattr(diffusers, kind).from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True, torch_dtype=torch.float32
        )
    except UserError:
        raise
    except Exception as error:  # diffusers and safetensors raise errors of many kinds
        raise UserError(f"{folder} cannot be opened: {' '.join(str(error).split())[:300]}") from None
    finally:
        diffusers.utils.logging.set_verbosity(level)
    wrong = [f"{what.replace('_', ' ')}: {about[what]}" for what in about if about[what]]
    if wrong:
        raise UserError(f"{folder}: tensors do not fit ({'; '.join(wrong)[:500]})")
    return network
