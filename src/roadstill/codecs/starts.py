"""Where a codec's weights start."""

from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from roadstill.codecs.base import from_pixels
from roadstill.codecs.small import Lapped, SmallCodec
from roadstill.imagesets import ImageSet

_RIDGE = 1e-3  # of latents of about unit variance
_ONE = torch.ones(1, dtype=torch.float64)


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
    if codec.config.decoder == "lapped":
        last = codec.finish[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)
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
    if isinstance(codec.unproject, Lapped):
        _start_lapped(codec, codec.unproject, images, rows)
    else:
        assert codec.unproject.bias is not None
        codec.unproject.weight.copy_((vectors / scale).T.view(codec.unproject.weight.shape))
        codec.unproject.bias.copy_(mean.view(3, -1).mean(1))


def _start_lapped(codec: SmallCodec, lapped: Lapped, images: ImageSet, rows: NDArray[np.int64]) -> None:
    """Starts the overlapping patches where they give pictures back with the least squared error, from their cells.

    Every pixel is a weighted sum over the four nearest cells; the ridge keeps weights small where patches fade out.
    """
    side, count = codec.config.downsampling, codec.config.latent_channels
    products = cross = torch.zeros((), dtype=torch.float64)
    cells = 0
    for start in range(0, len(rows), 16):
        pixels = from_pixels(torch.from_numpy(images.pixels(rows[start : start + 16])))
        around = F.unfold(F.pad(codec.project(pixels), (1, 1, 1, 1), mode="replicate"), 3)  # [b, count * 9, cells]
        known = F.pad(around, (0, 0, 0, 1), value=1.0).transpose(1, 2).flatten(0, 1).double()
        wanted = F.unfold(pixels, side, stride=side).transpose(1, 2).flatten(0, 1).double()
        products, cross, cells = products + known.T @ known, cross + known.T @ wanted, cells + len(known)
    products, cross = products / cells, (cross / cells).view(-1, 3, side, side)
    bias = torch.zeros(3, dtype=torch.float64)
    for y, x in product(range(side), repeat=2):
        # The four nearest of 3 x 3 cells, and which pixel of each one's patch this is.
        near = [
            (3 * row + column, y + (3 - 2 * row) * side // 2, x + (3 - 2 * column) * side // 2)
            for row in ((0, 1) if y < side // 2 else (1, 2))
            for column in ((0, 1) if x < side // 2 else (1, 2))
        ]
        used = torch.cat([torch.arange(count) * 9 + cell for cell, _, _ in near] + [torch.tensor([9 * count])])
        fade = torch.cat([lapped.window[down, right].double().expand(count) for _, down, right in near] + [_ONE])
        system = products[used][:, used] * fade * fade[:, None] + _RIDGE * torch.eye(len(used), dtype=torch.float64)
        found = torch.linalg.solve(system, cross[used, :, y, x] * fade[:, None])
        for number, (_, down, right) in enumerate(near):
            lapped.weight[:, :, down, right] = found[number * count : (number + 1) * count].float()
        bias += found[-1] / side**2
    lapped.bias.copy_(bias)
