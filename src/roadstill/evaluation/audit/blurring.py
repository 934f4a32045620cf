"""What was done to faces, plates and text in the pictures behind a set, as far as records tell."""

from collections.abc import Mapping
from typing import Any

from roadstill.errors import one_line
from roadstill.imagesets import ImageSet
from roadstill.moved import recorded

_BOXES = ("roadstill.data.privacy.BlurBoxes", recorded("roadstill.data.privacy.BlurBoxes"))


def blurring_of(images: ImageSet) -> dict[str, Any]:
    """The hook that a set's pictures passed and its settings, and how many pictures it left out; empty if none."""
    hook = images.about.get("hook")
    if not isinstance(hook, Mapping):
        return {}
    settings = hook.get("settings")
    left = images.about.get("missing_by_hook", 0)
    return {
        "hook": str(hook.get("name")),
        "settings": dict(settings) if isinstance(settings, Mapping) else {},
        "left_out": left if isinstance(left, int) else 0,
    }


def told(name: str, found: Mapping[str, Any]) -> str:
    """The same in words.

    Args:
        name: name of the set.
        found: as `blurring_of` gives it.
    """
    if not found:
        return f"{name}: no blurring is recorded; faces, plates and text are as they were when the set was made."
    left = f"; it left out {found['left_out']:,} pictures" if found["left_out"] else ""
    if found["hook"] not in _BOXES:
        return one_line(f"{name}: all pictures passed {found['hook'][:100]}{left}; what it hides is not known here.")
    settings = found["settings"]
    classes = settings.get("classes")
    kinds = ", ".join(map(str, classes)) if isinstance(classes, (list, tuple)) else "an unknown choice of classes"
    small = settings.get("min_size_px")
    kept = {
        "keep": "; pictures without boxes were kept as they are, and how many is not recorded",
        "leave_out": "; pictures without boxes were left out",
    }.get(str(settings.get("missing")), "")
    return one_line(
        f"{name}: boxes of {kinds} were averaged over {settings.get('cells')} cells{left}{kept}. What stays: text on "
        f"signs and houses, whatever has no box in the logs, and boxes below {small} px."
    )
