"""The selector that a set records: by its name, its settings, and where its features come from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.selection.distinct import THRESHOLD, Distinct
from roadstill.selection.registry import DISTINCT, SELECTORS, check_settings, makes_pictures

OTHER_FEATURES = ("pixels", "dit")
_ANEW = {
    "published": "others distilled it; take it as it is, or distil a set of all frames",
    "distilled": "distil a set of all frames, old and new, anew: roadstill distil",
    "refined": "select and refine a set of all frames, old and new, anew: roadstill select, then refine",
    "sampling": "go on with the generator on all frames, then draw anew: roadstill encode, finetune, generate",
}
"""By what a record of a made set holds: what is to be done in place of an update."""


@dataclass(frozen=True)
class Made:
    """How a set was selected, as its record tells it.

    Attributes:
        name: name of the selector, see `make_selector`.
        settings: its settings.
        per_class: images per class.
        seed: seed of the choice.
        teacher: digest of the teacher; empty without one.
        features: features that are not the teacher's, one of `OTHER_FEATURES`; empty for none.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    per_class: int = 1
    seed: int = 0
    teacher: str = ""
    features: str = ""


def made_by(images: ImageSet) -> Made:
    """How a set was selected.

    Raises:
        UserError: a set that was generated, refined or distilled, whose selector is not recorded or is none of ours, or
            that does not hold what its record says.
    """
    about, root = images.about, images.root
    for key, way in _ANEW.items():
        if about.get(key) is not None:
            raise UserError(f"{root} holds pictures that were made, not picked, so none can be exchanged; {way}")
    method, per_class, seed = (about.get(key) for key in ("method", "per_class", "seed"))
    if not isinstance(method, Mapping) or type(per_class) is not int or type(seed) is not int:
        raise UserError(f"{root} does not record by which selector it was made; select from all frames")
    if (own := about.get("own_selector")) is not None:
        raise UserError(
            f"{root} was picked by a selector of your own, {str(own)[:80]!r}; select from all frames with it"
        )
    name, settings = _named(method, root)
    if makes_pictures(name):
        raise UserError(f"{root} holds pictures that {name} cut from frames; make it anew from all frames with select")
    check_settings(name, settings)
    if wrong := [each for each, count in images.counts().items() if count != per_class]:
        raise UserError(
            f"{root} records {per_class} images per class, but class {wrong[0]!r} has {images.counts()[wrong[0]]}; "
            "select from all frames"
        )
    origin = [part.strip() for part in str(method.get("teacher") or "").split(",") if part.strip()]
    other = [part for part in origin if part in OTHER_FEATURES]
    return Made(
        name, settings, per_class, seed,
        teacher="".join(part for part in origin if part not in OTHER_FEATURES),
        features=other[0] if other else "",
    )  # fmt: skip


def _named(method: Mapping[str, Any], where: object) -> tuple[str, dict[str, Any]]:
    """The name of a recorded selector and its settings."""
    kind = method.get("type")
    if kind == Distinct.__name__ and isinstance(inner := method.get("method"), Mapping):
        name, settings = _named(inner, where)
        return f"{DISTINCT}:{method.get('threshold', THRESHOLD)}:{name}", settings
    names = {made.__name__: name for name, made in SELECTORS.items() if not isinstance(made, partial)}
    if kind not in names:
        raise UserError(
            f"{where} was picked by {str(kind)[:80]!r}, which is none of roadstill's selectors; select from all frames"
        )
    settings = {key: value for key, value in method.items() if key not in ("type", "teacher")}
    return names[str(kind)], settings
