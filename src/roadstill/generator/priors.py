"""What keeps refined pictures pictures: coarse changes first, no more grain than at the start, a generator's score."""

import torch
from torch import Tensor
from torch.nn import functional as F

from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.learning.loops import generator_of


class Pyramid:
    """Latents that are optimised coarse to fine: the start, and changes at several resolutions that add up.

    Small objectives alone put their signal into the finest grain that a network sees; what a coarse change can do is
    done first (the pyramid of Cazenavette et al. 2025, here of latents).

    Args:
        start: latents at the start, ``[n, c, h, w]``.
        levels: resolutions; 1 optimises the latents themselves.
        steps: length of the optimisation; a further level joins after each ``steps / levels``.
        learning_rate: learning rate of Adam at the coarsest level; each finer one has half of the next coarser one's.
    """

    def __init__(self, start: Tensor, levels: int, steps: int, learning_rate: float) -> None:
        sides = [[max(1, side // 2**level) for side in start.shape[2:]] for level in range(levels - 1, 0, -1)]
        self.parts = [start.new_zeros(*start.shape[:2], *each) for each in sides] + [start.clone()]
        self.steps = steps
        self.optimizer = torch.optim.Adam([self.parts[0].requires_grad_(True)], lr=learning_rate)

    def latents(self, step: int) -> Tensor:
        """The latents ``[n, c, h, w]`` before a 0-based step, with gradient to the levels that move in it."""
        moving = self.optimizer.param_groups
        while len(moving) <= step * len(self.parts) // self.steps < len(self.parts):
            part = self.parts[len(moving)].requires_grad_(True)
            self.optimizer.add_param_group({"params": [part], "lr": moving[-1]["lr"] / 2})
        whole = self.parts[-1]
        for part in self.parts[:-1]:
            whole = whole + F.interpolate(part, whole.shape[2:], mode="bilinear")
        return whole

    def move(self, latents: Tensor, gradient: Tensor) -> None:
        """One step of Adam.

        Args:
            latents: what `latents` gave for this step.
            gradient: gradient of the loss with respect to them.
        """
        self.optimizer.zero_grad()
        latents.backward(gradient)
        self.optimizer.step()


def total_variation(pictures: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels of each picture ``[n, 3, s, s]``, ``[n]`` (Rudin et al. 1992)."""
    down = (pictures[:, :, 1:] - pictures[:, :, :-1]).abs().flatten(1).mean(1)
    across = (pictures[:, :, :, 1:] - pictures[:, :, :, :-1]).abs().flatten(1).mean(1)
    return down + across


def excess_variation(pictures: Tensor, usual: Tensor) -> Tensor:
    """Mean over pictures of the total variation above what was usual for each, as a share of that; a scalar.

    Args:
        pictures: pictures ``[n, 3, s, s]``.
        usual: total variation of each at the start, ``[n]``.
    """
    return (total_variation(pictures) / usual.clamp_min(1e-6) - 1).clamp_min(0).mean()


def score_direction(
    base: LabelledDenoiser, latents: Tensor, labels: Tensor, *, share: float, seed: int, step: int, batch_size: int
) -> Tensor:
    """The direction in which a generator finds latents less likely, ``[n, c, h, w]``, of root mean square 1.

    Noise depends on seed, step and picture alone; opposite noise in every second step cancels most of it out.

    Args:
        base: generator of such latents.
        latents: latents ``[n, c, h, w]``.
        labels: labels ``[n]``.
        share: place of the noise level in the chain.
        seed: seed of the noise.
        step: 0-based step.
        batch_size: latents at once.
    """
    sign = 1 - 2 * (step % 2)
    noise = torch.stack(
        [sign * torch.randn(latents.shape[1:], generator=generator_of("score", seed, step // 2, index))
         for index in range(len(latents))]
    ).to(latents)  # fmt: skip
    parts = zip(*(each.split(batch_size) for each in (latents, labels, noise)), strict=True)
    found = [base.residual(part, label, share=share, noise=its) for part, label, its in parts]
    whole = torch.cat(found)
    return whole / whole.square().mean().sqrt().clamp_min(torch.finfo(whole.dtype).tiny)
