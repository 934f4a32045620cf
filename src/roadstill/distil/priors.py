"""What keeps moved pictures pictures: nearness to the start, no more grain than there was, a generator's score."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.distil.synthetic import Synthetic
from roadstill.learning.loops import generator_of
from roadstill.runs import Range, check_ranges


@dataclass(frozen=True)
class Priors:
    """Weights of the priors; 0 leaves one out.

    Attributes:
        closeness: weight of the mean squared distance from what moves at the start (latents, noise or pixels).
        variation: weight of the pictures' total variation as far as it exceeds that at the start, as a share of that:
            grain costs, what a picture had does not.
        score: size of a base generator's score, as a multiple of the objective's gradient: latents also move towards
            what it takes for pictures of their class.
        score_noise: place of the score's noise level in the generator's chain, 0 the clean and 1 the noisy end.
    """

    closeness: float = 0.0
    variation: float = 0.0
    score: float = 0.0
    score_noise: float = 0.1

    def __post_init__(self) -> None:
        check_ranges(self, "priors.", variation=Range(0), score=Range(0), score_noise=Range(0, 1))


class Held:
    """Priors at work on a small set, with what they remember of its start.

    Args:
        priors: their weights.
        synthetic: the small set.
        base: generator of such latents, for the score.
        seed: seed of the score's noise.
    """

    def __init__(self, priors: Priors, synthetic: Synthetic, base: LabelledDenoiser | None, seed: int) -> None:
        self.priors, self.synthetic, self.base, self.seed = priors, synthetic, base, seed
        everything = range(len(synthetic))
        self.start = synthetic.moving.codes(everything).detach().clone()
        self.usual = torch.zeros(0)
        if priors.variation:
            shown, _ = synthetic.shown()
            self.usual = total_variation(synthetic.moving.space.leave(shown))

    def of_pictures(self, pictures: Tensor, rows: Sequence[int]) -> tuple[dict[str, Tensor], Tensor]:
        """The excess of variation of pictures as networks take them ``[m, 3, s, s]``, and its gradient."""
        factor = self.synthetic.factor
        usual = self.usual.view(-1, factor)[list(rows)].flatten()
        leaf = pictures.detach().requires_grad_(True)
        share = len(rows) / len(self.synthetic)
        term = self.priors.variation * share * excess_variation(self.synthetic.moving.space.leave(leaf), usual)
        return {"variation": term.detach()}, torch.autograd.grad(term, leaf)[0]

    def of_codes(
        self, codes: Tensor, gradient: Tensor, rows: Sequence[int], step: int
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Terms of what moves, and the gradient ``[n, ...]`` with those of the priors added to it."""
        terms: dict[str, Tensor] = {}
        if self.priors.closeness:
            leaf = codes.detach().requires_grad_(True)
            share = len(rows) / len(self.synthetic)
            term = self.priors.closeness * share * (leaf - self.start[list(rows)]).square().mean()
            terms["closeness"] = term.detach()
            gradient = gradient + torch.autograd.grad(term, leaf)[0]
        if self.base is not None and self.priors.score:
            size = self.priors.score * gradient.square().mean().sqrt()
            score = size * score_direction(
                self.base, codes, self.synthetic.classes[list(rows)], share=self.priors.score_noise, seed=self.seed,
                step=step, batch_size=self.synthetic.batch_size,
            )  # fmt: skip
            terms["score"] = score.square().mean()
            gradient = gradient + score
        return terms, gradient


def total_variation(pictures: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels of each picture ``[n, 3, s, s]``, ``[n]`` (Rudin et al. 1992)."""
    down = (pictures[:, :, 1:] - pictures[:, :, :-1]).abs().flatten(1).mean(1)
    across = (pictures[:, :, :, 1:] - pictures[:, :, :, :-1]).abs().flatten(1).mean(1)
    return down + across


def excess_variation(pictures: Tensor, usual: Tensor) -> Tensor:
    """Mean over pictures of the total variation above what was usual for each, as a share of that; a scalar.

    Args:
        pictures: pictures ``[n, 3, s, s]``.
        usual: total variation of each at the start, ``[n]``.
    """
    return (total_variation(pictures) / usual.clamp_min(1e-6) - 1).clamp_min(0).mean()


def score_direction(
    base: LabelledDenoiser, latents: Tensor, labels: Tensor, *, share: float, seed: int, step: int, batch_size: int
) -> Tensor:
    """The direction in which a generator finds latents less likely, ``[n, c, h, w]``, of root mean square 1.

    Noise depends on seed, step and picture alone; opposite noise in every second step cancels most of it out.

    Args:
        base: generator of such latents.
        latents: latents ``[n, c, h, w]``.
        labels: labels ``[n]``.
        share: place of the noise level in the chain.
        seed: seed of the noise.
        step: 0-based step.
        batch_size: latents at once.
    """
    sign = 1 - 2 * (step % 2)
    noise = torch.stack(
        [sign * torch.randn(latents.shape[1:], generator=generator_of("score", seed, step // 2, index))
         for index in range(len(latents))]
    ).to(latents)  # fmt: skip
    parts = zip(*(each.split(batch_size) for each in (latents, labels, noise)), strict=True)
    found = [base.residual(part, label, share=share, noise=its) for part, label, its in parts]
    whole = torch.cat(found)
    return whole / whole.square().mean().sqrt().clamp_min(torch.finfo(whole.dtype).tiny)
