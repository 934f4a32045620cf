"""diffusers' ``UNet2DModel`` as a class-conditional network: called like our own networks, with another body."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from roadstill.errors import UserError
from roadstill.learning.loops import channels_last


class UNet2D(nn.Module):
    """A ``UNet2DModel`` with one row more than classes, for "no label".

    Args:
        input_size: side of its pictures.
        in_channels: channels of its pictures.
        num_classes: number of classes.
        block_out_channels: widths per level, fine to coarse.
        layers_per_block: residual blocks per level and half; the decoder has one more.
        attention: sides at which blocks attend.
        norm_num_groups: number of groups of its norms.
        seed: seed of the initial weights.
    """

    def __init__(
        self,
        *,
        input_size: int,
        in_channels: int = 3,
        num_classes: int,
        block_out_channels: Sequence[int] = (64, 128, 128),
        layers_per_block: int = 2,
        attention: Sequence[int] = (16,),
        norm_num_groups: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__()
        from diffusers import UNet2DModel

        self.input_size, self.in_channels, self.num_classes = input_size, in_channels, num_classes
        self.block_out_channels, self.layers_per_block = tuple(block_out_channels), layers_per_block
        self.attention, self.norm_num_groups = tuple(attention), norm_num_groups
        levels = len(self.block_out_channels)
        attends = [input_size >> level in self.attention for level in range(levels)]
        kinds = {half: [f"{'Attn' * on}{half}Block2D" for on in attends] for half in ("Down", "Up")}
        # diffusers draws the initial weights from the global generator, which is put back afterwards.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                self.unet = UNet2DModel(
                    sample_size=input_size,
                    in_channels=in_channels,
                    out_channels=in_channels,
                    block_out_channels=self.block_out_channels,
                    layers_per_block=layers_per_block,
                    down_block_types=tuple(kinds["Down"]),
                    up_block_types=tuple(reversed(kinds["Up"])),
                    norm_num_groups=norm_num_groups,
                    num_class_embeds=num_classes + 1,
                )
            except ValueError as error:
                raise UserError(f"a UNet2DModel of {self.block_out_channels} does not fit: {error}") from None
        channels_last(self)

    @property
    def config(self) -> dict[str, Any]:
        """The keywords that build this network again (without its weights), and its kind."""
        names = ("input_size", "in_channels", "num_classes", "block_out_channels", "layers_per_block", "attention",
                 "norm_num_groups")  # fmt: skip
        return {"kind": "unet2d"} | {name: getattr(self, name) for name in names}

    @property
    def save_memory(self) -> bool:
        """Whether blocks are computed again in the backward pass."""
        return bool(self.unet.is_gradient_checkpointing)

    @save_memory.setter
    def save_memory(self, on: bool) -> None:
        if on:
            self.unet.enable_gradient_checkpointing()

    def forward(self, z: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Pictures ``[b, c, h, w]``, noise levels ``[b]``, class rows ``[b]`` -> ``[b, c, h, w]``."""
        out: Tensor = self.unet(z.contiguous(memory_format=torch.channels_last), t, y).sample
        return out
