"""A class-conditional noise predictor (DiT or any network with its call) as a Denoiser over a discrete schedule."""

from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Self

from roadstill.denoisers.base import Estimate, Sampling
from roadstill.denoisers.diffusion import add_noise, clean_from_noise, sample, variational_term
from roadstill.errors import UserError
from roadstill.schedules import NoiseSchedule, Progressive


class DiTDenoiser:
    """Noise prediction with learned variance, label dropout and classifier-free guidance.

    Args:
        network: ``network(z [b, c, h, w], t [b], y [b]) -> [b, c or 2c, h, w]`` with the attributes ``in_channels``,
            ``input_size`` and ``num_classes`` (row ``num_classes`` = no label).
        betas: the schedule: betas ``[t]``, a ``NoiseSchedule``, or a ``Progressive`` one (see ``at``).
        label_dropout: probability that a training sample loses its label.
        guided_channels: how many leading latent channels guidance moves; 3 is what the reference does to four-channel
            latents, ``None`` means all.
        label_rows: the network's class row of each label; ``None`` means label = row.
    """

    def __init__(
        self,
        network: nn.Module,
        betas: Tensor | NoiseSchedule | Progressive,
        *,
        label_dropout: float = 0.1,
        guided_channels: int | None = 3,
        label_rows: Sequence[int] | None = None,
    ) -> None:
        if not 0 <= label_dropout <= 1:
            raise UserError(f"label_dropout is {label_dropout}; it is a probability, 0 to 1")
        self.network = network
        self.progressive = betas if isinstance(betas, Progressive) else None
        if isinstance(betas, Progressive):
            self.schedule = betas.at(0.0)
        else:
            self.schedule = betas if isinstance(betas, NoiseSchedule) else NoiseSchedule.of(betas)
        self.label_dropout, self.guided_channels = label_dropout, guided_channels
        # Read now: a wrapper for several devices may hide them later.
        body: Any = network
        self.num_classes: int = body.num_classes
        self.latent_shape: tuple[int, int, int] = (body.in_channels, body.input_size, body.input_size)
        self.label_rows = None if label_rows is None else tuple(label_rows)
        if self.label_rows and not all(0 <= row < self.num_classes for row in self.label_rows):
            raise UserError(f"label_rows {list(self.label_rows)} name rows beyond the network's {self.num_classes}")

    @property
    def betas(self) -> Tensor:
        """The betas in use now, float64 ``[t]``."""
        return self.schedule.betas

    def at(self, progress: float) -> Self:
        """The same network with the schedule of this share of the training; itself if the schedule is fixed."""
        if self.progressive is None:
            return self
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, schedule=self.progressive.at(progress))
        return twin

    def estimate(self, clean: Tensor, label: Tensor, *, generator: torch.Generator) -> Estimate:
        """One training forward: a random step and noise per sample, label dropout if the network is in train mode.

        All random numbers come from ``generator``, three draws a call, so a stored generator state resumes exactly.
        """
        draw = {"generator": generator, "device": generator.device}
        t = torch.randint(len(self.schedule), (len(clean),), **draw).to(clean.device)  # type: ignore[call-overload]
        noise = torch.randn(clean.shape, **draw).to(clean.device)  # type: ignore[call-overload]
        dropped = torch.rand(len(clean), **draw).to(clean.device) < self.label_dropout  # type: ignore[call-overload]
        rows = self._rows(label)
        if self.network.training:
            rows = rows.masked_fill(dropped, self.num_classes)
        return self.estimate_given(clean, rows, t=t, noise=noise)

    def estimate_given(self, clean: Tensor, rows: Tensor, *, t: Tensor, noise: Tensor) -> Estimate:
        """The training forward for given steps ``[b]``, noise and class rows ``[b]``: squared error + bound."""
        clean = clean.float()
        noisy = add_noise(self.schedule, clean, t, noise)
        eps, logits = self._predict(noisy, self.schedule.timesteps.to(t.device)[t], rows)
        mse = (eps - noise).square().flatten(1).mean(1)
        loss = mse
        if logits is not None:
            loss = mse + variational_term(self.schedule, clean, noisy, t, eps.detach(), logits)
        return Estimate(loss, clean_from_noise(self.schedule, noisy, t, eps), t, mse.detach())

    @torch.no_grad()
    def generate(
        self,
        label: Tensor,
        *,
        seeds: Sequence[int],
        sampling: Sampling = Sampling(),  # noqa: B008  frozen
        start: Tensor | None = None,
    ) -> Tensor:
        """Latents ``[b, c, h, w]`` of the labels ``[b]``, each drawn from its own seed alone.

        Clean latents ``start [b, c, h, w]`` are noised up to ``sampling.strength`` of the chain, which is walked from
        there (Meng et al. 2022, SDEdit; for distillation Su et al. 2024, D4M).

        Raises:
            UserError: not one seed per label, or start latents of another shape.
        """
        if len(seeds) != len(label):
            raise UserError(f"{len(seeds)} seeds for {len(label)} labels; give one seed per image")
        if start is not None and start.shape != (len(label), *self.latent_shape):
            raise UserError(
                f"start latents are {tuple(start.shape)}, but {len(label)} of {self.latent_shape} are wanted; "
                "start from pictures of the size that the generator was trained on"
            )
        device = next(self.network.parameters()).device
        rows = self._rows(label.to(device))
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        chain = self.schedule.respaced(sampling.steps)
        low, high = (round(end * (len(chain) - 1)) for end in sampling.guidance_interval)
        guided = chain.timesteps[low : high + 1].to(device)

        def noise() -> Tensor:  # drawn on the processor, so that every device starts from the same numbers
            return torch.stack([torch.randn(self.latent_shape, generator=one) for one in generators]).to(device)

        def predict(x: Tensor, time: Tensor) -> tuple[Tensor, Tensor | None]:
            return self.guided(x, time, rows, sampling.guidance if bool((guided == time[0]).any()) else 1.0)

        first, walked = noise(), len(chain)
        if start is not None:
            walked = max(1, round(sampling.strength * len(chain)))
            first = add_noise(chain, start.to(device), torch.full((len(seeds),), walked - 1, device=device), first)
        with _evaluating(self.network):
            return sample(predict, chain, first, noise, solver=sampling.solver, eta=sampling.eta, walked=walked)

    def guided(self, x: Tensor, time: Tensor, rows: Tensor, guidance: float) -> tuple[Tensor, Tensor | None]:
        """Noise estimate pushed away from the unlabelled one (Ho and Salimans 2022); variance stays the labelled one's.

        Guidance 1 is the labelled estimate itself and costs half.
        """
        if guidance == 1.0:
            return self._predict(x, time, rows)
        null = torch.full_like(rows, self.num_classes)
        eps, logits = self._predict(torch.cat([x, x]), torch.cat([time, time]), torch.cat([rows, null]))
        labelled, unlabelled = eps.chunk(2)
        mixed = unlabelled + guidance * (labelled - unlabelled)
        if self.guided_channels is not None:
            mixed = torch.cat([mixed[:, : self.guided_channels], labelled[:, self.guided_channels :]], dim=1)
        return mixed, None if logits is None else logits.chunk(2)[0]

    def _predict(self, x: Tensor, time: Tensor, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        out = self.network(x, time, rows).float()
        channels = self.latent_shape[0]
        return out[:, :channels], out[:, channels:] if out.shape[1] > channels else None

    def _rows(self, label: Tensor) -> Tensor:
        if self.label_rows is None:
            return label.long()
        return torch.tensor(self.label_rows, device=label.device)[label.long()]


@contextmanager
def _evaluating(network: nn.Module):  # type: ignore[no-untyped-def]
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
