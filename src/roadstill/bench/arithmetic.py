"""Sizes of a DiT by arithmetic: parameters, floating-point operations, memory of a training, bytes between processes.

Nothing is built for it, so that a plan for a billion frames takes a moment; tests hold it against networks.
"""

from dataclasses import dataclass

from roadstill.errors import UserError
from roadstill.networks.dit import SIZES

_FREQUENCIES = 256
_FP32 = 4


@dataclass(frozen=True)
class Backbone:
    """A DiT on latents of one size.

    Attributes:
        name: published name, such as DiT-XL/2.
        side: side of the latents in cells.
        channels: channels of the latents.
        classes: number of classes.
    """

    name: str
    side: int
    channels: int = 4
    classes: int = 2

    def __post_init__(self) -> None:
        size, _, patch = self.name.removeprefix("DiT-").partition("/")
        if size not in SIZES or patch not in ("2", "4", "8") or not self.name.startswith("DiT-"):
            raise UserError(
                f"backbone {self.name!r} is unknown; choose DiT-S, -B, -L or -XL with /2, /4 or /8, as DiT-XL/2"
            )
        if self.side < 1 or self.side % int(patch):
            raise UserError(
                f"latents of {self.side} cells a side cannot be cut into patches of {patch}; take another size_px"
            )

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        """Depth, width, tokens, and numbers of a token's patch."""
        size, _, patch = self.name.removeprefix("DiT-").partition("/")
        depth, width, _ = SIZES[size]
        return depth, width, (self.side // int(patch)) ** 2, self.channels * int(patch) ** 2

    @property
    def parameters(self) -> int:
        """Number of parameters, the fixed table of positions included."""
        depth, h, tokens, patch = self._shape
        block = 18 * h * h + 15 * h
        conditions = _FREQUENCIES * h + h + h * h + h + (self.classes + 1) * h
        final = 2 * h * h + 2 * h + 2 * patch * h + 2 * patch
        return patch * h + h + conditions + tokens * h + depth * block + final

    @property
    def difffit_parameters(self) -> int:
        """Number of parameters that `roadstill.adapters.DiffFit` trains with all blocks' gammas, without the labels'.

        Biases, and four vectors of gammas a block.
        """
        depth, h, _, patch = self._shape
        biases = h + 2 * h + depth * 15 * h + 2 * h + 2 * patch
        return biases + depth * 6 * h

    def forward_flops(self) -> int:
        """Operations of one latent's forward pass: matrix products and attention, two a multiplication."""
        depth, h, tokens, patch = self._shape
        block = 2 * tokens * 12 * h * h + 4 * tokens * tokens * h + 2 * 6 * h * h
        conditions = 2 * (_FREQUENCIES * h + h * h)
        return 2 * tokens * patch * h + conditions + depth * block + 2 * 2 * h * h + 2 * tokens * h * 2 * patch

    def training_flops(self, *, all_learn: bool = False, recomputed: bool = False) -> int:
        """Floating-point operations of one latent's forward and backward pass.

        Args:
            all_learn: whether all weights learn; with adapters there are no gradients of the others.
            recomputed: whether gradient checkpointing repeats the forward pass.
        """
        return self.forward_flops() * (2 + all_learn + recomputed)


def training_bytes(parameters: int, learning: int, *, shards: int = 1, weight_bytes: int = _FP32) -> int:
    """Memory of a training's state in each process, without activations.

    Weights; and of each parameter that learns its gradient, two moments of Adam and the moving average, in float32.

    Args:
        parameters: number of parameters.
        learning: number of those that learn.
        shards: number of processes that FSDP spreads the state over; 1 for DDP, where each holds all of it.
        weight_bytes: bytes of a weight.
    """
    return -(-(parameters * weight_bytes + learning * 4 * _FP32) // shards)


def activation_bytes(backbone: Backbone, batch_size: int, *, recomputed: bool, number_bytes: int = _FP32) -> int:
    """Memory of what a forward pass keeps for the backward pass, about; attention keeps no matrix of scores.

    17 numbers of the width for each token and block (Korthikanti et al. 2022, section 4.1, without scores and dropout),
    or one with gradient checkpointing and those of a single block.
    """
    depth, h, tokens, _ = backbone._shape
    kept = depth + 17 if recomputed else 17 * depth
    return batch_size * tokens * h * kept * number_bytes


def ddp_bytes(learning: int, processes: int) -> int:
    """Bytes that each process sends in a step under DDP: a ring that adds up the gradients of what learns."""
    return round(2 * (processes - 1) / processes * learning * _FP32)


def fsdp_bytes(parameters: int, learning: int, processes: int, *, weight_bytes: int = _FP32) -> int:
    """Bytes that each process sends in a step under FSDP: weights for both passes, then the gradients' shards."""
    return round((processes - 1) / processes * (2 * parameters * weight_bytes + learning * _FP32))
