"""Kernel regression: what a small set predicts for others in closed form, by the kernel of infinitely wide networks."""

import math

import torch
from torch import Tensor

_CLOSE = 1e-7  # cosines nearer to 1 than this count as 1: the slope of the arc cosine is infinite there


def tangent_kernel(ours: Tensor, theirs: Tensor, *, depth: int = 2, bias: float = 0.1, kind: str = "ntk") -> Tensor:
    """The kernel of fully connected ReLU networks of infinite width, ``[n, m]``, float64.

    Arc-cosine recursion (Cho and Saul 2009; Jacot et al. 2018), weights of variance 2 / fan-in.

    Args:
        ours: inputs ``[n, d]``.
        theirs: inputs ``[m, d]``.
        depth: number of hidden layers.
        bias: standard deviation of the biases.
        kind: "ntk", of training by gradient descent, or "nngp", of training the last layer alone.
    """
    a, b = ours.double(), theirs.double()
    width = a.shape[1]
    kernel = 2 * (a @ b.T) / width + bias**2
    own, its = (2 * each.square().sum(1) / width + bias**2 for each in (a, b))
    tangent = kernel
    for _ in range(depth):
        size = (own[:, None] * its[None]).clamp_min(1e-30).sqrt()
        cosine = kernel / size
        # Of equal inputs the angle is 0 and moves nothing; elsewhere the clamp has no effect.
        same = cosine > 1 - _CLOSE
        safe = torch.where(same, torch.zeros_like(cosine), cosine).clamp(-1 + _CLOSE, 1 - _CLOSE)
        angle = torch.where(same, torch.zeros_like(cosine), safe.acos())
        sine = torch.where(same, torch.zeros_like(cosine), (1 - safe.square()).sqrt())
        used = torch.where(same, cosine, safe)
        kernel = size * (sine + (math.pi - angle) * used) / math.pi + bias**2
        tangent = kernel + tangent * (math.pi - angle) / math.pi
        own, its = own + bias**2, its + bias**2
    return kernel if kind == "nngp" else tangent


def regress(kernel_ss: Tensor, kernel_ts: Tensor, targets: Tensor, ridge: float = 1e-6) -> Tensor:
    """Predictions ``[m, k]`` of kernel regression, float64.

    Args:
        kernel_ss: kernel of the small set with itself ``[n, n]``.
        kernel_ts: kernel of others with the small set ``[m, n]``.
        targets: targets of the small set ``[n, k]``.
        ridge: what is added to the diagonal, as a share of its mean.
    """
    ss = kernel_ss.double()
    ss = (ss + ss.T) / 2
    loaded = ss + ridge * ss.diagonal().mean() * torch.eye(len(ss), dtype=ss.dtype, device=ss.device)
    found: Tensor = kernel_ts.double() @ torch.linalg.solve(loaded, targets.double())
    return found
