"""The one contract of all generators: estimate clean latents in training, generate latents in sampling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor
from typing_extensions import Self

from roadstill.errors import UserError
from roadstill.imagesets.attributes import Vocabulary, check_names
from roadstill.runs import check_groups, check_ranges, group, later
from roadstill.schedules import NoiseSchedule

GUIDANCE, STEPS = 4.0, 50
"""Defaults of sampling that neither the user nor the kind of generator overrides."""

CONSISTENCY, FEW_STEPS = "consistency", 4
"""Solver and default steps of generators that were distilled to few."""

IN_MEMORY = "in memory"

Guide: TypeAlias = Callable[[Tensor], Tensor]
"""Says in which direction clean estimates ``[b, c, h, w]`` should move; each sample's has a root mean square of 1."""


@dataclass(frozen=True)
class Estimate:
    """What one training forward yields.

    Attributes:
        loss: diffusion loss per sample, ``[b]``.
        clean: estimate of the clean latents, with gradient, ``[b, c, h, w]``.
        t: noise level per sample (step index or sigma), ``[b]``.
        mse: the part of the loss that is the squared error, without gradient, ``[b]``; for the log.
        rough: the noisy latents minus the noise estimate, with gradient, ``[b, c, h, w]``: what the thesis' text
            compares (eq. 3.11, 3.12) where the reference's code takes the clean estimate.
    """

    loss: Tensor
    clean: Tensor
    t: Tensor
    mse: Tensor
    rough: Tensor | None = None


@dataclass(frozen=True)
class Origin:
    """Where a generator comes from, as what is drawn from it records.

    Attributes:
        digest: digest of its file; of one that was never saved `IN_MEMORY`.
        class_names: names of the classes that it was trained on, in label order; empty if they are not known.
        codec: digest of the codec of its latents, if known.
        latents: digest of the latents that it was trained on, if known.
        class_mean: mean latents of its classes, ``[k, c, h, w]``, if known.
        step: number of optimiser steps that it has seen, if known.
        schedule_assumed: whether its file does not record the noise schedule.
        attributes: values of the attributes that it can be asked for, by name.
        distilled: guidance of the teacher from which it learned to give clean latents in few steps, if it did.
        sources: names of the data and weights that it stems from, see `roadstill.imagesets.sources`.
    """

    digest: str = IN_MEMORY
    class_names: tuple[str, ...] = ()
    codec: str | None = None
    latents: str | None = None
    class_mean: Tensor | None = None
    step: int | None = None
    schedule_assumed: bool = False
    attributes: Vocabulary = field(default_factory=dict)
    distilled: float | None = None
    sources: tuple[str, ...] = ()


class Chain(NamedTuple):
    """Noise levels from the clean to the noisy end: a latent at level i is ``signal[i] clean + rest[i] noise``.

    Attributes:
        times: what the network is told, ``[n]``.
        signal: share of the clean latent, ``[n]``.
        rest: share of the noise, ``[n]``.
    """

    times: Tensor
    signal: Tensor
    rest: Tensor


@dataclass(frozen=True)
class SolverNoise:
    """Fresh noise that some solvers add on the way.

    Attributes:
        eta: share of fresh noise of ``ddim`` (Song et al. 2021).
        churn: amount of fresh noise that EDM's solvers add over the chain and take out again (S_churn of Karras et al.
            2022).
        churn_sigma: noise levels between which that happens.
        churn_noise: standard deviation of the fresh noise.
    """

    eta: float = 0.0
    churn: float = later(0.0)
    churn_sigma: tuple[float, float] = later((0.05, 50.0))
    churn_noise: float = later(1.003)

    def __post_init__(self) -> None:
        check_ranges(self, "noise.")


@dataclass(frozen=True)
class TeacherGuidance:
    """How a teacher leads the drawing, if there is one.

    Attributes:
        guidance: distance by which it moves each step's clean estimate, in standard deviations of the noise that is
            left.
        interval: part of the chain in which it does, 0 the clean and 1 the noisy end.
    """

    guidance: float = 0.2
    interval: tuple[float, float] = (0.0, 0.8)

    def __post_init__(self) -> None:
        check_ranges(self, "teacher.")


@dataclass(frozen=True)
class Sampling:
    """How latents and pictures are drawn.

    Attributes:
        guidance: strength of the label (classifier-free guidance); 1 is none and costs half. If not given, 4, and 1 for
            EDM and for those of few steps, whose teacher's guidance is inside already.
        guidance_interval: part of the chain that is guided, 0 its clean and 1 its noisy end (Kynkäänniemi et al. 2024).
        steps: steps of the respaced chain; if not given, 50, 18 for EDM, and 4 for generators of few steps.
        solver: solver of the chain: of predictors of noise and v ``ddpm`` (ancestral, the reference), ``ddim`` or
            ``dpm`` (DPM-Solver++ 2M), of velocity predictors and EDM ``heun`` or ``euler``; by default the first.
            Generators that were distilled to few steps have ``consistency`` alone.
        noise: fresh noise of solvers that add some.
        strength: with start pictures, the share of the chain they are noised by: 1 keeps almost nothing of them, 0.2
            redraws details.
        from_class_mean: starts from the class's mean latent under as much noise as the chain's noisy end has. That is
            pure noise but for schedules such as spoon-cosine, which keep some signal there, as training does then.
        schedule: noise schedule by name; that of the checkpoint if not given. Another one is refused, except for
            weights that do not record theirs (original DiT files count as linear).
        force_schedule: takes another schedule than the checkpoint's.
        teacher: strength and interval of a teacher's guidance.
        batch_size: pictures at once; has no influence on what they look like.
        mixed_precision: ``no``, or ``bf16``: the network computes in half precision, about twice as fast where the
            machine has it and in single precision where not; the pictures differ a little.
        where: value of each attribute that all pictures show, as ``{light: night, weather: rain}``. Guidance pushes
            away from pictures without class and attributes.
        strata: attributes over whose values a class's pictures are spread evenly; see `roadstill.generator.asking`.
    """

    guidance: float | None = later(None, recorded=GUIDANCE)
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    steps: int | None = later(None, recorded=STEPS)
    solver: str | None = None
    noise: SolverNoise = group(SolverNoise())
    strength: float = 0.5
    from_class_mean: bool = False
    schedule: str | None = None
    force_schedule: bool = False
    teacher: TeacherGuidance = group(TeacherGuidance(), guidance="teacher_guidance", interval="teacher_interval")
    batch_size: int = 16
    mixed_precision: str = "no"
    where: dict[str, str] | None = later(None)
    strata: tuple[str, ...] = later(())

    def __post_init__(self) -> None:
        check_groups(self)
        check_ranges(self)
        check_names(tuple(self.where or ()), "where")
        check_names(self.strata, "strata")
        if twice := sorted({*self.strata} & {*(self.where or ())}):
            raise UserError(f"strata and where both name {twice[0]!r}; leave it out of one")
        if self.mixed_precision not in ("no", "bf16"):
            raise UserError(f"mixed_precision {self.mixed_precision!r} is unknown; choose 'no' or 'bf16'")
        for name, (low, high) in {
            "guidance_interval": self.guidance_interval,
            "teacher.interval": self.teacher.interval,
        }.items():
            if not 0 <= low <= high <= 1:
                raise UserError(f"{name} is {low} to {high}; it must rise within 0 to 1")


class Plan(NamedTuple):
    """What a kind of generator makes of a `Sampling` that leaves these open."""

    solver: str
    guidance: float
    steps: int


@runtime_checkable
class Denoiser(Protocol):
    """A generator that can be trained and sampled.

    Attributes:
        solvers: names that `Sampling.solver` may have, the default first.
        origin: file that it comes from.
        schedule: noise schedule of a discrete chain; None for kinds that have none.
    """

    solvers: ClassVar[tuple[str, ...]]
    origin: Origin
    schedule: NoiseSchedule | None

    def estimate(self, clean: Tensor, label: Tensor, *, generator: torch.Generator) -> Estimate:
        """Noises the clean latents ``[b, c, h, w]`` of classes ``[b]`` and estimates them again, with gradient.

        One whose origin knows attributes also takes ``[b, 1 + a]``: rows of its attributes behind the class, -1 for
        none.
        """
        ...

    def plan(self, sampling: Sampling) -> Plan:
        """Solver, guidance and steps of a sampling, this kind of generator's own where it names none.

        Raises:
            UserError: a setting that this kind of generator does not have.
        """
        ...

    def generate(
        self,
        label: Tensor,
        *,
        seeds: Sequence[int],
        sampling: Sampling,
        start: Tensor | None = None,
        guide: Guide | None = None,
    ) -> Tensor:
        """Latents ``[b, c, h, w]`` of the classes ``[b]``; image i depends on ``seeds[i]``, not on the batch.

        Labels ``[b, 1 + a]`` ask for attributes, as in `estimate`. With clean latents ``start [b, c, h, w]`` the chain
        begins at these, noised by ``sampling.strength``. A guide moves the clean estimates on the way by
        ``sampling.teacher.guidance``.
        """
        ...

    def at(self, progress: float) -> Self:
        """The same denoiser with the noise schedule of this share of the training."""
        ...

    def with_schedule(self, schedule: NoiseSchedule) -> Self:
        """The same denoiser with another noise schedule.

        Raises:
            UserError: a kind of generator that has none.
        """
        ...
