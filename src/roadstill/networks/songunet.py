"""The U-Nets of EDM for 32 px (Karras et al. 2022, table 1): DDPM++ and NCSN++, in the original files' key layout.

Both are Song et al.'s (2021) networks; they differ in how noise is embedded, in the filter that halves and doubles
resolutions, and in whether the encoder adds a shrunken copy of the picture at every level (the residual encoder).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from roadstill.errors import UserError
from roadstill.learning.loops import channels_last
from roadstill.networks.unet_blocks import SKIP, Block, Fourier, Resampling, Sinusoid, norm

STYLES = {"ddpmpp": (1.0, 1.0), "ncsnpp": (1.0, 3.0, 3.0, 1.0)}  # with the taps of their resampling filters
_EMBEDDING = 4  # embedding channels per model channel
_GAINS = {"conv1": 1e-5, "proj": 1e-5, "aux_conv": 1e-5, "qkv": math.sqrt(0.2)}
AUGMENT_LABELS = 9  # of the original files; the first one marks a mirrored picture


def songunet(name: str, *, input_size: int = 32, num_classes: int = 10, **more: Any) -> "SongUNet":
    """A published network for CIFAR-10 by its name, ``SongUNet-ncsnpp`` ("ve" files) or ``SongUNet-ddpmpp`` ("vp").

    Further keywords go to ``SongUNet``.
    """
    style = name.removeprefix("SongUNet-")
    if style not in STYLES:
        raise UserError(f"network {name!r} is unknown; choose SongUNet-ncsnpp or SongUNet-ddpmpp")
    sizes: dict[str, Any] = {
        "channels": 128, "channel_mult": (2, 2, 2), "num_blocks": 4, "attention": (16,), "dropout": 0.13,
        "augment_dim": AUGMENT_LABELS,
    }  # fmt: skip
    return SongUNet(input_size=input_size, num_classes=num_classes, style=style, **(sizes | more))


class SongUNet(nn.Module):
    """U-Net over pictures or latents, conditioned on noise level, class and, if trained so, augmentation.

    Args:
        input_size: side of its pictures.
        in_channels: channels of its pictures.
        num_classes: number of classes: 0 to ``num_classes - 1``, and ``num_classes`` for "no label".
        style: ``ddpmpp`` or ``ncsnpp``.
        channels: width that ``channel_mult`` multiplies.
        channel_mult: widths per level, fine to coarse; every further level halves the side.
        num_blocks: blocks per level and half.
        attention: sides at which blocks attend; the coarsest level does anyway, once in the middle.
        dropout: share of values dropped within blocks, in training.
        patch: side of the pixel blocks that are folded into channels first and unfolded last: 2 costs a quarter.
        augment_dim: number of augmentation labels; 0 for none.
        seed: seed of the initial weights.
    """

    def __init__(
        self,
        *,
        input_size: int,
        in_channels: int = 3,
        num_classes: int,
        style: str = "ddpmpp",
        channels: int = 64,
        channel_mult: Sequence[int] = (1, 2, 2),
        num_blocks: int = 2,
        attention: Sequence[int] = (16,),
        dropout: float = 0.0,
        patch: int = 1,
        augment_dim: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        levels = len(channel_mult)
        if style not in STYLES or channels < 4 or channels % 4 or not levels or input_size % (patch << levels - 1):
            raise UserError(
                f"a SongUNet of style {style!r}, {channels} channels and {levels} levels over {input_size} px in "
                f"patches of {patch} does not fit; styles are {' and '.join(STYLES)}, channels a multiple of 4, and "
                "each level halves the side"
            )
        self.input_size, self.in_channels, self.num_classes = input_size, in_channels, num_classes
        self.style, self.channels, self.channel_mult = style, channels, tuple(channel_mult)
        self.num_blocks, self.attention = num_blocks, tuple(attention)
        self.dropout, self.patch, self.augment_dim = dropout, patch, augment_dim
        self.save_memory = False  # recompute each block in the backward pass instead of keeping its activations
        told = channels * (2 if style == "ncsnpp" else 1)
        self.map_noise: nn.Module = Fourier(told) if style == "ncsnpp" else Sinusoid(told)
        self.map_label = nn.Linear(num_classes, told)
        self.map_augment = nn.Linear(augment_dim, told, bias=False) if augment_dim else None
        self.map_layer0 = nn.Linear(told, _EMBEDDING * channels)
        self.map_layer1 = nn.Linear(_EMBEDDING * channels, _EMBEDDING * channels)
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        self._build()
        if not self.map_label.weight.is_meta:
            initialise(self, torch.Generator().manual_seed(seed))
        channels_last(self)

    @property
    def config(self) -> dict[str, Any]:
        """The keywords that build this network again (without its weights), and its kind."""
        names = ("input_size", "in_channels", "num_classes", "style", "channels", "channel_mult", "num_blocks",
                 "attention", "dropout", "patch", "augment_dim")  # fmt: skip
        return {"kind": "songunet"} | {name: getattr(self, name) for name in names}

    def _build(self) -> None:
        shared: dict[str, Any] = {"dropout": self.dropout}
        taps, e, residual = STYLES[self.style], _EMBEDDING * self.channels, self.style == "ncsnpp"
        width, picture, sides = self.channels, self.in_channels * self.patch**2, self._sides()
        folded = picture
        self.enc[f"{sides[0]}x{sides[0]}_conv"] = nn.Conv2d(picture, width, 3, padding=1)
        passed = [width]
        for level, (side, mult) in enumerate(zip(sides, self.channel_mult, strict=True)):
            if level:
                self.enc[f"{side}x{side}_down"] = Block(width, width, e, taps=taps, **shared)
                if residual:
                    aux = Resampling(picture, width, 3, taps, up=False, late=True)
                    self.enc[f"{side}x{side}_aux_residual"], picture = aux, width
                passed.append(width)
            for i in range(self.num_blocks):
                attends = side in self.attention
                self.enc[f"{side}x{side}_block{i}"] = Block(width, mult * self.channels, e, attention=attends, **shared)
                width = mult * self.channels
                passed.append(width)
        for side, mult in reversed(list(zip(sides, self.channel_mult, strict=True))):
            if side == sides[-1]:
                self.dec[f"{side}x{side}_in0"] = Block(width, width, e, attention=True, **shared)
                self.dec[f"{side}x{side}_in1"] = Block(width, width, e, **shared)
            else:
                self.dec[f"{side}x{side}_up"] = Block(width, width, e, taps=taps, up=True, **shared)
            for i in range(self.num_blocks + 1):
                attends = i == self.num_blocks and side in self.attention
                self.dec[f"{side}x{side}_block{i}"] = Block(
                    width + passed.pop(), mult * self.channels, e, attention=attends, **shared
                )
                width = mult * self.channels
        self.dec[f"{sides[0]}x{sides[0]}_aux_norm"] = norm(width)
        self.dec[f"{sides[0]}x{sides[0]}_aux_conv"] = nn.Conv2d(width, folded, 3, padding=1)

    def _sides(self) -> list[int]:
        return [self.input_size // self.patch >> level for level in range(len(self.channel_mult))]

    def forward(
        self, z: Tensor, t: Tensor, y: Tensor, augment: Tensor | None = None, seed: int | None = None
    ) -> Tensor:
        """Pictures ``[b, c, h, w]``, noise levels ``[b]``, class rows ``[b]`` -> ``[b, c, h, w]``.

        ``augment [b, augment_dim]`` states how the pictures were augmented; ``seed`` turns dropout on.
        """
        condition, seeds = self._condition(t, y, augment), _seeds(seed)
        folded = z if self.patch == 1 else F.pixel_unshuffle(z, self.patch)
        x = picture = folded.contiguous(memory_format=torch.channels_last)
        passed: list[Tensor] = []
        for module in self.enc.values():
            if isinstance(module, Block):
                x = self._run(module, x, condition, next(seeds))
                passed.append(x)
            elif isinstance(module, Resampling):
                passed[-1] = x = picture = (x + module(picture)) * SKIP
            else:
                x = module(x)
                passed.append(x)
        for module in self.dec.values():
            if isinstance(module, Block):
                if module.in_channels != x.shape[1]:
                    x = torch.cat([x, passed.pop()], dim=1)
                x = self._run(module, x, condition, next(seeds))
            else:
                x = F.silu(module(x.float())) if isinstance(module, nn.GroupNorm) else module(x)
        return x if self.patch == 1 else F.pixel_shuffle(x, self.patch)

    def _condition(self, t: Tensor, y: Tensor, augment: Tensor | None) -> Tensor:
        # A label is a row of ones and zeros times the root of its length, so that its variance is one; none is zeros.
        label = F.one_hot(y, self.num_classes + 1)[:, : self.num_classes].float() * math.sqrt(self.num_classes)
        condition = self.map_noise(t) + self.map_label(label)
        if augment is not None and self.map_augment is not None:
            condition = condition + self.map_augment(augment)
        return F.silu(self.map_layer1(F.silu(self.map_layer0(condition))))

    def _run(self, block: Block, x: Tensor, condition: Tensor, seed: int | None) -> Tensor:
        if self.save_memory and torch.is_grad_enabled():
            return checkpoint(block, x, condition, seed, use_reentrant=False)
        return block(x, condition, seed)


def _seeds(first: int | None) -> Iterator[int | None]:
    """A seed for every block, or none for any."""
    while True:
        yield first
        first = None if first is None else first + 1


def initialise(network: SongUNet, generator: torch.Generator) -> None:
    """EDM's initial weights: Xavier for all weights, attention smaller, and almost nothing where a branch ends."""
    for name, module in network.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            gain = next((gain for end, gain in _GAINS.items() if name.endswith(end)), 1.0)
            nn.init.xavier_uniform_(module.weight, gain=gain, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
