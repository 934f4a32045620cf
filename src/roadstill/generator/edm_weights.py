"""EDM's published pickles as `SongUNet`: settings and tensors are read, code is never run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from roadstill.errors import UserError
from roadstill.learning.loops import channels_last
from roadstill.networks.songunet import STYLES, SongUNet
from roadstill.sources.cifar10.batch import CLASS_NAMES
from roadstill.sources.pickles.edm_pickle import Shell, read_edm_pickle
from roadstill.weights.sizes import without_weights
from roadstill.weights.tensors import require_intact, require_shapes, shapes_of

CODEC = "pixels"
_LARGEST = {"img_resolution": 1024, "in_channels": 64, "label_dim": 10_000, "augment_dim": 64, "model_channels": 2048,
            "num_blocks": 32}  # fmt: skip
# What the published network takes where a file does not say.
_DEFAULTS: dict[str, Any] = {
    "label_dim": 0, "augment_dim": 0, "model_channels": 128, "channel_mult": [1, 2, 2, 2], "channel_mult_emb": 4,
    "num_blocks": 4, "attn_resolutions": [16], "dropout": 0.10, "label_dropout": 0.0, "embedding_type": "positional",
    "channel_mult_noise": 1, "encoder_type": "standard", "decoder_type": "standard", "resample_filter": [1, 1],
}  # fmt: skip
_OURS = {"input_size": "img_resolution", "in_channels": "in_channels", "num_classes": "label_dim",
         "channels": "model_channels", "num_blocks": "num_blocks", "augment_dim": "augment_dim"}  # fmt: skip
_STYLE = ("embedding_type", "encoder_type", "channel_mult_noise", "resample_filter")
_STYLES = {
    "ddpmpp": ("positional", "standard", 1, list(STYLES["ddpmpp"])),
    "ncsnpp": ("fourier", "residual", 2, list(STYLES["ncsnpp"])),
}


def load_edm(path: Path) -> tuple[SongUNet, dict[str, Any]]:
    """The moving average in a pickle of EDM, and its label dropout and class names.

    Raises:
        UserError: a file that names anything but a network's parts, another kind of network, settings that this one
            does not have, or tensors that do not fit; the offender is named.
    """
    root = read_edm_pickle(path)
    outer = root.get("ema") if type(root) is dict else None
    if not isinstance(outer, Shell) or type(outer.state) is not dict:
        raise UserError(f"{path} holds no network under 'ema'; it should be a pickle that EDM published or wrote")
    inner = _part(outer, "model")
    if outer.class_name != "EDMPrecond" or inner is None or inner.class_name != "SongUNet":
        within = "" if inner is None else f" over {inner.class_name[:80]!r}"
        raise UserError(f"{path} holds a {outer.class_name[:80]!r}{within}; only EDMPrecond over SongUNet is read")
    if outer.state.get("sigma_data", 0.5) != 0.5:
        raise UserError(f"{path} was trained with sigma_data {outer.state['sigma_data']!r}; only 0.5 is read")
    settings = _settings(inner.state.get("_init_kwargs"), path)
    state = dict(_tensors(inner, path))
    with without_weights(str(path), shapes_of(state)):
        network = SongUNet(
            **{ours: settings[theirs] for ours, theirs in _OURS.items()},
            style=_style(settings, path),
            channel_mult=tuple(settings["channel_mult"]),
            attention=tuple(settings["attn_resolutions"]),
            dropout=float(settings["dropout"]),
        )
    require_shapes(shapes_of(state), shapes_of(network.state_dict()), path)
    require_intact(state, path)
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=True, assign=True)
    channels_last(network)
    facts: dict[str, Any] = {"label_dropout": float(settings["label_dropout"])}
    if (network.num_classes, network.input_size) == (len(CLASS_NAMES), 32):
        facts["class_names"] = list(CLASS_NAMES)
    return network, facts


def _part(shell: Shell, name: str) -> Shell | None:
    modules = shell.state.get("_modules")
    found = modules.get(name) if type(modules) is dict else None
    return found if isinstance(found, Shell) and type(found.state) is dict else None


def _settings(given: Any, path: Path) -> dict[str, Any]:
    """The network's keywords, checked: sizes in the file must agree with its tensors."""
    if type(given) is not dict:
        raise UserError(f"{path} does not record its network's settings; it is damaged")
    known = {"img_resolution", "in_channels", "out_channels", *_DEFAULTS}
    if unknown := sorted(str(name)[:80] for name in given if name not in known):
        raise UserError(f"{path}: its network has the setting {unknown[0]!r}, which this one does not have")
    settings = _DEFAULTS | given
    for name, most in _LARGEST.items():
        if type(settings.get(name)) is not int or not 0 <= settings[name] <= most:
            raise UserError(f"{path}: {name} is {str(settings.get(name))[:80]}; it should be a number up to {most}")
    for name in ("channel_mult", "attn_resolutions"):
        values = settings[name]
        if type(values) not in (list, tuple) or len(values) > 8 or any(type(value) is not int for value in values):
            raise UserError(f"{path}: {name} is {str(values)[:80]}; it should be up to 8 numbers")
    if not settings["label_dim"] or not all(1 <= mult <= 16 for mult in settings["channel_mult"]):
        raise UserError(
            f"{path}: its network is unconditional, or wider than supported; only class-conditional networks are read"
        )
    for name in ("dropout", "label_dropout"):
        if type(settings[name]) not in (int, float) or not 0 <= settings[name] <= 1:
            raise UserError(f"{path}: {name} is {str(settings[name])[:80]}; it should be 0 to 1")
    for name, only in (
        ("out_channels", settings["in_channels"]), ("channel_mult_emb", 4), ("decoder_type", "standard")
    ):  # fmt: skip
        if settings.get(name, only) != only:
            raise UserError(f"{path}: {name} is {str(settings[name])[:80]}; only {only} is read")
    return settings


def _style(settings: Mapping[str, Any], path: Path) -> str:
    found = tuple(list(value) if type(value) is tuple else value for value in (settings[name] for name in _STYLE))
    for style, wanted in _STYLES.items():
        if found == wanted:
            return style
    raise UserError(f"{path}: {', '.join(_STYLE)} are {str(found)[:200]}; only those of ddpmpp and ncsnpp are read")


def _tensors(shell: Shell, path: Path, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of a module and its parts, by their names."""
    if type(shell.state) is not dict or depth > 4:
        raise UserError(f"{path}: its part {prefix!r} is no module, or lies too deep; it is damaged")
    for kind in ("_parameters", "_buffers"):
        for name, tensor in (shell.state.get(kind) or {}).items():
            if isinstance(tensor, Tensor):
                yield f"{prefix}{name}", tensor
    for name, part in (shell.state.get("_modules") or {}).items():
        if isinstance(part, Shell):
            yield from _tensors(part, path, f"{prefix}{name}.", depth + 1)
