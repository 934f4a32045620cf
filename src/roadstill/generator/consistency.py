"""Consistency distillation: a network learns to give at once what its teacher reaches over many guided steps.

Song et al. 2023 (algorithm 2), in latents and with guidance inside as Luo et al. 2023 (LCM), the target being the
network itself and the distance Pseudo-Huber's as Song and Dhariwal 2024 (sections 3.2 and 3.3).
"""

from dataclasses import replace

import torch
from torch import Tensor

from roadstill.denoisers.base import Chain, Estimate
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError
from roadstill.generator.config import FinetuneConfig


class Teacher:
    """The base of a training, which does not learn and leads its copy.

    Args:
        denoiser: generator of many steps.
        config: settings of the training; ``config.consistency.steps`` is given.

    Raises:
        UserError: a kind of generator that cannot learn few steps.
    """

    def __init__(self, denoiser: LabelledDenoiser, config: FinetuneConfig) -> None:
        steps = config.consistency.steps
        assert steps is not None
        self.denoiser, self.chain = denoiser, denoiser.chain(steps)
        self.guidance, self.precision = config.consistency.guidance, config.mixed_precision
        denoiser.network.eval().requires_grad_(False)

    def to(self, device: torch.device) -> "Teacher":
        """The teacher on this device."""
        self.denoiser.network.to(device)
        self.chain = Chain(*(part.to(device) for part in self.chain))
        return self

    def estimate(
        self, student: LabelledDenoiser, clean: Tensor, label: Tensor, *, generator: torch.Generator
    ) -> Estimate:
        """One training forward, as `LabelledDenoiser.estimate`: the distance from what is seen one step further on.

        Clean latents ``[b, c, h, w]`` are noised to a random level of the chain. The teacher takes one guided step to
        the next cleaner level, and what the student makes of that, without gradient, is what it should make of the
        first one. At the cleanest level it is the teacher's own estimate. Two draws from ``generator`` a call.
        """
        chain, count = self.chain, len(clean)
        level = torch.randint(len(chain.times), (count,), generator=generator).to(clean.device)
        noise = torch.randn(clean.shape, generator=generator).to(clean.device)
        signal, rest = (_wide(part[level]) for part in (chain.signal, chain.rest))
        noisy, rows = signal * clean.float() + rest * noise, student.rows(label)
        with torch.no_grad():
            found, _ = self.denoiser.guided(
                noisy, chain.times[level], self.denoiser.rows(label), self.guidance, self.precision
            )
            seen = self.denoiser.clean_in(noisy, signal, rest, found)
            # One step of DDIM or Euler's rule; behind the cleanest level nothing is left to be seen.
            below = (level - 1).clamp(min=0)
            signal_below, rest_below = (_wide(part[below]) for part in (chain.signal, chain.rest))
            ahead = signal_below * seen + rest_below * (noisy - signal * seen) / rest
            found, _ = student.predict(ahead, chain.times[below], rows)
            wanted = torch.where(_wide(level) == 0, seen, student.clean_in(ahead, signal_below, rest_below, found))
        found, _ = student.predict(noisy, chain.times[level], rows)
        mine = student.clean_in(noisy, signal, rest, found)
        squared = (mine - wanted).square().flatten(1).sum(1)
        return Estimate(pseudo_huber(squared, clean[0].numel()), mine, level, squared.detach() / clean[0].numel())


def pseudo_huber(squared: Tensor, size: int) -> Tensor:
    """Distances ``[b]`` of vectors of ``size`` numbers from their squares: quadratic when small, else linear.

    Song and Dhariwal 2024, eq. 7 with c = 0.00054 sqrt(d), here over sqrt(d), so that the size does not matter.
    """
    c = 0.00054
    return (squared / size + c**2).sqrt() - c


def _wide(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)


def distilled(denoiser: LabelledDenoiser, base: LabelledDenoiser | None, config: FinetuneConfig) -> LabelledDenoiser:
    """The denoiser as one that learns few steps, if the settings want that, or as it is.

    Args:
        denoiser: what is going to learn.
        base: generator that it stands on; its network may be used up.
        config: settings of the training.

    Raises:
        UserError: a base that has few steps already; settings that do not go with distillation.
    """
    if base is not None and base.origin.distilled is not None:
        raise UserError(
            "the base was distilled to few steps and has no more to learn from; fine-tune the one that it came from, "
            "and distil that"
        )
    if config.consistency.steps is None:
        return denoiser
    if base is None:
        raise UserError("consistency.steps needs a base to learn from; train one without first")
    if config.min_snr is not None:
        raise UserError("consistency.steps has its own loss; leave min_snr out")
    if config.labels.init != "base" or denoiser.origin.attributes != base.origin.attributes:
        raise UserError(
            "consistency.steps keeps the base's classes and attributes; leave labels.init out, name no new attributes, "
            "or fine-tune first"
        )
    mine, theirs = denoiser.schedule, base.schedule
    if mine is not None and theirs is not None and not torch.allclose(mine.betas, theirs.betas, rtol=1e-6, atol=0):
        raise UserError(f"consistency.steps keeps the base's noise schedule, which {config.schedule} is not")
    denoiser.origin = replace(denoiser.origin, distilled=config.consistency.guidance)
    return denoiser
