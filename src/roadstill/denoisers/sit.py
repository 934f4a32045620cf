"""A class-conditional velocity predictor (SiT) as a Denoiser: straight paths from noise to data, no betas."""

from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from roadstill.denoisers.base import CONSISTENCY, Chain, Estimate, Guide, Plan, Sampling
from roadstill.denoisers.labelled import Ask, LabelledDenoiser
from roadstill.networks.dit import DiT
from roadstill.runs.progress import track


class SiTDenoiser(LabelledDenoiser):
    """Velocity prediction on x_t = t data + (1 - t) noise (Ma et al. 2024, SiT; linear path).

    The network is DiT's under the same names; it is told t in [0, 1], where 1 is data, and its variance channels, if it
    has them, are not used. Criteria, adapters and sampling settings work as for noise prediction, through the estimate
    of the clean latent x_t + (1 - t) v.
    """

    solvers: ClassVar[tuple[str, ...]] = ("heun", "euler")
    objective: ClassVar[str] = "velocity"
    networks: ClassVar[tuple[type[nn.Module], ...]] = (DiT,)

    def at(self, progress: float) -> Self:
        """Itself: the path does not change during training."""
        return self

    def chain(self, steps: int) -> Chain:
        """See `LabelledDenoiser.chain`."""
        rest = torch.arange(1, steps + 1) / steps
        return Chain(1 - rest, 1 - rest, rest)

    def clean_in(self, noisy: Tensor, signal: Tensor, rest: Tensor, found: Tensor) -> Tensor:
        """See `LabelledDenoiser.clean_in`."""
        return noisy + rest * found

    def _level(self, share: float) -> Tensor:
        return torch.tensor([1 - share])

    def _times(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.rand(count, generator=generator, device=generator.device)

    def estimate_given(self, clean: Tensor, rows: Tensor, *, t: Tensor, noise: Tensor) -> Estimate:
        """The training forward for given times in [0, 1] ``[b]``, noise and class rows ``[b]``.

        The estimate's ``t`` is the share of noise, 1 - t, so that small means clean as for all denoisers.
        """
        clean, share = clean.float(), t.reshape(-1, 1, 1, 1)
        noisy = share * clean + (1 - share) * noise
        velocity, _ = self.predict(noisy, t, rows)
        mse = (velocity - (clean - noise)).square().flatten(1).mean(1)
        clean_estimate = noisy + (1 - share) * velocity
        # On the straight path the noise estimate is the clean one less the velocity.
        return Estimate(mse, clean_estimate, 1 - t, mse.detach(), noisy - (clean_estimate - velocity))

    def _walk(
        self, ask: Ask, plan: Plan, sampling: Sampling, noise: Callable[[], Tensor], start: Tensor | None
    ) -> Tensor:
        """Walks the path in equal steps of time by Heun's rule (two predictions a step), Euler's or few steps' (one).

        Clean latents ``start`` are mixed with ``sampling.strength`` of noise, and walked on from there.
        """
        x, left = noise(), 1.0
        if start is not None:
            left = sampling.strength
            x = (1 - left) * start + left * x
        times = torch.linspace(1 - left, 1.0, max(1, round(left * plan.steps)) + 1, dtype=torch.float64).tolist()

        def velocity(x: Tensor, time: float) -> Tensor:
            return ask(x, torch.full((len(x),), time, device=x.device), 1 - time)[0]

        for now, then in track(pairwise(times), "steps of sampling", total=len(times) - 1):
            slope = velocity(x, now)
            if plan.solver == CONSISTENCY:
                x = x + (1 - now) * slope
                x = then * x + (1 - then) * noise() if then < 1 else x
                continue
            ahead = x + (then - now) * slope
            if plan.solver == "heun" and then < 1:  # at the end the path is straight, and a correction gains nothing
                ahead = x + (then - now) * (slope + velocity(ahead, then)) / 2
            x = ahead
        return x

    def _led(self, x: Tensor, time: Tensor, found: Tensor, guide: Guide, amount: float) -> Tensor:
        # Velocity is the way to the clean estimate per noise that is left.
        return found + amount * guide(x + (1 - time.reshape(-1, 1, 1, 1)) * found)
