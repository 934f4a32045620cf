"""Third-party backbones as agents: one stage (so that ``freeze`` is 0 or 1) and a new linear layer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from roadstill.agents.staged import StagedNetwork
from roadstill.agents.weights import read_weights
from roadstill.errors import UserError
from roadstill.names import dotted
from roadstill.weights import local

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_OWN = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def find_network(path: str) -> Any:
    """The function of this dotted path; errors as `roadstill.names.dotted`."""
    return dotted(path, "agent network")


def own_network(
    path: str, num_classes: int, size_px: int, weights: Path | None, *, trained: bool, features: int | None = None
) -> StagedNetwork:
    """A network that the user provides.

    Args:
        path: dotted path of a function ``(size_px) -> nn.Module``; the module turns pictures ``[b, 3, s, s]``
            (from [0, 1], minus 0.5, divided by 0.25) into features ``[b, d]``.
        num_classes: number of logits.
        size_px: side of the pictures.
        weights: safetensors file with the module's state; random if not given.
        trained: False leaves the weights random, for a caller that loads others right away.
        features: width of the features, if it is known.

    Raises:
        UserError: an unknown or untrusted function, a result that is not a module, or weights that do not fit.
    """
    try:
        network = find_network(path)(size_px)
    except UserError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise UserError(f"the agent network {path!r} cannot be built: {one_line(error)}") from None
    if not isinstance(network, nn.Module):
        raise UserError(f"the agent network {path!r} returned a {type(network).__name__}; it must return an nn.Module")
    if trained and weights is not None:
        load_safetensors(network, weights)
    weights = weights if trained else None
    return staged(network, path, num_classes, size_px, norm=_OWN, weights=weights, features=features)


def load_safetensors(network: nn.Module, weights: Path, *, leave_out: tuple[str, ...] = ()) -> None:
    """Loads a state strictly.

    Args:
        network: module that takes the state.
        weights: safetensors file, folder with ``model.safetensors``, or hub name.
        leave_out: prefixes of the tensor names to skip: the classifier's.

    Raises:
        UserError: another format, missing or unexpected tensors.
    """
    path = local(weights)
    path = path / "model.safetensors" if path.is_dir() else path
    if path.suffix != ".safetensors":
        raise UserError(f"{path} is not a .safetensors file; other formats may run code and are not read here")
    state = {name: value for name, value in read_weights(path).items() if not name.startswith(leave_out)}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit the agent network: {one_line(error)}") from None


def staged(
    network: nn.Module,
    what: str,
    num_classes: int,
    size_px: int,
    *,
    norm: tuple[Sequence[float], Sequence[float]],
    weights: Path | None,
    features: int | None = None,
) -> StagedNetwork:
    """One stage, and a linear layer whose width is that of the network's features for an empty picture.

    Args:
        network: module from pictures ``[b, 3, s, s]`` to features ``[b, d]``.
        what: name of the network in messages.
        num_classes: number of logits.
        size_px: side of the pictures.
        norm: mean and standard deviation of the pictures, per channel.
        weights: source of its weights, if they are trained.
        features: width of the features, if it is known: then no picture goes through the network.

    Raises:
        UserError: the network does not take such pictures, or returns something else.
    """
    return StagedNetwork(
        [network],
        features=features or _width(network, what, size_px),
        num_classes=num_classes,
        mean=norm[0],
        std=norm[1],
        origin=str(weights) if weights else "random weights",
        pretrained=weights is not None,
    )


def _width(network: nn.Module, what: str, size_px: int) -> int:
    try:
        with torch.no_grad():
            found = network.eval()(torch.zeros(1, 3, size_px, size_px))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise UserError(f"{what} does not take {size_px} px pictures (set image_px): {one_line(error)}") from None
    if not isinstance(found, Tensor) or found.ndim != 2:
        raise UserError(f"{what} must turn pictures [b, 3, s, s] into features [b, d]")
    return found.shape[1]


def one_line(what: object) -> str:
    """Another library's message on one line, shortened to fit into ours."""
    return " ".join(str(what).split())[:200]
