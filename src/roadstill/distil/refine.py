"""`refine`: moves the latents of a small set so that training on it matches training on the whole set.

Linear gradient matching on frozen networks (`roadstill.distil.objectives.linear`) in a codec's latents, held back by
priors (`roadstill.distil.priors`): one method of the families, with settings of its own and a record of its own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from roadstill.agents import AgentConfig, FeatureCache
from roadstill.codecs import Codec
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.distil.beginning import Tools, task_of
from roadstill.distil.config import Distillation
from roadstill.distil.loop import check, run
from roadstill.distil.objectives.linear import LinearGradients
from roadstill.distil.priors import Priors
from roadstill.distil.storing import record_of
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.imagesets.sources import SOURCES, recorded, sources_of
from roadstill.imagesets.values import to_uint8
from roadstill.runs import Range, check_ranges, digest_of, holding, later, plain, remove, require_own, same_classes

__all__ = ["Refinement", "refine"]


@dataclass(frozen=True)
class Refinement:
    """How a small set is refined.

    Attributes:
        steps: steps of Adam on the latents.
        learning_rate: learning rate of Adam, in standard deviations of the latents.
        gradients: weight of the first objective, 1 - cosine of the gradients.
        regression: weight of the second, mean squared error.
        closeness: weight of the mean squared distance from the latents at the start.
        heads: number of random heads per step.
        head_scale: largest spread of a head's logits.
        ridge: strength of the regression's ridge, as a share of the kernel's mean diagonal.
        real_batch: real images per step.
        real_images: most real images that are looked at, in equal shares of the classes; also most images of dev.
        batch_size: pictures that are differentiated at once; larger sets take a second forward pass, not more memory.
        networks: further networks that are matched beside the agent's, with its initial weights each. Every step looks
            at all of them; their gradients are scaled alike, so that none outweighs the others.
        augment: change of the pictures before features are taken: "none", or "dsa", which changes the small set and
            the real batch of a step alike (see `roadstill.agents.augment.siamese`). The real batch then passes the
            networks in every step; a smaller ``real_batch`` saves time.
        mirrors: whether ``dsa`` may mirror pictures; false for labels that know left and right.
        pyramid: resolutions of the changes, each half of the next; the coarsest moves first, and the others join it one
            after the other over the steps, each with half the learning rate. 1 moves the latents themselves from the
            first step on.
        variation: weight of the pictures' total variation as far as it exceeds that at the start, as a share of that:
            grain costs, what a picture had does not.
        score: size of the base generator's score, as a multiple of the objectives' gradient: latents also move towards
            what it takes for pictures of their class.
        score_noise: place of the score's noise level in the generator's chain, 0 the clean and 1 the noisy end.
        looks: number of states on the way, the last one included, of which with the start the best on dev is kept: the
            one whose worst network is best. 0 keeps the last one and needs no dev.
    """

    steps: int = 100
    learning_rate: float = 0.05
    gradients: float = 1.0
    regression: float = 1.0
    closeness: float = 0.0
    heads: int = 32
    head_scale: float = 3.0
    ridge: float = 0.1
    real_batch: int = 512
    real_images: int = 4096
    batch_size: int = 32
    networks: tuple[str, ...] = later(())
    augment: Literal["none", "dsa"] = later("none")
    mirrors: bool = later(True)
    pyramid: int = later(1)
    variation: float = later(0.0)
    score: float = later(0.0)
    score_noise: float = later(0.1)
    looks: int = later(0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "networks", tuple(self.networks))
        check_ranges(
            self, pyramid=Range(1, 12, whole=True), variation=Range(0), score=Range(0), score_noise=Range(0, 1),
            looks=Range(0, 1000, whole=True),
        )  # fmt: skip
        for name, obeyed, by in (
            ("mirrors", self.augment == "dsa", "augment dsa"),
            ("score_noise", self.score > 0, "a score above 0"),
        ):
            if not obeyed and getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise UserError(
                    f"{name} is {getattr(self, name)}, but has an effect only with {by}; set that or leave {name} out"
                )
        if max(self.pyramid, self.looks) > self.steps:
            name = "pyramid" if self.pyramid > self.steps else "looks"
            raise UserError(f"{name} is {getattr(self, name)}, more than the {self.steps} steps; lower it")
        self.method()  # checks the rest

    def all_networks(self, network: str) -> tuple[str, ...]:
        """Every network that takes part, the agent's first."""
        return tuple(dict.fromkeys([network, *self.networks]))

    def method(self) -> Distillation:
        """The same as a method of distillation."""
        objective = LinearGradients(
            networks=self.networks, heads=self.heads, head_scale=self.head_scale, gradients=self.gradients,
            regression=self.regression, ridge=self.ridge, real_batch=self.real_batch, real_images=self.real_images,
        )  # fmt: skip
        return Distillation(
            objective, parametrisation="latents", levels=self.pyramid, steps=self.steps, optimiser="adam",
            learning_rate=self.learning_rate, augment=self.augment, mirrors=self.mirrors, protocol="head",
            priors=Priors(self.closeness, self.variation, self.score, self.score_noise), looks=self.looks,
            batch_size=self.batch_size,
        )  # fmt: skip


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

    A run that was stopped goes on where it was last saved, to the same bytes.

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
    same_classes(images.class_names, real.class_names, of=images.root, to=real.root)
    if (base is not None) != (config.score > 0):
        raise UserError(f"score is {config.score:g} and {'a' if base else 'no'} base generator is given; a score above "
                        "0 and a base need each other")  # fmt: skip
    method, tools = config.method(), Tools(codec=codec, base=base, start=images, dev=dev, cache=cache)
    check(method, agent, real, tools, None)
    task, start = task_of(real, agent, method, tools, per_class=None, seed=seed, device=str(codec.device))
    state = run(task, method, tools, out)
    known = record_of(state, tools)
    record = {"config": plain(config), "from": images.digest, "real": real.digest, "seed": seed,
              "network": agent.network}  # fmt: skip
    names = config.all_networks(agent.network)
    record |= {"networks": list(names)} if len(names) > 1 else {}
    record |= {name: known[name] for name in ("base", "dev", "chosen") if name in known}
    refined = {"refined": digest_of(config)}
    with ImageSetWriter(out, images.class_names, images.size_px) as writer:
        for picture, label, facts in zip(
            to_uint8(state.kept()), task.synthetic.classes.tolist(), start.facts, strict=True
        ):
            writer.add(picture, label, {**facts, **refined})
        writer.about.update(images.about)
        writer.about["refined"] = record
        writer.about[SOURCES] = recorded(sources_of(images.about), sources_of(real.about))
    remove(state.folder)
    return open_imageset(out)
