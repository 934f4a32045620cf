"""The recipe that a distilled set carries: what its pictures mean only together with.

A set that is scored without its recipe is the most frequent mistake of the field (learnt learning rate, whitening and
labels left out cost MTT's sets 16 points). So training refuses such a set unless the recipe is followed, applied, or
ignored by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec

from roadstill.agents.config import AgentConfig, Augment
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.imagesets.sets import MOST_PATCHES
from roadstill.runs import Record, typed

_CLOSE = 0.02  # learning rates that differ by less are taken for the same


class RecipeRecord(Record, kw_only=True, frozen=True):
    """``recipe`` in the record of a set."""

    protocol: Annotated[str, msgspec.Meta(max_length=100)]
    labels: Literal["hard", "soft"] = "hard"
    learning_rate: Annotated[float, msgspec.Meta(gt=0, lt=1e6)] | None = None
    patches: Annotated[int, msgspec.Meta(ge=1, le=MOST_PATCHES)] = 1
    augment: Augment | None = None


@dataclass(frozen=True)
class SetRecipe:
    """What a set has to be trained with.

    Attributes:
        protocol: protocol that it was made for, see `roadstill.agents.named`; told, not required.
        needs: settings of an agent that it needs, by name.
    """

    protocol: str
    needs: Mapping[str, Any]

    def __str__(self) -> str:
        told = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in self.needs.items())  # fmt: skip
        return f"{', '.join(told)} (protocol {self.protocol})"


def recipe_of(images: ImageSet) -> SetRecipe | None:
    """The recipe of a set; None for most sets.

    Raises:
        UserError: a damaged record.
    """
    about = images.about.get("recipe")
    if about is None:
        return None
    record = typed(about, RecipeRecord, f"{images.root / 'set.json'}, recipe", "make the set again")
    needs: dict[str, Any] = {"labels": record.labels}
    if images.values is not None and images.values.whitening() is not None:
        needs["normalise"] = "whitened"
    if record.learning_rate is not None:
        needs |= {"optimiser": "sgd", "learning_rate": record.learning_rate}
    if record.augment is not None:
        needs["augment"] = record.augment
    return SetRecipe(record.protocol, needs)


def following(config: AgentConfig, images: ImageSet) -> AgentConfig:
    """An agent's settings for a set: as they are, or with what the set's recipe needs (``config.recipe``).

    Raises:
        UserError: settings that the recipe contradicts, unless it is applied or ignored.
    """
    recipe = recipe_of(images)
    if recipe is None or config.recipe == "ignore":
        return config
    wrong = {name: value for name, value in recipe.needs.items() if not _same(getattr(config, name), value)}
    if not wrong:
        return config
    if config.recipe == "apply":
        return replace(config, **wrong)
    raise UserError(
        f"{images.root} was made to be trained on with {replace(recipe, needs=wrong)}; set agent.recipe to apply, or "
        "to ignore to see what the set is worth without"
    )


def _same(own: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(own, (int, float)):
        return abs(own - wanted) <= _CLOSE * wanted
    return bool(own == wanted)
