"""Image classifiers of transformers as agents: from a local folder or by hub name."""

import re
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from torch import Tensor, nn

from roadstill.agents.backbones import IMAGENET, one_line, staged
from roadstill.agents.staged import StagedNetwork
from roadstill.agents.weights import read_weights
from roadstill.errors import UserError, located
from roadstill.runs import Record, read_json, read_record, typed
from roadstill.weights import local
from roadstill.weights.sizes import without_weights
from roadstill.weights.tensors import Shapes, open_tensors

_BY_NAME = ("timm_wrapper",)  # models whose configuration names a model of another library


def transformers_backbone(
    source: str,
    num_classes: int,
    size_px: int,
    weights: Path | None,
    *,
    trained: bool,
    made_from: Mapping[str, Any] | None = None,
    features: int | None = None,
) -> StagedNetwork:
    """An image classifier of transformers, its last linear layer replaced.

    Args:
        source: folder with ``config.json`` (and ``model.safetensors``, else the weights are random), or a hub name.
        num_classes: number of logits.
        size_px: side of the pictures.
        weights: None, since the folder has its own.
        trained: False leaves the weights random, for a caller that loads others right away.
        made_from: `StagedNetwork.made_from` of an earlier one; then the folder is not needed.
        features: width of the features, if it is known.

    Raises:
        UserError: a missing folder, no image classifier in it, weights in another format or that do not fit.
    """
    what = f"transformers:{source}"
    if weights is not None:
        raise UserError(f"the agent network {what} has its own weights; leave out weights ({weights})")
    if made_from is not None:
        typed(dict(made_from), _MadeFrom, f"{what}, made_from", "train it again")
    folder = local(Path(source)) if made_from is None else None
    with located(what):
        about = made_from if folder is None else _read(folder)
    assert about is not None
    found = folder if folder is not None and trained and _has_weights(folder) else None
    try:
        network, missing = _model(about["config"], found)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None
    except Exception as error:  # transformers and safetensors raise many kinds
        raise UserError(f"{what} cannot be opened as an image classifier: {one_line(error)}") from None
    classifier = _cut_classifier(network, what)
    if missing := [name for name in missing if not name.startswith(classifier)]:
        raise UserError(f"{what}: tensors are missing or do not fit ({one_line(missing)})")
    norm = (about["image_mean"], about["image_std"])
    made = staged(_Logits(network), what, num_classes, size_px, norm=norm, weights=found, features=features)
    made.made_from = about
    return made


_Number = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
_Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
_Three = tuple[_Number, _Number, _Number]
_Spread = tuple[_Positive, _Positive, _Positive]


class _Config(Record, kw_only=True, frozen=True):
    """``config.json`` of transformers: what is looked at here."""

    model_type: str
    architectures: tuple[str, ...] | None = None
    id2label: dict[str, Any] | None = None


class _Pictures(Record, kw_only=True, frozen=True):
    """``preprocessor_config.json`` of transformers."""

    image_mean: _Three | None = None
    image_std: _Spread | None = None


class _MadeFrom(Record, kw_only=True, frozen=True):
    """What an agent's record says of a model of transformers."""

    config: _Config
    image_mean: _Three
    image_std: _Spread


class _Logits(nn.Module):
    """A model of transformers that returns the tensor itself, not an object that holds it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """What the model returns as logits: features ``[b, d]``."""
        out: Tensor = self.network(x).logits
        return out


def _read(folder: Path) -> dict[str, Any]:
    """The model's configuration, and the mean and standard deviation that it was trained with."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is neither a folder with a config.json nor a name on the hub")
    path, again = folder / "preprocessor_config.json", "fetch the model again"
    pictures = read_record(path, _Pictures, again) if path.is_file() else _Pictures()
    read_record(folder / "config.json", _Config, again)
    return {
        "config": read_json(folder / "config.json"),
        "image_mean": pictures.image_mean or IMAGENET[0],
        "image_std": pictures.image_std or IMAGENET[1],
    }


def _has_weights(folder: Path) -> bool:
    if any(folder.glob("*.safetensors")):
        return True
    if any(folder.glob("*.bin")):
        raise UserError(f"{folder} has weights in a format that may run code; only safetensors files are read")
    return False


def _model(config: Mapping[str, Any], folder: Path | None) -> tuple[nn.Module, list[str]]:
    """The model, and the names of tensors that are missing from its folder or have another shape there."""
    import transformers

    settings = _settings(config)
    kinds = transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[type(settings)]
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    kind = next((each for each in kinds if each.__name__ in config.get("architectures", ())), kinds[0])
    with without_weights("config.json", None if folder is None else _shapes(folder)):
        kind(settings)
    if folder is None:
        return kind(settings), []
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # the caller reports in one line what does not fit
    transformers.logging.disable_progress_bar()
    try:
        network, about = kind.from_pretrained(
            None,  # of a folder it would read more than the weights: adapters, whose settings name modules to import
            config=settings,
            state_dict=_tensors(folder),
            output_loading_info=True,
            dtype=torch.float32,
        )
    finally:
        transformers.logging.set_verbosity(level)
        transformers.logging.enable_progress_bar()
    return network, [str(name) for what in ("missing_keys", "mismatched_keys") for name in about.get(what, ())]


def _settings(config: Mapping[str, Any]) -> Any:
    """The configuration that describes the network, from one that somebody else wrote.

    Raises:
        UserError: it names something that lies elsewhere.
    """
    from transformers import CONFIG_MAPPING

    if config["model_type"] in _BY_NAME:
        raise UserError(f"a {config['model_type']} is made from what its configuration names; take timm:<name>")
    kind = CONFIG_MAPPING[config["model_type"]]
    num_labels = {"num_labels": len(config["id2label"])} if config.get("id2label") else {}
    return kind(**_own_fields(kind, config), **num_labels)


def _own_fields(kind: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that its own class knows, those of inner configurations likewise.

    What every class knows is left out: attention kernels, which are fetched and run, quantisers, code beside the model
    (``auto_map``). A later version of transformers may know more of that.
    """
    from transformers import PretrainedConfig

    shared = signature(PretrainedConfig.__init__).parameters
    own = {*signature(kind.__init__).parameters, *kind.attribute_map} - set(shared)
    found = {name: value for name, value in config.items() if name in own}
    for name, value in found.items():
        if isinstance(value, Mapping) and name in kind.sub_configs:
            found[name] = _own_fields(kind.sub_configs[name], value)
        elif "backbone" in name and value:
            raise UserError(f"{name} names another model, which is not read")
        else:
            _require_plain(name, value)
    return found


def _require_plain(name: str, value: Any) -> None:
    """Refuses a value that may name a file or a model elsewhere."""
    if isinstance(value, str) and re.search(r"[/\\:]", value):
        raise UserError(f"{name} is {value!r}, which names something elsewhere")
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for part in parts:
        _require_plain(name, part)


def _files(folder: Path) -> list[Path]:
    """The weights of a model folder: one file, or all parts of one that was split."""
    whole = folder / "model.safetensors"
    return [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))


def _shapes(folder: Path) -> Shapes:
    return {name: shape for path in _files(folder) for name, shape in open_tensors(path, "weights").shapes.items()}


def _tensors(folder: Path) -> dict[str, Tensor]:
    return {name: tensor for path in _files(folder) for name, tensor in read_weights(path).items()}


def _cut_classifier(network: nn.Module, what: str) -> str:
    """Removes the last linear layer and returns its prefix in tensor names."""
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise UserError(f"{what} does not end in a linear layer, so it cannot learn other classes")
    parent, _, name = linear[-1].rpartition(".")
    setattr(network.get_submodule(parent), name, nn.Identity())
    return f"{linear[-1]}."
