"""`refine`: optimises the latents of a small set so that training on it matches training on the whole set.

What is matched stands in `roadstill.generator.matching`, what holds pictures back in `roadstill.generator.priors`. What
moves are the codec's latents, not pixels, as in Cazenavette et al. 2023 (GLaD): pictures stay pictures.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roadstill.agents import AgentConfig, FeatureCache
from roadstill.agents.networks import require_network
from roadstill.codecs import Codec, from_pixels, to_pixels
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError
from roadstill.evaluation.networks import other_network
from roadstill.generator.choosing import Choice, check_dev
from roadstill.generator.matching import (
    Change,
    Matched,
    balanced,
    objective_of,
    picture_gradient,
    random_heads,
    spread_rows,
)
from roadstill.generator.priors import Pyramid, excess_variation, score_direction, total_variation
from roadstill.generator.refinement import Refinement
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.learning.loops import finite_sum, generator_of, require_finite
from roadstill.runs import digest_of, holding, plain, require_own, same_classes, seed_of

__all__ = ["Refinement", "refine"]


@holding()
def refine(
    images: ImageSet,
    real: ImageSet,
    codec: Codec,
    *,
    agent: AgentConfig,
    config: Refinement,
    seed: int,
    out: Path,
    cache: FeatureCache | None = None,
    base: LabelledDenoiser | None = None,
    dev: ImageSet | None = None,
) -> ImageSet:
    """Refines a small set towards the whole one; unlike in `generate`, a picture depends on its whole set.

    Args:
        images: the small set to begin with, generated or picked.
        real: set that it stands for: the train part.
        codec: codec of the latents that move.
        agent: agent whose features are matched, untrained but with its initial weights.
        config: see `Refinement`.
        seed: seed of the random heads, the real batches, the augmentation and the noise of the score.
        out: folder of the refined set.
        cache: spares the frozen stages' work on the real images if they were seen before.
        base: generator of such latents, for ``config.score``.
        dev: dev part, for ``config.looks``: the state that serves the worst network best is kept, which may be the
            start itself. The record tells the scores of all.

    Raises:
        UserError: other classes, a class without an image, a base or dev that is missing, has no use or does not fit, a
            network whose package is not installed, or a loss that is not finite.
    """
    require_own(out, "set.json")
    _check(images, real, codec, config, base, dev)
    names = config.all_networks(agent.network)
    for name in names:
        require_network(name)
    rows, cache = spread_rows(real, config.real_images), cache or FeatureCache()
    matched = {
        name: Matched.of(other_network(agent, name), real, rows, seed, codec.device, cache) for name in names
    }  # fmt: skip
    choice = None if dev is None else Choice(dev, images, matched, config)
    task = _Task(images, real, rows, codec, matched, config, seed, base)
    moving = Pyramid(task.start, config.pyramid, config.steps, config.learning_rate)
    looks = {-(-config.steps * number // config.looks) for number in range(1, config.looks + 1)} if choice else set()
    for step in range(config.steps):
        latents = moving.latents(step)
        moving.move(latents, task.gradient(latents.detach(), step))
        if choice and step + 1 in looks:
            choice.look(step + 1, task.pixels(moving.latents(step).detach()))
    latents = moving.latents(config.steps).detach()
    require_finite({"latents": latents}, step=config.steps - 1)
    pixels = choice.pixels if choice else task.pixels(latents)
    record = {"config": plain(config), "from": images.digest, "real": real.digest, "seed": seed,
              "network": agent.network}  # fmt: skip
    if len(names) > 1:
        record["networks"] = list(names)
    if base is not None:
        record["base"] = base.origin.digest
    if choice:
        record |= {"dev": choice.dev.digest, "chosen": choice.record()}
    refined = {"refined": digest_of(config)}
    with ImageSetWriter(out, images.class_names, pixels.shape[1]) as writer:
        for picture, label, facts in zip(pixels, images.labels, images.facts, strict=True):
            writer.add(picture, int(label), {**facts, **refined})
        writer.about.update(images.about)
        writer.about["refined"] = record
    return open_imageset(out)


def _check(
    images: ImageSet, real: ImageSet, codec: Codec, config: Refinement, base: LabelledDenoiser | None,
    dev: ImageSet | None,
) -> None:  # fmt: skip
    """Refuses what does not fit before any work."""
    same_classes(images.class_names, real.class_names, of=images.root, to=real.root)
    if (base is not None) != (config.score > 0):
        raise UserError(f"score is {config.score:g} and {'a' if base else 'no'} base generator is given; a score above "
                        "0 and a base need each other")  # fmt: skip
    if (dev is not None) != (config.looks > 0):
        raise UserError(f"looks is {config.looks} and {'a' if dev else 'no'} dev part is given; looks above 0 and dev "
                        "need each other")  # fmt: skip
    if dev is not None:
        check_dev(dev, images)
    if base is None:
        return
    if base.origin.class_names:
        same_classes(images.class_names, base.origin.class_names, of=images.root, to="the base generator")
    if base.origin.codec not in (None, "untrained", codec.digest) and codec.digest != "untrained":
        raise UserError(f"the base was trained on latents of codec {base.origin.codec}, not of {codec.digest}; give "
                        "that codec, or set score 0")  # fmt: skip
    its, found = (*base.latent_shape, base.num_classes), (*codec.latent_shape(images.size_px), images.num_classes)
    if its[:3] != found[:3] or its[3] < found[3]:
        raise UserError(
            f"the base makes latents {list(its[:3])} of {its[3]} classes, but these are {list(found[:3])} of "
            f"{found[3]}; give a base for them, or set score 0"
        )


class _Task:
    """What one refinement pulls on its latents: the gradient of all its terms."""

    def __init__(
        self, images: ImageSet, real: ImageSet, rows: NDArray[np.int64], codec: Codec, matched: dict[str, Matched],
        config: Refinement, seed: int, base: LabelledDenoiser | None,
    ) -> None:  # fmt: skip
        self.real, self.rows, self.codec, self.matched, self.config = real, rows, codec, matched, config
        self.seed, self.base, self.size = seed, base, config.batch_size
        device = codec.device
        self.labels = torch.from_numpy(images.labels.copy()).to(device)
        self.known_labels = torch.from_numpy(real.labels[rows])
        with torch.no_grad():
            parts = [torch.from_numpy(pixels) for _, pixels in images.batches(self.size)]
            self.start = torch.cat([codec.encode(from_pixels(part).to(device)).mean for part in parts])
            if config.variation:
                self.usual = torch.cat([total_variation(self._decode(part)) for part in self.start.split(self.size)])
        self.generator = generator_of("refine", seed)

    def _decode(self, latents: Tensor) -> Tensor:
        """Pictures in [0, 1], ``[n, 3, s, s]``."""
        return (self.codec.decode(latents) + 1) / 2

    @torch.no_grad()
    def pixels(self, latents: Tensor) -> NDArray[np.uint8]:
        """Pictures as they are kept, uint8 ``[n, s, s, 3]``."""
        return torch.cat([to_pixels(self.codec.decode(part)) for part in latents.split(self.size)]).cpu().numpy()

    def gradient(self, latents: Tensor, step: int) -> Tensor:
        """Gradient of all terms with respect to latents ``[n, c, h, w]``; of each set of pictures one batch at a time.

        Raises:
            UserError: the loss is not finite.
        """
        parts = [part.detach().requires_grad_(True) for part in latents.split(self.size)]
        whole = len(parts) == 1
        with torch.set_grad_enabled(whole):
            decoded = [self._decode(part) for part in parts]
        terms, wanted, rows = self._pictures(torch.cat([each.detach() for each in decoded]), step)
        pulls = [
            torch.autograd.grad(pictures if whole else self._decode(part), part, its)[0]
            for part, pictures, its in zip(parts, decoded, wanted.split(self.size), strict=True)
        ]
        gradient = torch.cat(pulls)
        if self.config.closeness:
            moved = latents.detach().requires_grad_(True)
            terms["closeness"] = self.config.closeness * (moved - self.start).square().mean()
            gradient = gradient + torch.autograd.grad(terms["closeness"], moved)[0]
        if self.base is not None:
            size = self.config.score * gradient.square().mean().sqrt()
            score = size * score_direction(
                self.base, latents, self.labels, share=self.config.score_noise, seed=self.seed, step=step,
                batch_size=self.size,
            )  # fmt: skip
            terms["score"] = score.square().mean()
            gradient = gradient + score
        finite_sum(terms, step=step, rows=rows)
        return gradient

    def _pictures(self, pictures: Tensor, step: int) -> tuple[dict[str, Tensor], Tensor, NDArray[np.int64]]:
        """Terms of the pictures, their gradient ``[n, 3, s, s]``, and the real rows that were looked at."""
        config, device, terms, gradients = self.config, pictures.device, {}, []
        count = len(self.rows)
        chosen = torch.randint(count, (min(config.real_batch, count),), generator=self.generator)
        rows, their_labels = self.rows[chosen.numpy()], self.known_labels[chosen].to(device)
        change = None
        if config.augment == "dsa":
            change = Change(seed_of("refine dsa", self.seed, step), config.mirrors)
            shown = torch.from_numpy(self.real.pixels(rows))
        for name, matched in self.matched.items():
            heads = random_heads(
                matched.known, self.real.num_classes, config.heads, config.head_scale, self.generator
            ).to(device)
            if change is None:
                theirs = matched.known[chosen].to(device)
            else:
                theirs = matched.in_batches(shown, self.size, change)
            loss, gradient = picture_gradient(
                pictures,
                lambda part: matched.features(part, change),  # noqa: B023  called at once
                lambda ours: objective_of(ours, self.labels, theirs, their_labels, heads, config),  # noqa: B023
                self.size,
            )
            terms["matching" if len(self.matched) == 1 else f"matching {name}"] = loss
            gradients.append(gradient)
        wanted = balanced(gradients)
        if config.variation:
            shown_now = pictures.detach().requires_grad_(True)
            terms["variation"] = config.variation * excess_variation(shown_now, self.usual)
            wanted = wanted + torch.autograd.grad(terms["variation"], shown_now)[0]
        return terms, wanted, rows
