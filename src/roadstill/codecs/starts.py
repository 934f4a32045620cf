"""Where a codec's weights start."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from roadstill.codecs.base import from_pixels
from roadstill.codecs.small import SmallCodec
from roadstill.imagesets import ImageSet


@torch.no_grad()
def initialise(codec: SmallCodec) -> None:
    """Starts every convolution so that signals keep their size (He et al. 2015), and pictures at a mid grey.

    PyTorch's own start shrinks signals layer by layer, and colours are then learned late.
    """
    for module in codec.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in codec.modules():
        if isinstance(branch := getattr(module, "conv", None), nn.Sequential):
            last = branch[-1]
            assert isinstance(last, nn.Conv2d)
            last.weight *= 0.3  # a residual branch begins as a small correction
    # Both networks begin as nothing beside the linear path; the output of diffusers' decoder is 2 x - 1.
    nn.init.zeros_(codec.encoder.layers[-1].weight)
    if codec.config.decoder == "smooth":
        nn.init.zeros_(codec.finish[-1].weight)
    else:
        nn.init.zeros_(codec.decoder.layers[-1].weight)
        nn.init.constant_(codec.decoder.layers[-1].bias, 0.5)


@torch.no_grad()
def start_linear(codec: SmallCodec, images: ImageSet, rows: NDArray[np.int64], power: float = 0.7) -> None:
    """Starts the linear path at the principal components of pixel blocks.

    Components are divided by ``power`` of their deviation: a little more even than they are, so that none is lost in
    rounding, but still large before small, as a diffusion model learns best.
    """
    side, count = codec.config.downsampling, codec.config.latent_channels
    total, products, blocks = torch.zeros(3 * side * side).double(), torch.zeros((3 * side * side,) * 2).double(), 0
    for start in range(0, len(rows), 16):
        pixels = from_pixels(torch.from_numpy(images.pixels(rows[start : start + 16]))).double()
        block = F.unfold(pixels, side, stride=side).transpose(1, 2).flatten(0, 1)
        total, products, blocks = total + block.sum(0), products + block.T @ block, blocks + len(block)
    mean = total / blocks
    values, vectors = torch.linalg.eigh(products / blocks - torch.outer(mean, mean))
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    # Flat pictures have fewer components than channels: the empty ones must not blow up rounding errors.
    values = values.clamp_min(max(1e-12, 1e-6 * float(values[0])))
    vectors = vectors * vectors.gather(0, vectors.abs().argmax(0)[None]).sign()  # the sign is free, so it is fixed
    scale = values.sqrt() ** -power
    scale = scale / (values * scale.square()).mean().sqrt()
    codec.project.weight.copy_((vectors * scale).T.view(codec.project.weight.shape))
    assert codec.project.bias is not None
    codec.project.bias.copy_(-(mean @ vectors) * scale)
    back = (vectors / scale).T.view(count, 3, side, side)
    if codec.config.decoder == "smooth":  # the colours of the cells
        codec.unproject[0].weight.copy_(back.mean((2, 3)).T[..., None, None])
        codec.unproject[0].bias.copy_(mean.view(3, -1).mean(1))
    else:
        codec.unproject.weight.copy_(back)
        codec.unproject.bias.copy_(mean.view(3, -1).mean(1))
