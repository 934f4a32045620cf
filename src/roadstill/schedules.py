"""Noise schedules: how much noise each step adds, how that changes during training, which steps sampling visits."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from roadstill.errors import UserError
from roadstill.names import dotted, path_of

Phase: TypeAlias = "int | str | Callable[[], Tensor]"
PRESETS = {"thesis": "6,5,4,3,2", "drivedit": "linear,6,5,4,3,2"}


def linear(steps: int = 1000) -> Tensor:
    """Betas rising linearly from 1e-4 to 0.02 (Ho et al. 2020; DiT's pretraining schedule), both times 1000 / steps.

    The factor, as in the reference, keeps the noise at the end of chains of another length; 21 steps are the fewest.
    """
    scale = 1000 / steps
    return torch.linspace(scale * 1e-4, scale * 0.02, steps, dtype=torch.float64)


def cosine(power: float = 2, steps: int = 1000) -> Tensor:
    """Betas whose cumulative signal follows cos^power (Nichol and Dhariwal 2021 at power 2), at most 0.999."""
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    signal = torch.cos((u + 0.008) / 1.008 * (math.pi / 2)) ** power
    return (1 - signal[1:] / signal[:-1]).clamp(max=0.999)


def spoon_cosine(power: float = 2, steps: int = 1000) -> Tensor:
    """Spoon-cosine: at each step the smaller of the linear and the cosine^power beta (DriveDiTFit; thesis: Scos^n)."""
    return torch.minimum(linear(steps), cosine(power, steps))


_FUNCTIONS = frozenset(path_of(each) for each in (linear, cosine, spoon_cosine))


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """A chain of noising steps with everything that follows from its betas, all in float64.

    Attributes:
        betas: variance added per step, ``[t]``.
        timesteps: time that the network receives at each step, ``[t]``: the step's number in the chain that it was
            trained on, whole unless the schedule was retimed.
    """

    betas: Tensor
    timesteps: Tensor

    @classmethod
    def of(cls, betas: Tensor) -> "NoiseSchedule":
        """The full chain of these betas.

        Raises:
            UserError: betas are not a vector of at least two numbers strictly between 0 and 1.
        """
        betas = torch.as_tensor(betas).detach().to("cpu", torch.float64)
        if betas.ndim != 1 or len(betas) < 2:
            raise UserError(f"betas have shape {list(betas.shape)}; a schedule needs a vector of at least 2 numbers")
        if not bool(((betas > 0) & (betas < 1)).all()):
            low, high = betas.min().item(), betas.max().item()
            raise UserError(f"betas lie between {low:.3g} and {high:.3g}; each must lie strictly between 0 and 1")
        return cls(betas, torch.arange(len(betas)))

    def __len__(self) -> int:
        return len(self.betas)

    @cached_property
    def alpha_bar(self) -> Tensor:
        """Share of the signal's variance left after each step, ``[t]``: the product of 1 - beta so far."""
        return torch.cumprod(1 - self.betas, 0)

    @cached_property
    def alpha_bar_before(self) -> Tensor:
        """``alpha_bar`` one step earlier, ``[t]``; 1 before the first step."""
        return torch.cat([self.alpha_bar.new_ones(1), self.alpha_bar[:-1]])

    @cached_property
    def posterior_variance(self) -> Tensor:
        """Variance of x_{t-1} given x_t and x_0, ``[t]`` (Ho et al. 2020, eq. 7); 0 at step 0."""
        return self.betas * (1 - self.alpha_bar_before) / (1 - self.alpha_bar)

    @cached_property
    def posterior_log_variance(self) -> Tensor:
        """Log of the posterior variance, ``[t]``; step 0, where it would be minus infinity, takes step 1's."""
        return torch.cat([self.posterior_variance[1:2], self.posterior_variance[1:]]).log()

    @cached_property
    def posterior_mean_clean(self) -> Tensor:
        """Factor of x_0 in the posterior mean, ``[t]`` (Ho et al. 2020, eq. 7)."""
        return self.betas * self.alpha_bar_before.sqrt() / (1 - self.alpha_bar)

    @cached_property
    def posterior_mean_noisy(self) -> Tensor:
        """Factor of x_t in the posterior mean, ``[t]`` (Ho et al. 2020, eq. 7)."""
        return (1 - self.alpha_bar_before) * (1 - self.betas).sqrt() / (1 - self.alpha_bar)

    def respaced(self, steps: int, spacing: str = "even") -> "NoiseSchedule":
        """The shorter chain over ``steps`` kept timesteps that passes through the same noise levels."""
        kept = kept_timesteps(steps, len(self), spacing)
        signal = self.alpha_bar[kept]
        before = torch.cat([signal.new_ones(1), signal[:-1]])
        return NoiseSchedule(1 - signal / before, self.timesteps[kept])

    def retimed(self, trained_on: Tensor | None = None) -> "NoiseSchedule":
        """The same chain, but the network receives the time at which its old schedule had this much noise.

        Fractional times are legal for the sinusoid, so a network pretrained on ``trained_on`` (default: linear) keeps
        its map from time to noise (an option of our own, without a source).
        """
        old = NoiseSchedule.of(linear(len(self)) if trained_on is None else trained_on).alpha_bar.log().flip(0)
        new = self.alpha_bar.log()
        right = torch.searchsorted(old, new).clamp(1, len(old) - 1)
        share = ((new - old[right - 1]) / (old[right] - old[right - 1])).clamp(0, 1)
        return NoiseSchedule(self.betas, len(old) - 1 - (right - 1 + share))


def kept_timesteps(steps: int, total: int, spacing: str = "even") -> Tensor:
    """Which of ``total`` timesteps a sampler of ``steps`` steps visits, ascending int64.

    ``even`` adds the stride (total - 1) / (steps - 1) repeatedly and rounds half to even, so the last timestep is
    always visited; multiplying instead of adding gives other lists (first at 21 steps). ``stride`` is DDIM's whole
    stride from 0, which does not exist for every number of steps. ``trailing`` counts equal parts from the noisy end,
    so that the cleanest one has a whole part before it: the spacing of few steps (Lin et al. 2024, table 2).

    Raises:
        UserError: no such list exists.
    """
    least = 1 if spacing == "trailing" else 2
    if not least <= steps <= total:
        raise UserError(
            f"sampling in {steps} steps is not possible: the schedule has {total}; choose {least} to {total}"
        )
    if spacing == "trailing":
        return torch.tensor([round(total * part / steps) - 1 for part in range(1, steps + 1)])
    if spacing == "stride":
        for stride in range(1, total):
            if len(range(0, total, stride)) == steps:
                return torch.arange(0, total, stride)
        raise UserError(f"no whole stride visits {steps} of {total} timesteps; choose a divisor or spacing 'even'")
    if spacing != "even":
        raise UserError(f"spacing {spacing!r} is unknown; choose 'even', 'stride' or 'trailing'")
    kept, position, stride_length = [], 0.0, (total - 1) / (steps - 1)
    for _ in range(steps):
        kept.append(round(position))
        position += stride_length
    return torch.tensor(kept)


@dataclass(frozen=True)
class Progressive:
    """A schedule that changes during training, phase by phase (thesis 3.3, progressive tuning).

    Attributes:
        phases: schedule of each phase: a power of the spoon-cosine, ``"linear"``, or a function that returns betas.
            The default is the thesis' Scos^6 to Scos^2; ``("linear", 6, 5, 4, 3, 2)`` is DriveDiTFit's.
        steps: length of the chain.
        share: share of the training that each phase takes (the last one takes the rest); equal shares if not given.
    """

    phases: tuple[Phase, ...] = (6, 5, 4, 3, 2)
    steps: int = 1000
    share: float | None = None

    def __post_init__(self) -> None:
        if not self.phases:
            raise UserError("a progressive schedule without phases has no betas; name at least one, such as (6, 2)")
        if self.share is not None and not 0 < self.share * (len(self.phases) - 1) < 1:
            raise UserError(
                f"phases of {self.share:.3g} of the training leave nothing for the last of {len(self.phases)}; "
                "shorten them or train longer"
            )

    def at(self, progress: float) -> NoiseSchedule:
        """The schedule when this share of the training is done; below 0 the first phase, from 1 on the last."""
        return NoiseSchedule.of(_phase_betas(self.phases[self.phase(progress)], self.steps))

    def phase(self, progress: float) -> int:
        """Index of the phase at this share of the training."""
        phases_done = progress * len(self.phases) if self.share is None else progress / self.share
        # The tiny shift: 3 of 5 phases done is sometimes 2.9999999999999996 as a product.
        return min(max(math.floor(phases_done + 1e-9), 0), len(self.phases) - 1)


def _phase_betas(phase: Phase, steps: int) -> Tensor:
    if callable(phase):
        return phase()
    if phase == "linear":
        return linear(steps)
    if isinstance(phase, (int, float)):
        return spoon_cosine(phase, steps)
    raise UserError(f"schedule phase {phase!r} is unknown; choose 'linear', a power such as 6, or a function")


def _betas_of(path: str) -> Tensor:
    """What the user's function returns; a mistake in it is the user's."""
    function = dotted(path, "schedule", _FUNCTIONS)
    try:
        return torch.as_tensor(function())
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"schedule {path!r} failed ({said}); it should return betas, a vector of numbers") from error


def read_schedule(text: str, *, train_steps: int) -> NoiseSchedule | Progressive:
    """The schedule that a text names.

    Args:
        text: ``linear``, ``cosine:2``, ``spoon_cosine:2``, ``progressive:6,5,4,3,2``, ``progressive:thesis``,
            ``progressive:linear,6,2@4000``, or the dotted path of a function that returns betas.
        train_steps: length of the training, of which ``@4000`` takes a share.

    Raises:
        UserError: the text names none of these, or a function that is not trusted.
    """
    kind, _, argument = text.partition(":")
    try:
        if kind == "progressive":
            names, _, tau = argument.partition("@")
            phases = [part.strip() for part in PRESETS.get(names or "thesis", names).split(",")]
            return Progressive(
                tuple(part if part == "linear" else int(part) for part in phases),
                share=int(tau) / train_steps if tau else None,
            )
        if kind == "linear" and not argument:
            return NoiseSchedule.of(linear())
        if kind in ("cosine", "spoon_cosine"):
            return NoiseSchedule.of((cosine if kind == "cosine" else spoon_cosine)(float(argument or 2)))
        return NoiseSchedule.of(_betas_of(text))
    except (ValueError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"schedule {text!r} is unknown ({error}); choose linear, cosine:2, spoon_cosine:2, "
            "progressive:6,5,4,3,2 or the dotted path of a function"
        ) from None
