"""`StagedNetwork`: a classifier cut into stages, so that leading ones can be frozen and their output kept."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from roadstill.errors import UserError
from roadstill.learning.precision import in_bfloat16

# A frozen stage's output for this many pixels stays in a processor's cache (8 pictures of 128 px).
_FROZEN_PIXELS_AT_ONCE = 2**17
STATUS_WIDTH = 32
"""Width that the vehicle's own status adds to the features."""


class StagedNetwork(nn.Module):
    """Stages one after the other, then one linear layer.

    Args:
        stages: stages in order; the last one ends in features ``[b, features]``.
        features: width of those features.
        num_classes: number of logits.
        mean: value per channel that is subtracted from pixels in [0, 1].
        std: value per channel that they are then divided by.
        origin: source of the initial weights, in words.
        pretrained: whether the stages have trained weights.
        pixels_at_once: pixels of a batch that go forward and backward at a time on a CPU, so that the activations stay
            in the processor's cache; None for networks that depend on the whole batch.

    Attributes:
        status: layers for the vehicle's own status, if it is an input; see `with_status`.
        made_from: facts that building it again needs, if a name and a number of classes are not enough.
        mixed_precision: "bf16" for stages that compute in bfloat16 while they train, never afterwards.
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        *,
        features: int,
        num_classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        origin: str,
        pretrained: bool,
        pixels_at_once: int | None = None,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.head = nn.Linear(features, num_classes)
        self.status: nn.Sequential | None = None
        self.mean, self.std = tuple(mean), tuple(std)
        self.origin, self.pretrained = origin, pretrained
        self.pixels_at_once, self.mixed_precision = pixels_at_once, "no"
        self.white_mean: Tensor | None = None
        self.white_matrix: Tensor | None = None
        self.made_from: Mapping[str, Any] = {}
        self.frozen = 0
        self.fixed_batch_norm = False
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def with_status(self, width: int) -> "StagedNetwork":
        """Lets the last layer see the vehicle's own status as well, ``[b, width]``, through two layers of its own."""
        self.status = nn.Sequential(
            nn.Linear(width, STATUS_WIDTH), nn.GELU(), nn.Linear(STATUS_WIDTH, STATUS_WIDTH), nn.GELU()
        )
        self.head = nn.Linear(self.head.in_features + STATUS_WIDTH, self.head.out_features)
        return self

    def whiten(self, mean: Tensor, matrix: Tensor) -> "StagedNetwork":
        """Takes whitened pixels, ``(x - mean) @ matrix`` of flattened pictures in [0, 1], not normalised ones."""
        del self.white_mean, self.white_matrix
        self.register_buffer("white_mean", mean.clone())
        self.register_buffer("white_matrix", matrix.clone())
        return self

    def freeze(self, stages: int) -> None:
        """Excludes the leading stages from training, their BatchNorm statistics included.

        Raises:
            UserError: more stages than the network has, or untrained ones.
        """
        if not 0 <= stages <= len(self.stages):
            raise UserError(
                f"freeze is {stages}, but this network has {len(self.stages)} stages; take 0..{len(self.stages)}"
            )
        if stages and not self.pretrained:
            raise UserError(f"freeze is {stages}, but the network starts from random weights; give weights or freeze 0")
        self.frozen = stages
        for index, stage in enumerate(self.stages):
            stage.requires_grad_(index >= stages)

    def train(self, mode: bool = True) -> "StagedNetwork":
        """Does what `nn.Module.train` does, but frozen or fixed modules stay in evaluation mode."""
        super().train(mode)
        for stage in self.stages[: self.frozen]:
            stage.eval()
        if self.fixed_batch_norm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def prepare(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 ``[b, s, s, 3]`` or float in [0, 1] ``[b, 3, s, s]`` as the first stage takes them."""
        if pixels.dtype == torch.uint8:
            pixels = pixels.permute(0, 3, 1, 2).float() / 255
        if self.white_mean is not None and self.white_matrix is not None:
            white = ((pixels.flatten(1) - self.white_mean) @ self.white_matrix).view_as(pixels)
            return white.contiguous(memory_format=torch.channels_last)
        mean, std = (torch.tensor(value, device=pixels.device).view(1, 3, 1, 1) for value in (self.mean, self.std))
        return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)

    def parts(self, batch: Tensor) -> list[slice]:
        """Rows of a batch ``[b, 3, s, s]`` that go through the network at a time, in order."""
        return _rows_at_once(batch, self.pixels_at_once)

    def in_parts(self, batch: Tensor, status: Tensor | None = None) -> Tensor:
        """The result of `tail`, computed in the `parts` of the batch."""
        parts = self.parts(batch)
        return torch.cat([self.tail(batch[rows], None if status is None else status[rows]) for rows in parts])

    def trunk(self, x: Tensor) -> Tensor:
        """Output of the frozen stages for prepared pixels ``[b, 3, s, s]``; few pictures at a time on a CPU."""
        if not self.frozen:
            return x
        frozen = nn.Sequential(*self.stages[: self.frozen])
        return torch.cat([frozen(x[rows]) for rows in _rows_at_once(x, _FROZEN_PIXELS_AT_ONCE)])

    def features(self, x: Tensor) -> Tensor:
        """Output of the stages that train, the linear layer's input ``[b, features]``."""
        half = in_bfloat16(x.device.type, self.training and self.mixed_precision == "bf16")
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
            for stage in self.stages[self.frozen :]:
                x = stage(x)
        return x.float() if half else x

    def tail(self, x: Tensor, status: Tensor | None = None) -> Tensor:
        """Output of the stages that train and the linear layer: logits ``[b, k]``.

        Args:
            x: output of the frozen stages, or prepared pixels.
            status: the vehicle's own status ``[b, width]``, for networks `with_status`.
        """
        found = self.features(x)
        if self.status is not None:
            if status is None:
                raise ValueError("the network looks at the vehicle's own status, and none is given")
            found = torch.cat([found, self.status(status)], dim=1)
        return self.head(found)

    def forward(self, x: Tensor, status: Tensor | None = None) -> Tensor:
        """Logits ``[b, k]`` of prepared pixels; ``status`` as for `tail`."""
        return self.tail(self.trunk(x), status)

    def trunk_digest(self) -> str:
        """Equal for equal frozen weights; names the trunk in a feature cache."""
        sha = hashlib.sha256(f"{self.frozen} {self.mean} {self.std}".encode())
        for stage in self.stages[: self.frozen]:
            for name, value in stage.state_dict().items():
                sha.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return sha.hexdigest()[:16]


def _rows_at_once(batch: Tensor, pixels: int | None) -> list[slice]:
    """Rows of a batch ``[b, 3, s, s]`` in even parts of at most this many pixels on a CPU, else all of them."""
    size = len(batch)
    if pixels is None or batch.device.type != "cpu":
        return [slice(0, size)]
    number = max(1, -(-size // max(1, pixels // (batch.shape[2] * batch.shape[3]))))
    ends = [size * index // number for index in range(number + 1)]
    return [slice(start, end) for start, end in pairwise(ends)]
