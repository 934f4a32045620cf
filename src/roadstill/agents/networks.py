"""The networks of agents, by name."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from roadstill.agents.backbones import find_network, own_network
from roadstill.agents.convnet import convnet
from roadstill.agents.kernel import NAME as KERNEL
from roadstill.agents.kernel import kernel_network
from roadstill.agents.lite0 import efficientnet_lite, require_lite
from roadstill.agents.literature import FROM_SCRATCH
from roadstill.agents.resnet import resnet18
from roadstill.agents.staged import StagedNetwork
from roadstill.agents.status import WIDTH, blind
from roadstill.agents.timm_models import timm_backbone
from roadstill.agents.transformers_models import transformers_backbone
from roadstill.errors import UserError
from roadstill.weights.sizes import without_weights
from roadstill.weights.tensors import Shapes, require_shapes, shapes_of

NETWORKS: dict[str, Callable[..., StagedNetwork]] = {
    "efficientnet-lite0": partial(efficientnet_lite, 0),
    "efficientnet-lite1": partial(efficientnet_lite, 1),
    "efficientnet-lite2": partial(efficientnet_lite, 2),
    "resnet18": resnet18,
    "convnet": convnet,
    "blind": blind,
}
_PIXELS = {  # mean and standard deviation; CIFAR-10's are those of its training part, as the literature rounds them
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def check_name(name: str) -> None:
    """Checks that a name can be a network's; whether the network exists is seen when it is built.

    Names of timm are plain: ``hf-hub:`` or ``local-dir:`` in front would make it fetch or open something else.

    Raises:
        UserError: a name that cannot be one.
    """
    kind, _, which = name.partition(":")
    named = kind == "transformers" or (kind == "timm" and re.fullmatch(r"\w[\w.-]*", which) is not None)
    if not (name in NETWORKS or name in FROM_SCRATCH or name == KERNEL or (named and which) or _is_dotted(name)):
        raise UserError(
            f"agent network {name!r} is unknown; take {', '.join([*NETWORKS, *FROM_SCRATCH, KERNEL])}, timm:<name>, "
            "transformers:<folder or hub name> or the dotted path of your own"
        )


def require_code(name: str) -> None:
    """Imports the function of a network that is named by dotted path, so that a mistake is seen before any work.

    Raises:
        UserError: one that is not trusted.
        ValueError: no such function.
    """
    if _is_dotted(name):
        find_network(name)


def require_network(name: str) -> None:
    """Looks for the packages that a network needs, before any work.

    Raises:
        UserError: one is not installed.
    """
    if found := re.fullmatch(r"efficientnet-lite(\d)", name):
        require_lite(int(found[1]))


def comes_with_weights(name: str) -> bool:
    """Whether a network starts from trained weights though none are named."""
    return name.startswith(("efficientnet-lite", "transformers:"))


def make_network(
    name: str,
    num_classes: int,
    *,
    size_px: int | None,
    weights: Path | None = None,
    trained: bool = True,
    made_from: Mapping[str, Any] | None = None,
    features: int | None = None,
) -> StagedNetwork:
    """The network of a name; its random weights come from PyTorch's global stream.

    Args:
        name: name as in `AgentConfig`.
        num_classes: number of logits.
        size_px: side of its pictures; some networks do not need it.
        weights: initial weights; the network's own if not given.
        trained: False leaves the weights random, for a caller that loads others right away.
        made_from: `StagedNetwork.made_from` of an earlier one of this name.
        features: width of its last layer's input, if it is known; other libraries' networks are then not asked.

    Raises:
        UserError: an unknown network, or something that it needs is missing.
    """
    check_name(name)
    if name in NETWORKS:
        return NETWORKS[name](num_classes, weights, trained=trained)
    if size_px is None:
        raise UserError(f"the agent network {name} depends on the side of the pictures; set image_px")
    if name in FROM_SCRATCH:
        if weights is not None:
            raise UserError(f"the agent network {name} starts from random weights; leave out weights ({weights})")
        return FROM_SCRATCH[name](num_classes, size_px)
    if name == KERNEL:
        return kernel_network(num_classes, size_px, int((made_from or {}).get("support", 1)))
    if _is_dotted(name):
        return own_network(name, num_classes, size_px, weights, trained=trained, features=features)
    kind, _, which = name.partition(":")
    if kind == "timm":
        return timm_backbone(which, num_classes, size_px, weights, trained=trained, features=features)
    return transformers_backbone(
        which, num_classes, size_px, weights, trained=trained, made_from=made_from, features=features
    )


def check_sizes(
    name: str, num_classes: int, size_px: int, made_from: Mapping[str, Any], held: Shapes, path: Path, *,
    ego: bool = False, whitened: bool = False,
) -> None:  # fmt: skip
    """Holds the network of a name against the tensors of a file, without making it.

    Networks of the user's code and of timm are left out: their sizes do not come from a stranger, and not all of them
    can be built without weights.

    Args:
        name: name as in `AgentConfig`.
        num_classes: number of logits.
        size_px: side of its pictures.
        made_from: `StagedNetwork.made_from`.
        held: shapes of the tensors.
        path: file that holds them.
        ego: whether the network looks at the vehicle's own status.
        whitened: whether it whitens pixels.

    Raises:
        UserError: a network that is larger than the file, or other tensors than it has.
    """
    if _is_dotted(name) or name.startswith("timm:"):
        return
    with without_weights(str(path), held):
        like = make_network(name, num_classes, size_px=size_px, trained=False, made_from=made_from)
        if ego:
            like.with_status(WIDTH)
        if whitened:
            width = 3 * size_px**2
            like.whiten(torch.empty(width), torch.empty(width, width))
    require_shapes(held, shapes_of(like.state_dict()), path)


def normalise(network: StagedNetwork, name: str) -> None:
    """Makes a network normalise pixels by another mean and deviation than its own ("network")."""
    if name not in ("network", "whitened"):
        network.mean, network.std = _PIXELS[name]


def _is_dotted(name: str) -> bool:
    return re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", name) is not None
