"""EDM (Karras et al. 2022): a network behind preconditioning estimates the clean picture itself; Heun's sampler."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from roadstill.denoisers.base import Estimate, Guide, Plan, Sampling
from roadstill.denoisers.labelled import Ask, LabelledDenoiser
from roadstill.errors import UserError
from roadstill.networks.songunet import SongUNet
from roadstill.networks.unet2d import UNet2D
from roadstill.runs.progress import track

SIGMA_DATA = 0.5  # deviation of pictures in [-1, 1]
SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0
LOG_SIGMA_MEAN, LOG_SIGMA_STD = -1.2, 1.2


def preconditioning(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in and c_noise at noise levels ``[b]`` (table 1, column "ours"), each ``[b]``."""
    total = sigma**2 + SIGMA_DATA**2
    return SIGMA_DATA**2 / total, sigma * SIGMA_DATA / total.sqrt(), 1 / total.sqrt(), sigma.log() / 4


def loss_weight(sigma: Tensor) -> Tensor:
    """Weight of the squared error at noise levels ``[b]``: 1 / c_out² (table 1)."""
    return (sigma**2 + SIGMA_DATA**2) / (sigma * SIGMA_DATA) ** 2


def sigma_steps(steps: int) -> Tensor:
    """Noise levels of a chain from noisy to clean, and a zero (eq. 5), float64 ``[steps + 1]``."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    first, last = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return torch.cat([(first + ramp * (last - first)) ** RHO, ramp.new_zeros(1)])


def chain_share(sigma: float) -> float:
    """Where a noise level lies in the chain: 0 its clean, 1 its noisy end."""
    first, last = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return min(1.0, max(0.0, (sigma ** (1 / RHO) - last) / (first - last)))


def share_level(share: float) -> float:
    """The noise level at a place of the chain, 0 its clean and 1 its noisy end; undoes `chain_share`."""
    first, last = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return float((last + share * (first - last)) ** RHO)


def walk(
    denoise: Callable[[Tensor, float], Tensor],
    x: Tensor,
    sigmas: Sequence[float],
    *,
    heun: bool = True,
    churn: Callable[[Tensor, float], tuple[Tensor, float]] | None = None,
) -> Tensor:
    """The chain from pictures ``x [b, c, h, w]`` as noisy as the first level to the last one (algorithms 1 and 2).

    Args:
        denoise: estimate of the clean pictures, given noisy ones and their level.
        x: start, in the precision that the chain is walked in.
        sigmas: falling levels.
        heun: corrects each step but the last; else Euler's steps.
        churn: raises pictures and their level before a step.
    """
    for now, then in track(pairwise(sigmas), "steps of sampling", total=len(sigmas) - 1):
        if churn is not None:
            x, now = churn(x, now)
        slope = (x - denoise(x, now)) / now
        ahead = x + (then - now) * slope
        if heun and then > 0:
            ahead = x + (then - now) * (slope + (ahead - denoise(ahead, then)) / then) / 2
        x = ahead
    return x


def churned(
    x: Tensor, sigma: float, noise: Tensor, *, amount: float, between: tuple[float, float], scale: float
) -> tuple[Tensor, float]:
    """Noisier pictures and their level (algorithm 2, lines 4 to 6); ``amount`` is S_churn per step."""
    gamma = min(amount, math.sqrt(2) - 1) if between[0] <= sigma <= between[1] else 0.0
    raised = sigma * (1 + gamma)
    return x + math.sqrt(raised**2 - sigma**2) * scale * noise, raised


class EDMDenoiser(LabelledDenoiser):
    """Estimates clean pictures directly; no schedule, so `at` changes nothing.

    Args:
        network: see `LabelledDenoiser`; it is told c_noise. One with ``augment_dim`` is told which pictures are
            mirrored, one with ``dropout`` gets a seed for it.
        label_dropout: see `LabelledDenoiser`; guidance needs it.
        guided_channels: see `LabelledDenoiser`.
        label_rows: see `LabelledDenoiser`.
        loss_reduction: ``sum`` over pixels and channels (EDM) or their ``mean``.
        augment: probability that a training picture is mirrored.
    """

    solvers: ClassVar[tuple[str, ...]] = ("heun", "euler")
    objective: ClassVar[str] = "denoised"
    networks: ClassVar[tuple[type[nn.Module], ...]] = (SongUNet, UNet2D)
    compares_noise: ClassVar[bool] = False
    keywords: ClassVar[tuple[str, ...]] = (*LabelledDenoiser.keywords, "loss_reduction", "augment")
    reductions: ClassVar[tuple[str, ...]] = ("sum", "mean")
    churns: ClassVar[bool] = True
    guidance: ClassVar[float] = 1.0
    steps: ClassVar[int] = 18

    def __init__(
        self,
        network: nn.Module,
        *,
        label_dropout: float = 0.0,
        guided_channels: int | None = None,
        label_rows: Sequence[int] | None = None,
        loss_reduction: str = "sum",
        augment: float = 0.0,
    ) -> None:
        super().__init__(network, label_dropout=label_dropout, guided_channels=guided_channels, label_rows=label_rows)
        if loss_reduction not in self.reductions or not 0 <= augment <= 1:
            raise UserError(
                f"loss_reduction is {loss_reduction!r} and augment {augment}; choose one of "
                f"{', '.join(self.reductions)}, and a probability"
            )
        self.loss_reduction, self.augment = loss_reduction, augment
        self.augment_dim = int(getattr(network, "augment_dim", 0))
        self.dropout = float(getattr(network, "dropout", 0.0))

    def at(self, progress: float) -> Self:
        """Itself: noise levels are drawn the same way during the whole training."""
        return self

    def _level(self, share: float) -> Tensor:
        return torch.tensor([share_level(share)])

    def _times(self, count: int, generator: torch.Generator) -> Tensor:
        drawn = torch.randn(count, generator=generator, device=generator.device)
        return (LOG_SIGMA_STD * drawn + LOG_SIGMA_MEAN).exp()

    def estimate(self, clean: Tensor, label: Tensor, *, generator: torch.Generator) -> Estimate:
        """See `LabelledDenoiser.estimate`; two draws more, for mirroring and for the network's dropout."""
        sigma, rows, noise = self._drawn(clean, label, generator)
        chance = torch.rand(len(clean), generator=generator, device=generator.device)
        seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
        mirrored = (chance < self.augment).to(clean.device) if self.augment else None
        return self.estimate_given(clean, rows, t=sigma, noise=noise, mirrored=mirrored, seed=seed)

    def estimate_given(
        self,
        clean: Tensor,
        rows: Tensor,
        *,
        t: Tensor,
        noise: Tensor,
        mirrored: Tensor | None = None,
        seed: int | None = None,
    ) -> Estimate:
        """The training forward for given noise levels ``[b]``, unit noise and class rows ``[b]`` (eq. 8).

        Pictures that are ``mirrored [b]`` are trained on that way, but the estimate of them is turned back, so that
        criteria compare everything in the space of the pictures as they are.
        """
        clean = clean.float()
        shown = _mirror(clean, mirrored)
        denoised = self.denoised(shown + _wide(t) * noise, t, rows, mirrored, seed if self.network.training else None)
        each = loss_weight(t) * (denoised - shown).square().flatten(1).mean(1)
        loss = each * clean[0].numel() if self.loss_reduction == "sum" else each
        return Estimate(loss, _mirror(denoised, mirrored), t, each.detach())

    def denoised(
        self, x: Tensor, sigma: Tensor, rows: Tensor, mirrored: Tensor | None = None, seed: int | None = None
    ) -> Tensor:
        """D(x; sigma) = c_skip x + c_out F(c_in x, c_noise) (eq. 7), ``[b, c, h, w]``."""
        c_skip, c_out, c_in, c_noise = preconditioning(sigma)
        more: dict[str, Any] = {}
        if mirrored is not None and self.augment_dim:
            more["augment"] = nn.functional.pad(mirrored[:, None].to(x.dtype), (0, self.augment_dim - 1))
        if seed is not None and self.dropout:
            more["seed"] = seed
        return _wide(c_skip) * x + _wide(c_out) * self.network(_wide(c_in) * x, c_noise, rows, **more).float()

    def predict(self, x: Tensor, time: Tensor, rows: Tensor) -> tuple[Tensor, None]:
        """See `LabelledDenoiser.predict`; the clean pictures themselves."""
        return self.denoised(x, time, rows), None

    def plan(self, sampling: Sampling) -> Plan:
        """See `Denoiser.plan`.

        Raises:
            UserError: guidance, but the network never learned what pictures without a label are.
        """
        found = super().plan(sampling)
        if found.guidance != 1 and not self.label_dropout:
            raise UserError(
                f"guidance is {found.guidance}, but this generator was trained without label_dropout and knows no "
                "unlabelled pictures; set guidance to 1"
            )
        return found

    def _walk(
        self, ask: Ask, plan: Plan, sampling: Sampling, noise: Callable[[], Tensor], start: Tensor | None
    ) -> Tensor:
        """Walks the chain; from pictures ``start``, noised up to ``sampling.strength`` of it, if they are given."""
        first, own = noise(), sampling.noise
        wide = torch.float32 if first.device.type == "mps" else torch.float64
        walked = plan.steps if start is None else max(1, round(sampling.strength * plan.steps))
        sigmas = sigma_steps(plan.steps)[-walked - 1 :].tolist()
        x = sigmas[0] * first.to(wide) + (0 if start is None else start.to(wide))

        def denoise(x: Tensor, level: float) -> Tensor:
            sigma = torch.full((len(x),), level, device=x.device)
            return ask(x.float(), sigma, chain_share(level))[0].to(wide)

        def churn(x: Tensor, level: float) -> tuple[Tensor, float]:
            amount = own.churn / plan.steps
            return churned(x, level, noise().to(wide), amount=amount, between=own.churn_sigma, scale=own.churn_noise)

        return walk(denoise, x, sigmas, heun=plan.solver == "heun", churn=churn if own.churn else None).float()

    def _led(self, x: Tensor, time: Tensor, found: Tensor, guide: Guide, amount: float) -> Tensor:
        # By shares of c_out, the deviation that noise leaves open.
        return found + amount * _wide(preconditioning(time)[1]) * guide(found)


def _wide(values: Tensor) -> Tensor:
    """``[b]`` -> ``[b, 1, 1, 1]``."""
    return values.reshape(-1, 1, 1, 1)


def _mirror(x: Tensor, mirrored: Tensor | None) -> Tensor:
    """Pictures ``[b, c, h, w]``, left and right exchanged where ``mirrored [b]``."""
    return x if mirrored is None else torch.where(_wide(mirrored), x.flip(3), x)
