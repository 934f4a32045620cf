"""A class-conditional velocity predictor (SiT) as a Denoiser: straight paths from noise to data, no betas."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from roadstill.denoisers.base import Estimate, Guide, Sampling
from roadstill.denoisers.labelled import LabelledDenoiser, evaluating


class SiTDenoiser(LabelledDenoiser):
    """Velocity prediction on x_t = t data + (1 - t) noise (Ma et al. 2024, SiT; linear path).

    The network is DiT's under the same names; it is told t in [0, 1], where 1 is data, and its variance channels, if it
    has them, are not used. Criteria, adapters and sampling settings work as for noise prediction, through the estimate
    of the clean latent x_t + (1 - t) v.
    """

    solvers: ClassVar[tuple[str, ...]] = ("heun", "euler")
    objective: ClassVar[str] = "velocity"

    def at(self, progress: float) -> Self:
        """Itself: the path does not change during training."""
        return self

    def _times(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.rand(count, generator=generator, device=generator.device)

    def estimate_given(self, clean: Tensor, rows: Tensor, *, t: Tensor, noise: Tensor) -> Estimate:
        """The training forward for given times in [0, 1] ``[b]``, noise and class rows ``[b]``.

        The estimate's ``t`` is the share of noise, 1 - t, so that small means clean as for all denoisers.
        """
        clean, share = clean.float(), t.reshape(-1, 1, 1, 1)
        noisy = share * clean + (1 - share) * noise
        velocity, _ = self._predict(noisy, t, rows)
        mse = (velocity - (clean - noise)).square().flatten(1).mean(1)
        clean_estimate = noisy + (1 - share) * velocity
        # On the straight path the noise estimate is the clean one less the velocity.
        return Estimate(mse, clean_estimate, 1 - t, mse.detach(), noisy - (clean_estimate - velocity))

    @torch.no_grad()
    def generate(
        self,
        label: Tensor,
        *,
        seeds: Sequence[int],
        sampling: Sampling = Sampling(),  # noqa: B008  frozen
        start: Tensor | None = None,
        guide: Guide | None = None,
    ) -> Tensor:
        """Latents ``[b, c, h, w]`` of the labels ``[b]``, each drawn from its own seed alone.

        The path is walked in equal steps of time by Heun's rule (two predictions a step) or Euler's (one). Clean
        latents ``start [b, c, h, w]`` are mixed with ``sampling.strength`` of noise, and walked on from there.

        Raises:
            UserError: not one seed per label, start latents of another shape, or a solver of another kind.
        """
        solver, asked, steps = self.plan(sampling)
        rows, noise, device = self._begin(label, seeds, start)
        x, left = noise(), 1.0
        if start is not None:
            left = sampling.strength
            x = (1 - left) * start.to(device) + left * x
        (low, high), (first_moved, last_moved) = sampling.guidance_interval, sampling.teacher_interval
        times = torch.linspace(1 - left, 1.0, max(1, round(left * steps)) + 1, dtype=torch.float64).tolist()

        def velocity(x: Tensor, time: float) -> Tensor:
            guidance = asked if low <= 1 - time <= high else 1.0
            told = torch.full((len(x),), time, device=device)
            slope, _ = self.guided(x, told, rows, guidance, sampling.mixed_precision)
            if guide is not None and first_moved <= 1 - time <= last_moved:
                # Velocity is the way to the clean estimate per noise that is left.
                slope = slope + sampling.teacher_guidance * guide(x + (1 - time) * slope)
            return slope

        with evaluating(self.network):
            for now, then in pairwise(times):
                slope = velocity(x, now)
                ahead = x + (then - now) * slope
                if solver == "heun" and then < 1:  # at the end the path is straight, and a correction gains nothing
                    ahead = x + (then - now) * (slope + velocity(ahead, then)) / 2
                x = ahead
        return x
