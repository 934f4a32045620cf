"""What the U-Nets of EDM are made of: blocks, changes of resolution, dropout by a seed, embeddings of noise levels."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from roadstill.networks.dit import attend

SKIP = math.sqrt(0.5)  # keeps the variance of a sum of two equals
_EPS = 1e-6
_FOURIER_SCALE = 16.0


class Resampling(nn.Conv2d):
    """A convolution after (``up``, ``down``) or, with ``late``, before a change of resolution by a fixed filter.

    The late form is the residual encoder's: convolution and filter are one strided convolution, padded once.
    """

    resample_filter: Tensor

    def __init__(self, c_in: int, c_out: int, kernel: int, taps: Sequence[float], *, up: bool, late: bool = False):
        super().__init__(c_in, c_out, kernel, padding=kernel // 2)
        line = torch.tensor(taps, dtype=torch.float32)
        self.register_buffer("resample_filter", torch.outer(line, line)[None, None] / line.sum() ** 2)
        self.up, self.late, self.nearest = up, late, len(taps) == 2

    def forward(self, x: Tensor) -> Tensor:
        """``[b, c, h, w]`` -> ``[b, c', 2h, 2w]`` or ``[b, c', h/2, w/2]``."""
        if self.late:
            margin = self.resample_filter.shape[-1] - 1
            taps = self.resample_filter.flip(2, 3).to(self.weight.dtype)
            joined = F.conv2d(self.weight.flatten(0, 1)[:, None], taps, padding=margin)
            padding = self.kernel_size[0] // 2 + margin // 2
            return F.conv2d(
                x, joined.squeeze(1).unflatten(0, self.weight.shape[:2]), self.bias, stride=2, padding=padding
            )
        return super().forward(self._resampled(x))

    def _resampled(self, x: Tensor) -> Tensor:
        if self.nearest:  # two equal taps: means of four, or copies
            return F.interpolate(x, scale_factor=2, mode="nearest") if self.up else F.avg_pool2d(x, 2)
        channels, margin = x.shape[1], (self.resample_filter.shape[-1] - 1) // 2
        taps = self.resample_filter.expand(channels, -1, -1, -1)
        with torch.autocast(x.device.type, enabled=False):  # depthwise, where bfloat16 is slower on processors
            if self.up:
                return F.conv_transpose2d(x.float(), 4 * taps, stride=2, padding=margin, groups=channels)
            return F.conv2d(x.float(), taps, stride=2, padding=margin, groups=channels)


class Block(nn.Module):
    """Two convolutions with noise level and class added between, beside a skip; then attention, if wanted."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        embedding: int,
        *,
        taps: Sequence[float] = (),
        up: bool = False,
        attention: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout, self.in_channels, self.out_channels = dropout, c_in, c_out
        self.norm0 = norm(c_in)
        self.conv0 = Resampling(c_in, c_out, 3, taps, up=up) if taps else nn.Conv2d(c_in, c_out, 3, padding=1)
        self.affine = nn.Linear(embedding, c_out)
        self.norm1 = norm(c_out)
        self.conv1 = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.skip: nn.Module | None = None
        if taps:
            self.skip = Resampling(c_in, c_out, 1, taps, up=up)
        elif c_in != c_out:
            self.skip = nn.Conv2d(c_in, c_out, 1)
        self.norm2 = norm(c_out) if attention else None
        self.qkv = nn.Conv2d(c_out, 3 * c_out, 1) if attention else None
        self.proj = nn.Conv2d(c_out, c_out, 1) if attention else None

    def forward(self, x: Tensor, condition: Tensor, seed: int | None = None) -> Tensor:
        """``[b, c, h, w]`` and the embedding ``[b, e]`` -> ``[b, c', h', w']``; ``seed`` seeds the dropout."""
        # Norms in float32: on processors their backward pass in bfloat16 takes twice as long, casts included.
        h = self.conv0(F.silu(self.norm0(x.float())))
        h = F.silu(self.norm1(h.float() + self.affine(condition)[:, :, None, None]))
        h = self.conv1(h if seed is None else dropped(h, self.dropout, seed))
        x = ((x if self.skip is None else self.skip(x)) + h) * SKIP
        if self.qkv is None or self.norm2 is None or self.proj is None:
            return x
        return (x + self.proj(self._mixed(self.qkv(self.norm2(x.float()))))) * SKIP

    @staticmethod
    def _mixed(qkv: Tensor) -> Tensor:
        """Attention of one head over all places; query, key and value of a channel lie side by side in the files."""
        b, c, height, width = qkv.shape
        q, k, v = qkv.permute(0, 2, 3, 1).reshape(b, 1, height * width, c // 3, 3).unbind(-1)
        return attend(q, k, v).reshape(b, height, width, c // 3).permute(0, 3, 1, 2)


def norm(channels: int) -> nn.GroupNorm:
    """Group norm with equal groups of at least four channels, at most 32 of them."""
    groups = next(number for number in range(min(32, channels // 4), 0, -1) if channels % number == 0)
    return nn.GroupNorm(groups, channels, eps=_EPS)


def dropped(x: Tensor, share: float, seed: int) -> Tensor:
    """Dropout by a seed of its own, so that neither a global generator nor a second forward pass changes it."""
    if not share:
        return x
    generator = torch.Generator(x.device).manual_seed(seed)
    return x * torch.empty_like(x).bernoulli_(1 - share, generator=generator).div_(1 - share)


class Sinusoid(nn.Module):
    """Noise levels as sines, then cosines, at frequencies from 1 down to 1/10,000 (DDPM++)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.waves = channels // 2

    def forward(self, level: Tensor) -> Tensor:
        """``[b]`` -> ``[b, channels]``."""
        steps = torch.arange(self.waves, dtype=torch.float32, device=level.device) / (self.waves - 1)
        return _waves(level, (1 / 10000) ** steps)


class Fourier(nn.Module):
    """Noise levels as sines, then cosines, at random frequencies (NCSN++; Tancik et al. 2020).

    The frequencies are not parameters; unless read from a file, they are the same in every network.
    """

    freqs: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        drawn = torch.randn(channels // 2, generator=torch.Generator().manual_seed(0), device="cpu")
        self.register_buffer("freqs", drawn.to(torch.empty(0).device) * _FOURIER_SCALE)

    def forward(self, level: Tensor) -> Tensor:
        """``[b]`` -> ``[b, channels]``."""
        return _waves(level, 2 * math.pi * self.freqs)


def _waves(level: Tensor, rates: Tensor) -> Tensor:
    angles = level.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
