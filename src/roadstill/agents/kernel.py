"""Kernel regression as an agent: trained in closed form, on the kernel of infinitely wide fully connected networks.

The judge of KIP's table: a set that kernel regression learns from well, networks may not, so both are told.
"""

import torch
from torch import Tensor, nn

from roadstill.agents.staged import StagedNetwork
from roadstill.errors import UserError
from roadstill.learning.kernels import regress, tangent_kernel

NAME = "kernel"
_DEPTH, _BIAS, _RIDGE = 2, 0.1, 1e-6
_SHARPNESS = 10.0  # of probabilities: predictions are 0 to 1, and their softmax alone would be nearly even
_AT_ONCE, _MOST = 500, 10_000


class _Similarity(nn.Module):
    """Kernel of pictures with the pictures that were learnt from."""

    def __init__(self, support: Tensor) -> None:
        super().__init__()
        self.register_buffer("support", support)
        self.support: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Values ``[b, n]`` for prepared pictures ``[b, 3, s, s]``."""
        parts = [tangent_kernel(part.flatten(1), self.support, depth=_DEPTH, bias=_BIAS) for part in x.split(_AT_ONCE)]
        return torch.cat(parts).float()


def require_few(images: int) -> None:
    """Refuses sets whose kernel with themselves would be too large.

    Raises:
        UserError: more than 10,000 pictures.
    """
    if images > _MOST:
        raise UserError(f"kernel regression of {images:,} pictures needs a matrix of as many rows and columns; take at "
                        f"most {_MOST:,}, or another network")  # fmt: skip


def kernel_network(num_classes: int, size_px: int, support: int = 1) -> StagedNetwork:
    """A network that has learnt nothing yet.

    Args:
        num_classes: number of outputs.
        size_px: side of the pictures.
        support: number of pictures that it will have learnt from.
    """
    made = StagedNetwork(
        [_Similarity(torch.zeros(support, 3 * size_px**2))], features=support, num_classes=num_classes,
        mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), origin="kernel regression", pretrained=True,
    )  # fmt: skip
    made.made_from = {"support": support}
    return made


@torch.no_grad()
def fit_kernel(network: StagedNetwork, pictures: Tensor, targets: Tensor, *, classes: bool) -> None:
    """Learns a set in closed form: regression of centred targets with a small ridge.

    Args:
        network: made by `kernel_network` for as many pictures.
        pictures: prepared pictures ``[n, 3, s, s]``.
        targets: probabilities or numbers ``[n, k]``.
        classes: whether outputs are logits of classes, and not the numbers themselves.
    """
    (stage,) = network.stages
    assert isinstance(stage, _Similarity)
    flat, middle = pictures.flatten(1), targets.double().mean(0)
    stage.support.copy_(flat)
    kernel = tangent_kernel(flat, flat, depth=_DEPTH, bias=_BIAS)
    # What regression predicts of the kernel's own rows are the targets: the weights are the solution itself.
    weights = regress(kernel, torch.eye(len(flat), dtype=torch.float64), targets.double() - middle, _RIDGE)
    size = _SHARPNESS if classes else 1.0
    network.head.weight.copy_(size * weights.T)
    network.head.bias.copy_(size * middle)
