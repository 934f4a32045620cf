"""Where a codec's weights start."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.codecs.base import from_pixels
from roadstill.codecs.convolutions import Residual
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
        if isinstance(module, Residual):
            _last(module.branch).weight.zero_()  # a residual branch begins as nothing
        elif isinstance(branch := getattr(module, "conv", None), nn.Sequential):
            _last(branch).weight *= 0.3  # or as a small correction, where a ReLU follows
    # Both networks begin as nothing beside the linear path.
    _last(codec.encoder.layers).weight.zero_()
    _last(codec.decoder.layers).weight.zero_()
    if codec.config.linear == "blocks":
        bias = _last(codec.decoder.layers).bias
        assert bias is not None
        bias.fill_(0.5)  # the output of diffusers' decoder is 2 x - 1


def _last(layers: object) -> nn.Conv2d:
    assert isinstance(layers, nn.Sequential)
    last = layers[-1]
    assert isinstance(last, nn.Conv2d)
    return last


@torch.no_grad()
def start_linear(codec: SmallCodec, images: ImageSet, rows: NDArray[np.int64], power: float = 0.7) -> None:
    """Starts the linear path at the principal components of pixel blocks, or of patches that overlap.

    Components are divided by ``power`` of their deviation: a little more even than they are, so that none is lost in
    rounding, but still large before small, as a diffusion model learns best.
    """
    side, count = codec.config.downsampling, codec.config.latent_channels
    basis = lapped_basis(side) if codec.config.linear == "lapped" else torch.eye(side, dtype=torch.float64)
    kernels = torch.einsum("yi,xj->ijyx", basis, basis).reshape(side * side, 1, len(basis), len(basis))
    total, products, blocks = torch.zeros(3 * side * side).double(), torch.zeros((3 * side * side,) * 2).double(), 0
    for start in range(0, len(rows), 16):
        pixels = from_pixels(torch.from_numpy(images.pixels(rows[start : start + 16]))).double()
        if len(basis) > side:
            pixels = F.pad(pixels, (side // 2,) * 4, mode="replicate")
        block = F.conv2d(pixels, kernels.repeat(3, 1, 1, 1), stride=side, groups=3).flatten(2).mT.flatten(0, 1)
        total, products, blocks = total + block.sum(0), products + block.T @ block, blocks + len(block)
    mean = total / blocks
    values, vectors = torch.linalg.eigh(products / blocks - torch.outer(mean, mean))
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    # Flat pictures have fewer components than channels: the empty ones must not blow up rounding errors.
    values = values.clamp_min(max(1e-12, 1e-6 * float(values[0])))
    vectors = vectors * vectors.gather(0, vectors.abs().argmax(0)[None]).sign()  # the sign is free, so it is fixed
    scale = values.sqrt() ** -power
    scale = scale / (values * scale.square()).mean().sqrt()
    assert codec.project.bias is not None
    assert codec.unproject.bias is not None
    # The basis is orthonormal: patches are put together again by what took them apart.
    patches = torch.einsum("okc,kyx->coyx", vectors.view(3, side * side, -1), kernels[:, 0])
    codec.project.weight.copy_(patches * scale[:, None, None, None])
    codec.unproject.weight.copy_(patches / scale[:, None, None, None])
    if codec.config.linear == "lapped":  # the mean picture is flat, as far as neighbours' patches are the same
        colour = torch.einsum("ok,kyx->oyx", mean.view(3, -1), kernels[:, 0]).sum((1, 2)) / side**2
    else:
        colour = mean.view(3, -1).mean(1)
    codec.project.bias.copy_(-(mean @ vectors) * scale)
    codec.unproject.bias.copy_(colour)


def lapped_basis(side: int) -> Tensor:
    """An orthonormal basis of overlapping patches along one axis, float64 ``[2 * side, side]``, one function a column.

    Shifted by multiples of ``side`` the functions are orthogonal, too; they are made of the even and odd functions of
    the cosine transform (Malvar & Staelin 1989, eq. 18, without the rotation that a principal component analysis does).
    """
    at = torch.arange(side, dtype=torch.float64)[:, None] + 0.5
    number = torch.arange(side, dtype=torch.float64)
    cosines = torch.cos(math.pi * at * number / side) * torch.where(number > 0, 2.0, 1.0).div(side).sqrt()
    half = (cosines[:, 0::2] - cosines[:, 1::2]) / 2
    return torch.cat([torch.cat([half, half], 1), torch.cat([half.flip(0), -half.flip(0)], 1)])
