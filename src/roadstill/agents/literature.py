"""Networks of the dataset-distillation literature: ConvNet-D, ResNetAP-10 and ResNet-18 with instance norm.

All start from random weights. Instance norm is group norm with one channel per group, so that it has a scale and a
shift and does not depend on the rest of the batch. Pictures are normalised with ImageNet's mean and standard deviation
unless the configuration sets another normalisation.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from roadstill.agents.instance_norm import InstanceNorm
from roadstill.agents.staged import StagedNetwork
from roadstill.errors import UserError

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SMALL_PX, _LARGE_PX = 64, 128  # larger pictures are halved after the stem, or get the stem of ImageNet networks
_WIDTHS = (64, 128, 256, 512)
_PIXELS_AT_ONCE = 20 * 32 * 32  # twenty CIFAR pictures: 10 MB after a convolution of 128 channels


def convnet_d(num_classes: int, size_px: int, *, depth: int, width: int = 128) -> StagedNetwork:
    """ConvNet-D: per stage convolution 3 x 3, instance norm, ReLU, average pooling by two; then one linear layer.

    Gidaris and Komodakis, "Dynamic few-shot visual learning without forgetting" (CVPR 2018), as Zhao et al., "Dataset
    condensation with gradient matching" (ICLR 2021), use it: 320,010 parameters at depth 3, 32 px, 10 classes.

    Args:
        num_classes: number of logits.
        size_px: side of the pictures; the linear layer takes ``width * (size_px // 2^depth)^2`` features.
        depth: number of stages.
        width: channels of each stage.

    Raises:
        UserError: pictures too small for this many poolings.
    """
    _check_size(f"convnet-{depth}", size_px, 2**depth)
    stages = [
        nn.Sequential(
            nn.Conv2d(width if index else 3, width, 3, padding=1),
            InstanceNorm(width, pool=2),
        )
        for index in range(depth)
    ]
    return _from_scratch([*stages, nn.Flatten()], width * (size_px >> depth) ** 2, num_classes)


def resnet_ap10(num_classes: int, size_px: int, *, widths: tuple[int, ...] = _WIDTHS) -> StagedNetwork:
    """ResNetAP-10: four basic blocks (64 to 512 channels) that reduce the size by average pooling, not by stride.

    Kim et al., "Dataset condensation via efficient synthetic-data parameterization" (ICML 2022). The stem is a
    convolution 3 x 3, above 64 px with average pooling by two; above 128 px a convolution 7 x 7 with pooling by four.

    Args:
        num_classes: number of logits.
        size_px: side of the pictures.
        widths: channels of the four blocks.

    Raises:
        UserError: pictures below 16 px.
    """
    _check_size("resnet-ap10", size_px, 16)
    pool = 4 if size_px > _LARGE_PX else 2 if size_px > _SMALL_PX else 1
    stem = _convolution(3, widths[0], 7 if pool == 4 else 3, pool=pool)
    blocks = [_Block(before, after, pool=2 if before != after else 1) for before, after in _steps((1, 1, 1, 1), widths)]
    return _from_scratch([stem, *blocks, _mean_over_places()], widths[-1], num_classes)


def resnet18_instance(num_classes: int, size_px: int) -> StagedNetwork:
    """ResNet-18 (He et al., CVPR 2016) with instance norm, eight basic blocks that reduce the size by stride.

    The stem is a convolution 3 x 3, above 128 px ImageNet's 7 x 7 of stride 2; above 64 px max pooling follows.

    Args:
        num_classes: number of logits.
        size_px: side of the pictures.

    Raises:
        UserError: pictures below 16 px.
    """
    _check_size("resnet18-instance", size_px, 16)
    stem = _convolution(3, 64, 7, stride=2) if size_px > _LARGE_PX else _convolution(3, 64, 3)
    if size_px > _SMALL_PX:
        stem = nn.Sequential(stem, nn.MaxPool2d(3, stride=2, padding=1))
    blocks = [
        _Block(before, after, stride=2 if before != after else 1) for before, after in _steps((2, 2, 2, 2), _WIDTHS)
    ]
    return _from_scratch([stem, *blocks, _mean_over_places()], _WIDTHS[-1], num_classes)


FROM_SCRATCH: dict[str, Callable[[int, int], StagedNetwork]] = {
    **{f"convnet-{depth}": partial(convnet_d, depth=depth) for depth in (3, 4, 5, 6)},
    "resnet-ap10": resnet_ap10,
    "resnet18-instance": resnet18_instance,
}


class _Block(nn.Module):
    """Basic residual block; ``pool`` averages the pixels that ``stride`` would skip."""

    def __init__(self, before: int, after: int, *, stride: int = 1, pool: int = 1) -> None:
        super().__init__()
        self.first = _convolution(before, after, 3, stride=stride, pool=pool)
        self.second = _convolution(after, after, 3, active=False)
        self.shortcut: nn.Module = nn.Identity()
        if before != after or stride > 1 or pool > 1:
            self.shortcut = _convolution(before, after, 1, stride=stride, active=False)
            if pool > 1:  # averages commute with a convolution 1 x 1, but not with the norm after it
                self.shortcut = nn.Sequential(nn.AvgPool2d(pool), *self.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[b, after, h, w]`` of ``[b, before, h', w']``."""
        return nn.functional.relu(self.second(self.first(x)) + self.shortcut(x))


def _convolution(
    before: int, after: int, kernel: int, *, stride: int = 1, pool: int = 1, active: bool = True
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False),
        InstanceNorm(after, active=active, pool=pool),
    )


def _steps(depths: tuple[int, ...], widths: tuple[int, ...]) -> list[tuple[int, int]]:
    """Channels before and after each block."""
    channels = [widths[0]] + [width for width, depth in zip(widths, depths, strict=True) for _ in range(depth)]
    return list(pairwise(channels))


def _mean_over_places() -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _from_scratch(stages: list[nn.Module], features: int, num_classes: int) -> StagedNetwork:
    return StagedNetwork(
        stages,
        features=features,
        num_classes=num_classes,
        mean=_MEAN,
        std=_STD,
        origin="random weights",
        pretrained=False,
        pixels_at_once=_PIXELS_AT_ONCE,
    )


def _check_size(name: str, size_px: int, least_px: int) -> None:
    if size_px < least_px:
        raise UserError(
            f"the agent network {name} needs pictures of at least {least_px} px, not {size_px}; set image_px"
        )
