"""A class-conditional network (DiT or any with its call) as a Denoiser over a discrete schedule: noise or v."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from roadstill.denoisers.base import CONSISTENCY, Chain, Estimate, Guide, Plan, Sampling
from roadstill.denoisers.diffusion import add_noise, at_step, clean_from_noise, sample, variational_term
from roadstill.denoisers.labelled import Ask, LabelledDenoiser
from roadstill.networks.dit import DiT
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
    networks: ClassVar[tuple[type[nn.Module], ...]] = (DiT,)
    needs_schedule: ClassVar[bool] = True

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

    @classmethod
    def of(
        cls, network: nn.Module, schedule: NoiseSchedule | Progressive | None, settings: Mapping[str, Any]
    ) -> "DiTDenoiser":
        """See `LabelledDenoiser.of`."""
        assert schedule is not None
        return cls(network, schedule, **settings)

    @property
    def betas(self) -> Tensor:
        """The betas in use now, float64 ``[t]``."""
        return self.schedule.betas

    def at(self, progress: float) -> Self:
        """The same network with the schedule of this share of the training; itself if the schedule is fixed."""
        return self if self.progressive is None else self.with_schedule(self.progressive.at(progress))

    def with_schedule(self, schedule: NoiseSchedule) -> Self:
        """See `Denoiser.with_schedule`."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, schedule=schedule)
        return twin

    def _level(self, share: float) -> Tensor:
        return torch.tensor([round(share * (len(self.schedule) - 1))])

    def _times(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(len(self.schedule), (count,), generator=generator, device=generator.device)

    def estimate_given(self, clean: Tensor, rows: Tensor, *, t: Tensor, noise: Tensor) -> Estimate:
        """The training forward for given steps ``[b]``, noise and class rows ``[b]``: squared error + bound."""
        clean = clean.float()
        noisy = add_noise(self.schedule, clean, t, noise)
        found, logits = self.predict(noisy, self.schedule.timesteps.to(t.device)[t], rows)
        mse = (found - self._target(clean, t, noise)).square().flatten(1).mean(1)
        eps = self._noise_in(noisy, t, found)
        loss = mse
        if logits is not None:
            loss = mse + variational_term(self.schedule, clean, noisy, t, eps.detach(), logits)
        return Estimate(loss, clean_from_noise(self.schedule, noisy, t, eps), t, mse.detach(), noisy - eps)

    def min_snr_weight(self, t: Tensor, most: float) -> Tensor:
        """Weights ``[b]`` of the loss at steps ``[b]``: those of noise that count no clean estimate above ``most``."""
        signal = self.schedule.alpha_bar.to(t.device)[t]
        return (most * (1 - signal) / signal).clamp(max=1.0).float()

    def _target(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """What the network learns to predict, ``[b, c, h, w]``."""
        return noise

    def _noise_in(self, noisy: Tensor, t: Tensor, found: Tensor) -> Tensor:
        """The noise estimate that a prediction implies, ``[b, c, h, w]``."""
        return found

    def _respaced(self, plan: Plan) -> Self:
        spacing = "trailing" if plan.solver == CONSISTENCY else "even"
        return self.with_schedule(self.schedule.respaced(plan.steps, spacing))

    def _walk(
        self, ask: Ask, plan: Plan, sampling: Sampling, noise: Callable[[], Tensor], start: Tensor | None
    ) -> Tensor:
        """Walks the respaced chain; from ``start``, noised up to ``sampling.strength`` of it, if that is given.

        Meng et al. 2022 (SDEdit); for distillation Su et al. 2024 (D4M).
        """
        chain, x = self.schedule, noise()
        walked = len(chain)
        if start is not None:
            walked = max(1, round(sampling.strength * len(chain)))
            x = add_noise(chain, start, torch.full((len(x),), walked - 1, device=x.device), x)

        def predict(x: Tensor, time: Tensor) -> tuple[Tensor, Tensor | None]:
            t = self._index(time)
            found, logits = ask(x, time, int(t[0]) / max(1, len(chain) - 1))
            return self._noise_in(x, t, found), logits

        return sample(predict, chain, x, noise, solver=plan.solver, eta=sampling.noise.eta, walked=walked)

    def _index(self, time: Tensor) -> Tensor:
        """The chain's steps ``[b]`` at which the network is told these times."""
        return torch.searchsorted(self.schedule.timesteps.to(time.device), time)

    def _within(self, interval: tuple[float, float], place: float) -> bool:
        """Whether a place lies in this part of the chain, whose ends are steps of it."""
        last = len(self.schedule) - 1
        return round(interval[0] * last) <= round(place * last) <= round(interval[1] * last)

    def _led(self, x: Tensor, time: Tensor, found: Tensor, guide: Guide, amount: float) -> Tensor:
        # x stays where it is: what the clean estimate gains, scaled by the signal's share, the noise loses.
        t = self._index(time)
        signal = at_step(self.schedule.alpha_bar.sqrt(), t, x)
        return found - amount * signal * guide(clean_from_noise(self.schedule, x, t, found))


class VDenoiser(DiTDenoiser):
    """Prediction of v = alpha noise - sigma clean (Salimans and Ho 2022, appendix D), otherwise as `DiTDenoiser`.

    The clean estimate alpha x - sigma v stays exact where hardly any signal is left, where that of a noise predictor
    multiplies the network's error by sigma / alpha: the form for few steps.
    """

    objective: ClassVar[str] = "v_prediction"

    def min_snr_weight(self, t: Tensor, most: float) -> Tensor:
        """See `DiTDenoiser.min_snr_weight`; an error of v counts that of the clean estimate SNR + 1 times."""
        return super().min_snr_weight(t, most) * self.schedule.alpha_bar.to(t.device)[t].float()

    def chain(self, steps: int) -> Chain:
        """See `LabelledDenoiser.chain`."""
        chain = self.schedule.respaced(steps, "trailing")
        return Chain(chain.timesteps, chain.alpha_bar.sqrt().float(), (1 - chain.alpha_bar).sqrt().float())

    def clean_in(self, noisy: Tensor, signal: Tensor, rest: Tensor, found: Tensor) -> Tensor:
        """See `LabelledDenoiser.clean_in`."""
        return signal * noisy - rest * found

    def _target(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        signal, rest = self._shares(clean, t)
        return signal * noise - rest * clean

    def _noise_in(self, noisy: Tensor, t: Tensor, found: Tensor) -> Tensor:
        signal, rest = self._shares(noisy, t)
        return signal * found + rest * noisy

    def _led(self, x: Tensor, time: Tensor, found: Tensor, guide: Guide, amount: float) -> Tensor:
        signal, rest = self._shares(x, self._index(time))
        return found - amount * guide(self.clean_in(x, signal, rest, found))

    def _shares(self, like: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Alpha and sigma at steps ``[b]``."""
        signal = self.schedule.alpha_bar
        return at_step(signal.sqrt(), t, like), at_step((1 - signal).sqrt(), t, like)
