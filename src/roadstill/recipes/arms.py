"""`Arm`: one column of a comparison, a way to get a small set."""

from dataclasses import dataclass
from typing import Any

from roadstill.denoisers.base import Sampling
from roadstill.distil import method_of
from roadstill.distil.objectives import CharacteristicMatching, TrajectoryMatching
from roadstill.distil.refine import Refinement
from roadstill.errors import UserError
from roadstill.generator.config import FinetuneConfig
from roadstill.names import Settings
from roadstill.runs import check_ranges, later
from roadstill.selection.registry import check_settings, makes_pictures

MADE = ("generated", "distilled")
"""Kinds of arms whose pictures are no frames."""


@dataclass(frozen=True)
class Distilled:
    """A published method of distillation in a recipe.

    Attributes:
        method: its name, see `roadstill.distil.METHODS`, or the dotted path of an objective of yours.
        settings: settings that differ from the published ones, see `roadstill.distil.method_of`.
        start: selector of the real frames that it begins with; the method's own start if not given.
    """

    method: str
    settings: Settings | None = None
    start: str | None = None

    def __post_init__(self) -> None:
        method_of(self.method, 1, self.settings)

    def follows_experts(self) -> bool:
        """Whether its objective reads trajectories of experts that are not named in the settings."""
        objective = method_of(self.method, 1, self.settings).objective
        if isinstance(objective, CharacteristicMatching):
            return objective.experts == EXPERTS
        return isinstance(objective, TrajectoryMatching) and objective.experts == EXPERTS

    def networks(self, network: str) -> tuple[str, ...]:
        """Every network that takes part in making a set, given the agent's."""
        return method_of(self.method, 1, self.settings).objective.networks_beside(network)

    def whitening(self, per_class: int) -> str:
        """How it whitens pixels at a number of images per class."""
        return method_of(self.method, per_class, self.settings).whitening


EXPERTS = "experts"
"""The folder of experts that an objective names if no other is given; in a run, its own."""


@dataclass(frozen=True)
class Arm:
    """One column of the comparison: a way to get a small set.

    Attributes:
        kind: a name of `roadstill.selection.SELECTORS` picks real frames ("random", "per_drive", "medoids", ...), and
            so does the dotted path of your own selector; "generated" draws from a generator, "distilled" optimises the
            pictures by a published method, "full" takes all frames.
        label: name of the arm in tables.
        finetune: adapters and criteria; without it, a generated arm draws from the base as it was shipped.
        of: another generated arm whose checkpoint this one draws from, instead of a fine-tuning of its own.
        start: selector of the real frames that a generated arm's images start from, noised by the sampling's strength;
            without it they start from pure noise.
        guided: whether a teacher trained on the train part leads a generated arm's images to their classes.
        sampling: sampling of a generated arm; the recipe's if not given.
        candidates: number of images that are made for each one kept; a teacher trained on the train part chooses.
        choose: selector among the candidates: "confident" keeps those of whose class the teacher is surest, "medoids"
            those nearest to the clusters of the real frames; any other selector works, too.
        distil: method and settings of a distilled arm.
        refine: optimisation of the images, however they were made, so that training on them matches training on all
            frames.
        seeds: number of agents; the recipe's number if not given.
        sets: number of different sets, which the agents take in turn; one for each agent if not given. For methods that
            take hours: verdicts then speak of these sets, not of the method.
        per_class: images per class; the recipe's if not given. Where the recipe has several budgets, the one at which
            the arm is made.
        settings: settings of the selector that ``kind`` names, by name; ``{"memory_size": 32}`` for "minimax".
        start_settings: settings of the selector that ``start`` names.
        choose_settings: settings of the selector that ``choose`` names.
    """

    kind: str
    label: str
    finetune: FinetuneConfig | None = None
    of: str | None = None
    start: str | None = None
    guided: bool = False
    sampling: Sampling | None = None
    candidates: int = 1
    choose: str = "confident"
    refine: Refinement | None = None
    distil: Distilled | None = later(None)
    seeds: int | None = None
    sets: int | None = later(None)
    per_class: int | None = None
    settings: Settings | None = later(None)
    start_settings: Settings | None = later(None)
    choose_settings: Settings | None = later(None)

    def __post_init__(self) -> None:
        check_ranges(self, f"arm {self.label[:60]!r}: ")
        if self.refine and self.whole:
            raise UserError(f"the arm {self.label!r} takes all frames, which are not refined; leave refine out")
        for role, name, settings in self._roles:
            if name is not None:
                check_settings(name, settings)
            elif settings:
                raise UserError(f"{role} are for a selector, but the arm {self.label!r} has none there; leave them out")
        if (self.distil is not None) != (self.kind == "distilled"):
            raise UserError(f"the arm {self.label!r} is of kind {self.kind}, and distil is "
                            f"{'' if self.distil else 'not '}given; the two belong together")  # fmt: skip
        for other in (self.start, self.choose):
            if other is not None and makes_pictures(other):
                raise UserError(f"{other!r} makes pictures, so it can be an arm's kind, but neither start nor choose")

    @property
    def whole(self) -> bool:
        """Whether its agents learn from all frames: a bound, not a competitor."""
        return self.kind in ("full", "blind")

    @property
    def picks(self) -> list[str]:
        """Names of the selectors that the arm uses."""
        return [name for _, name, _ in self._roles if name is not None]

    @property
    def _roles(self) -> list[tuple[str, str | None, dict[str, Any] | None]]:
        """The field of each selector's settings, the selector's name if it is used, and its settings."""
        return [
            ("settings", None if self.kind in MADE or self.whole else self.kind, self.settings),
            ("start_settings", self.start, self.start_settings),
            ("choose_settings", self.choose if self.candidates > 1 else None, self.choose_settings),
        ]
