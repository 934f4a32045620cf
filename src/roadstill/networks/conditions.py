"""What a diffusion transformer is told: time, class and attributes, each a vector of its width; they are added up."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_FREQUENCIES = 256


def time_sinusoid(t: Tensor) -> Tensor:
    """256 cosines, then sines, of the (possibly fractional) timesteps ``[b]`` -> float32 ``[b, 256]``."""
    half = _FREQUENCIES // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimeEmbed(nn.Module):
    """Timestep -> sinusoid -> two-layer network."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(_FREQUENCIES, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size))

    def forward(self, t: Tensor) -> Tensor:
        """Timesteps ``[b]`` -> ``[b, hidden]``."""
        return self.mlp(time_sinusoid(t).to(next(self.mlp.parameters()).dtype))


class LabelEmbed(nn.Module):
    """One row per class, and a last one for "no label"."""

    def __init__(self, num_classes: int, hidden_size: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(num_classes + 1, hidden_size)

    def forward(self, y: Tensor) -> Tensor:
        """Rows ``[b]`` -> ``[b, hidden]``."""
        return self.embedding_table(y)


class AttributeEmbed(nn.Module):
    """One row per value of each attribute, all zero at first; rows that are told are added up."""

    def __init__(self, rows: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows, hidden_size))

    def forward(self, rows: Tensor) -> Tensor:
        """Rows ``[b, a]``, -1 for none, which adds nothing -> ``[b, hidden]``."""
        told = F.embedding(rows.clamp(min=0), self.weight)
        return (told * (rows >= 0).unsqueeze(-1).to(told.dtype)).sum(1)
