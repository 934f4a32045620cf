"""What all denoisers over a class-conditional network share: label rows, dropout, guidance, one seed per image."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from roadstill.denoisers.base import (
    CONSISTENCY,
    FEW_STEPS,
    GUIDANCE,
    STEPS,
    Chain,
    Estimate,
    Guide,
    Origin,
    Plan,
    Sampling,
)
from roadstill.errors import UserError
from roadstill.imagesets.attributes import UNKNOWN
from roadstill.learning.precision import in_bfloat16
from roadstill.schedules import NoiseSchedule, Progressive

Ask = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor | None]]
"""(noisy latents, what the network is told as time ``[b]``, place in the chain from 0, clean, to 1, noisy) -> the
network's prediction under guidance and teacher, and its variance logits if it has some."""


class LabelledDenoiser(ABC):
    """A network that is told noise level and class, with classifier-free guidance.

    Args:
        network: ``network(z [b, c, h, w], t [b], y [b]) -> [b, c or 2c, h, w]`` with the attributes ``in_channels``,
            ``input_size`` and ``num_classes`` (row ``num_classes`` = no label). One with ``attributes`` rows for
            these also takes ``y [b, 1 + a]``: rows of attributes behind the class's, -1 for none.
        label_dropout: probability that a training sample loses its label, and its attributes with it.
        guided_channels: number of leading latent channels that guidance moves; the reference takes 3 of four-channel
            latents, ``None`` means all.
        label_rows: the network's class row of each label; ``None`` means label = row.

    Attributes:
        solvers: names that `Sampling.solver` may have, the default first.
        objective: name of what its kind of network predicts.
        networks: classes of networks that can learn to.
        needs_schedule: whether it walks a discrete chain of noise levels.
        compares_noise: whether its estimates hold a noise estimate (`Estimate.rough`).
        keywords: settings, besides network and schedule, that make a denoiser of it again.
        reductions: ways in which its loss may be reduced, the default first.
        churns: whether its solvers know churn.
        guidance: guidance of a sampling that names none.
        steps: likewise.
        schedule: the noise schedule of a discrete chain, if it has one.
        origin: file that it comes from.
    """

    solvers: ClassVar[tuple[str, ...]]
    objective: ClassVar[str]
    networks: ClassVar[tuple[type[nn.Module], ...]]
    needs_schedule: ClassVar[bool] = False
    compares_noise: ClassVar[bool] = True
    keywords: ClassVar[tuple[str, ...]] = ("label_dropout", "guided_channels", "label_rows")
    reductions: ClassVar[tuple[str, ...]] = ("mean",)
    churns: ClassVar[bool] = False
    guidance: ClassVar[float] = GUIDANCE
    steps: ClassVar[int] = STEPS
    schedule: NoiseSchedule | None = None
    origin: Origin = Origin()

    def __init__(
        self,
        network: nn.Module,
        *,
        label_dropout: float = 0.1,
        guided_channels: int | None = 3,
        label_rows: Sequence[int] | None = None,
    ) -> None:
        if not 0 <= label_dropout <= 1:
            raise UserError(f"label_dropout (labels.dropout) is {label_dropout}; it is a probability, 0 to 1")
        self.network = network
        self.label_dropout, self.guided_channels = label_dropout, guided_channels
        # Read now: a wrapper for several devices may hide them later.
        body: Any = network
        self.num_classes: int = body.num_classes
        self.attributes: int = getattr(body, "attributes", 0)
        self.latent_shape: tuple[int, int, int] = (body.in_channels, body.input_size, body.input_size)
        self.label_rows = None if label_rows is None else tuple(label_rows)
        if self.label_rows and not all(0 <= row < self.num_classes for row in self.label_rows):
            raise UserError(
                f"label_rows (labels.rows) {list(self.label_rows)} name rows beyond the network's {self.num_classes}"
            )

    @classmethod
    def of(
        cls, network: nn.Module, schedule: NoiseSchedule | Progressive | None, settings: Mapping[str, Any]
    ) -> "LabelledDenoiser":
        """A denoiser of this kind; ``schedule`` is for those that need one, ``settings`` as a denoiser's own are."""
        return cls(network, **settings)

    @property
    def settings(self) -> dict[str, Any]:
        """Its ``keywords`` with their values."""
        return {name: getattr(self, name) for name in self.keywords}

    def estimate(self, clean: Tensor, label: Tensor, *, generator: torch.Generator) -> Estimate:
        """One training forward: a random time and noise per sample, label dropout if the network is in train mode.

        All random numbers come from ``generator``, three draws a call, so a stored generator state resumes exactly.
        """
        t, rows, noise = self._drawn(clean, label, generator)
        return self.estimate_given(clean, rows, t=t, noise=noise)

    def _drawn(self, clean: Tensor, label: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Random times ``[b]``, rows as the labels' shape has it, some of them dropped, and noise ``[b, c, h, w]``."""
        count, device = len(clean), generator.device
        t = self._times(count, generator).to(clean.device)
        noise = torch.randn(clean.shape, generator=generator, device=device).to(clean.device)
        dropped = (torch.rand(count, generator=generator, device=device) < self.label_dropout).to(clean.device)
        rows = self.rows(label)
        if self.network.training:
            rows = torch.where(dropped if rows.ndim == 1 else dropped[:, None], self._unlabelled(rows), rows)
        return t, rows, noise

    @torch.no_grad()
    def residual(self, clean: Tensor, label: Tensor, *, share: float, noise: Tensor) -> Tensor:
        """What the generator takes for noise in clean latents ``[b, c, h, w]``: these less its estimate of them.

        Latents are noised and estimated again. The difference is the noise estimate less the noise, times the ratio of
        noise to signal: the direction of score distillation (Poole et al. 2022), without the network's Jacobian.

        Args:
            clean: latents.
            label: labels ``[b]``.
            share: place of the noise level in the chain, 0 its clean and 1 its noisy end.
            noise: unit noise, as the latents.

        Raises:
            UserError: a generator of few steps, whose estimates are samples.
        """
        if self.origin.distilled is not None:
            raise UserError("a generator of few steps tells nothing of single noise levels; take the one it came from")
        level = self._level(share).to(clean.device).expand(len(clean))
        with evaluating(self.network):
            return clean - self.estimate_given(clean, self.rows(label), t=level, noise=noise).clean

    @abstractmethod
    def _level(self, share: float) -> Tensor:
        """Time at a place of the chain, 0 its clean and 1 its noisy end, as `estimate_given` takes it, ``[1]``."""

    @abstractmethod
    def _times(self, count: int, generator: torch.Generator) -> Tensor:
        """Random times ``[count]`` for training, as `estimate_given` takes them."""

    @abstractmethod
    def estimate_given(self, clean: Tensor, rows: Tensor, *, t: Tensor, noise: Tensor) -> Estimate:
        """The training forward for given times ``[b]``, noise ``[b, c, h, w]`` and class rows ``[b]``."""

    def plan(self, sampling: Sampling) -> Plan:
        """See `Denoiser.plan`."""
        if self.origin.distilled is not None:
            return self._few(sampling, self.origin.distilled)
        name = sampling.solver or self.solvers[0]
        if name not in self.solvers:
            more = "; it was not distilled to few steps" if name == CONSISTENCY else ""
            raise UserError(f"solver {name!r} is none of this generator's{more}; choose {' or '.join(self.solvers)}")
        if sampling.noise.churn and not self.churns:
            raise UserError(f"churn is for EDM, but this generator predicts {self.objective}; leave churn out")
        guidance = self.guidance if sampling.guidance is None else sampling.guidance
        return Plan(name, guidance, sampling.steps or self.steps)

    def _few(self, sampling: Sampling, inside: float) -> Plan:
        """The plan of a generator that was distilled to few steps."""
        if sampling.solver not in (None, CONSISTENCY):
            raise UserError(f"solver {sampling.solver!r} walks many steps, and this generator has few; leave it out")
        if sampling.guidance not in (None, 1.0):
            raise UserError(f"this generator of few steps has guidance {inside} inside; leave guidance out")
        return Plan(CONSISTENCY, 1.0, sampling.steps or FEW_STEPS)

    def chain(self, steps: int) -> Chain:
        """Noise levels, evenly spread, at which a generator of few steps learns.

        Raises:
            UserError: a kind of generator that cannot.
        """
        raise UserError(
            f"few steps are distilled from generators that predict v_prediction or velocity, and this one predicts "
            f"{self.objective}"
        )

    def clean_in(self, noisy: Tensor, signal: Tensor, rest: Tensor, found: Tensor) -> Tensor:
        """The clean estimate in a prediction at these levels ``[b, 1, 1, 1]`` of a `chain`, ``[b, c, h, w]``."""
        raise NotImplementedError

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
        """Latents ``[b, c, h, w]`` of the labels ``[b]``, each drawn from its own seed alone; see `Denoiser.generate`.

        Raises:
            UserError: not one seed per label, start latents of another shape, or a sampling that does not fit.
        """
        plan = self.plan(sampling)
        if len(seeds) != len(label):
            raise UserError(f"{len(seeds)} seeds for {len(label)} labels; give one seed per image")
        known = self.num_classes if self.label_rows is None else len(self.label_rows)
        classes = label if label.ndim == 1 else label[:, 0]
        if wrong := [row for row in classes.tolist() if not 0 <= row < known]:
            raise UserError(f"label or row {wrong[0]} is asked for, but this generator has rows 0 to {known - 1}")
        if label.ndim == 2 and not bool(((label[:, 1:] >= UNKNOWN) & (label[:, 1:] < self.attributes)).all()):
            raise UserError(f"attributes are asked for beyond the {self.attributes} rows that this generator has")
        if start is not None and start.shape != (len(label), *self.latent_shape):
            raise UserError(
                f"start latents are {tuple(start.shape)}, but {len(label)} of {self.latent_shape} are wanted; "
                "start from pictures of the size that the generator was trained on"
            )
        device = next(self.network.parameters()).device
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]

        def noise() -> Tensor:  # drawn on the processor, so that every device starts from the same numbers
            return torch.stack([torch.randn(self.latent_shape, generator=one) for one in generators]).to(device)

        rows, walker = self.rows(label.to(device)), self._respaced(plan)
        with evaluating(self.network):
            ask = walker._asked(rows, plan.guidance, sampling, guide)
            return walker._walk(ask, plan, sampling, noise, None if start is None else start.to(device))

    def _respaced(self, plan: Plan) -> Self:
        """The denoiser whose chain has the plan's steps, for kinds that walk one."""
        return self

    @abstractmethod
    def _walk(
        self, ask: Ask, plan: Plan, sampling: Sampling, noise: Callable[[], Tensor], start: Tensor | None
    ) -> Tensor:
        """The way from noise, or from noised ``start [b, c, h, w]``, to clean latents ``[b, c, h, w]``."""

    def _asked(self, rows: Tensor, guidance: float, sampling: Sampling, guide: Guide | None) -> Ask:
        """The network with guidance and teacher, each in its window, so that a sampler need not know of either."""

        def ask(x: Tensor, time: Tensor, place: float) -> tuple[Tensor, Tensor | None]:
            strength = guidance if self._within(sampling.guidance_interval, place) else 1.0
            found, besides = self.guided(x, time, rows, strength, sampling.mixed_precision)
            if guide is not None and self._within(sampling.teacher.interval, place):
                found = self._led(x, time, found, guide, sampling.teacher.guidance)
            return found, besides

        return ask

    def _within(self, interval: tuple[float, float], place: float) -> bool:
        """Whether a place in the chain lies in this part of it."""
        return interval[0] <= place <= interval[1]

    @abstractmethod
    def _led(self, x: Tensor, time: Tensor, found: Tensor, guide: Guide, amount: float) -> Tensor:
        """A prediction ``[b, c, h, w]`` whose clean estimate the guide has moved by ``amount``."""

    @abstractmethod
    def at(self, progress: float) -> Self:
        """See `Denoiser.at`."""

    def with_schedule(self, schedule: NoiseSchedule) -> Self:
        """See `Denoiser.with_schedule`."""
        raise UserError(f"this generator predicts {self.objective} and has no noise schedule; leave schedule out")

    def guided(
        self, x: Tensor, time: Tensor, rows: Tensor, guidance: float, mixed_precision: str = "no"
    ) -> tuple[Tensor, Tensor | None]:
        """Noise estimate pushed away from the unlabelled one (Ho and Salimans 2022); variance stays the labelled one's.

        The labelled estimate knows class and attributes, the unlabelled one neither: one strength moves both. Guidance
        1 is the labelled estimate itself and costs half.
        """
        half = in_bfloat16(x.device.type, mixed_precision == "bf16")
        with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
            if guidance == 1.0:
                return self.predict(x, time, rows)
            null = self._unlabelled(rows)
            eps, logits = self.predict(torch.cat([x, x]), torch.cat([time, time]), torch.cat([rows, null]))
        labelled, unlabelled = eps.chunk(2)
        mixed = unlabelled + guidance * (labelled - unlabelled)
        if self.guided_channels is not None:
            mixed = torch.cat([mixed[:, : self.guided_channels], labelled[:, self.guided_channels :]], dim=1)
        return mixed, None if logits is None else logits.chunk(2)[0]

    def predict(self, x: Tensor, time: Tensor, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """The network's prediction for noisy latents ``[b, c, h, w]``, and its variance logits if it has some."""
        out = self.network(x, time, rows).float()
        channels = self.latent_shape[0]
        return out[:, :channels], out[:, channels:] if out.shape[1] > channels else None

    def rows(self, label: Tensor) -> Tensor:
        """The network's rows of labels ``[b]``, or of labels with attributes ``[b, 1 + a]``."""
        label = label.long()
        if self.label_rows is None:
            return label
        rows = torch.tensor(self.label_rows, device=label.device)
        return rows[label] if label.ndim == 1 else torch.cat([rows[label[:, :1]], label[:, 1:]], dim=1)

    def _unlabelled(self, rows: Tensor) -> Tensor:
        """Rows of the same shape that stand for no class and no attribute."""
        none = torch.full_like(rows, UNKNOWN)
        (none if rows.ndim == 1 else none[:, 0]).fill_(self.num_classes)
        return none


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode within the block."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
