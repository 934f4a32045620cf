"""`Refinement`: how a small set is refined."""

from dataclasses import dataclass
from typing import Literal

from roadstill.agents.networks import check_name
from roadstill.errors import UserError
from roadstill.runs import Range, check_ranges, later


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
        if not self.gradients + self.regression:
            raise UserError("gradients and regression are 0; give at least one of them a weight")
        if self.augment not in ("none", "dsa"):
            raise UserError(f"augment is {self.augment!r}; take 'none' or 'dsa'")
        for name in self.networks:
            check_name(name)
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

    def all_networks(self, network: str) -> tuple[str, ...]:
        """Every network that takes part, the agent's first."""
        return tuple(dict.fromkeys([network, *self.networks]))
