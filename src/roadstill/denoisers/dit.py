"""A class-conditional noise predictor (DiT or any network with its call) as a Denoiser over a discrete schedule."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from roadstill.denoisers.base import Estimate, Guide, Sampling
from roadstill.denoisers.diffusion import add_noise, at_step, clean_from_noise, sample, variational_term
from roadstill.denoisers.labelled import LabelledDenoiser, evaluating
from roadstill.schedules import NoiseSchedule, Progressive


class DiTDenoiser(LabelledDenoiser):
    """Noise prediction with learned variance, label dropout and classifier-free guidance.

    Args:
        network: see `LabelledDenoiser`; it is told the step's number.
        betas: the schedule: betas ``[t]``, a ``NoiseSchedule``, or a ``Progressive`` one (see ``at``).
        label_dropout: see `LabelledDenoiser`.
        guided_channels: see `LabelledDenoiser`.
        label_rows: see `LabelledDenoiser`.
    """

    schedule: NoiseSchedule
    solvers: ClassVar[tuple[str, ...]] = ("ddpm", "ddim", "dpm")
    objective: ClassVar[str] = "noise"

    def __init__(
        self,
        network: nn.Module,
        betas: Tensor | NoiseSchedule | Progressive,
        *,
        label_dropout: float = 0.1,
        guided_channels: int | None = 3,
        label_rows: Sequence[int] | None = None,
    ) -> None:
        super().__init__(network, label_dropout=label_dropout, guided_channels=guided_channels, label_rows=label_rows)
        self.progressive = betas if isinstance(betas, Progressive) else None
        if isinstance(betas, Progressive):
            self.schedule = betas.at(0.0)
        else:
            self.schedule = betas if isinstance(betas, NoiseSchedule) else NoiseSchedule.of(betas)

    @property
    def betas(self) -> Tensor:
        """The betas in use now, float64 ``[t]``."""
        return self.schedule.betas

    def at(self, progress: float) -> Self:
        """The same network with the schedule of this share of the training; itself if the schedule is fixed."""
        return self if self.progressive is None else self.with_schedule(self.progressive.at(progress))

    def with_schedule(self, schedule: NoiseSchedule) -> Self:
        """The same network with another schedule."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, schedule=schedule)
        return twin

    def _times(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(len(self.schedule), (count,), generator=generator, device=generator.device)

    def estimate_given(self, clean: Tensor, rows: Tensor, *, t: Tensor, noise: Tensor) -> Estimate:
        """The training forward for given steps ``[b]``, noise and class rows ``[b]``: squared error + bound."""
        clean = clean.float()
        noisy = add_noise(self.schedule, clean, t, noise)
        eps, logits = self._predict(noisy, self.schedule.timesteps.to(t.device)[t], rows)
        mse = (eps - noise).square().flatten(1).mean(1)
        loss = mse
        if logits is not None:
            loss = mse + variational_term(self.schedule, clean, noisy, t, eps.detach(), logits)
        return Estimate(loss, clean_from_noise(self.schedule, noisy, t, eps), t, mse.detach(), noisy - eps)

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

        Clean latents ``start [b, c, h, w]`` are noised up to ``sampling.strength`` of the chain, which is walked from
        there (Meng et al. 2022, SDEdit; for distillation Su et al. 2024, D4M).

        Raises:
            UserError: not one seed per label, or start latents of another shape.
        """
        solver, guidance, steps = self.plan(sampling)
        rows, noise, device = self._begin(label, seeds, start)
        chain = self.schedule.respaced(steps)
        guided, moved = (
            chain.timesteps[round(low * (len(chain) - 1)) : round(high * (len(chain) - 1)) + 1].to(device)
            for low, high in (sampling.guidance_interval, sampling.teacher_interval)
        )

        def predict(x: Tensor, time: Tensor) -> tuple[Tensor, Tensor | None]:
            strength = guidance if bool((guided == time[0]).any()) else 1.0
            eps, logits = self.guided(x, time, rows, strength, sampling.mixed_precision)
            if guide is not None and bool((moved == time[0]).any()):
                t = torch.searchsorted(chain.timesteps.to(device), time)
                # x stays where it is: what the clean estimate gains, scaled by the signal's share, the noise loses.
                signal = at_step(chain.alpha_bar.sqrt(), t, x)
                eps = eps - sampling.teacher_guidance * signal * guide(clean_from_noise(chain, x, t, eps))
            return eps, logits

        first, walked = noise(), len(chain)
        if start is not None:
            walked = max(1, round(sampling.strength * len(chain)))
            first = add_noise(chain, start.to(device), torch.full((len(seeds),), walked - 1, device=device), first)
        with evaluating(self.network):
            return sample(predict, chain, first, noise, solver=solver, eta=sampling.eta, walked=walked)
