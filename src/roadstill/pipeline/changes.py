"""What may change between two calls on one run folder, and the refusal of everything else before it does harm.

A run folder is one experiment: products of two settings side by side would be compared as if they belonged together.
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.recipes import Recipe, read_recipe
from roadstill.runs import plain

MAY_CHANGE = (
    "name",
    "seeds",
    "arms.*.seeds",
    "arms.*.label",
    "baseline",
    "cluster_by",
    "judged_on",
    "thesis",
)
"""Settings that leave every finished product as it is: they add to the run, or are of its comparisons alone.

Arms and further agents may also be added and left out, each as a whole.
"""
_AS_A_WHOLE = ("arms", "others")


def require_unchanged(recipe: Recipe, folder: Path) -> None:
    """Refuses a recipe that is not the one that a run folder was begun with.

    Raises:
        UserError: names the first setting that differs, and the ways out; the folder's recipe cannot be read.
    """
    path = folder / "recipe.yaml"
    if not path.is_file():
        return
    try:
        before = read_recipe(str(path))
    except UserError as error:
        raise UserError(f"{error}; {folder} holds a run of that recipe: name another folder with --out") from None
    old, new = (dict(plain(each, grouped=True)) for each in (before, recipe))
    for name in _AS_A_WHOLE:
        both = old[name].keys() & new[name].keys()
        old[name], new[name] = ({key: value for key, value in each[name].items() if key in both} for each in (old, new))
    # What is of the whole run tells more than what is of one arm.
    found = sorted(differences(old, new), key=lambda each: each.partition(":")[0].count("."))
    refuse(folder, found, f"the settings of {path}")


def refuse(folder: Path, found: Sequence[str], settings: str) -> None:
    """Refuses a run folder, if there are differences.

    Args:
        folder: the run folder.
        found: differences, as `differences` tells them.
        settings: name of the settings that would fit.

    Raises:
        UserError: there are some.
    """
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise UserError(
            f"{folder} was begun with other settings ({found[0]}{more}); name another folder with --out, or take "
            f"{settings}"
        )


def differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Every setting that differs and must not, as ``arms.random.per_class: 10, now 20``.

    Args:
        old: plain value of the settings before.
        new: plain value of the settings now.
        name: name of both.
    """
    if any(fnmatchcase(name, pattern) for pattern in MAY_CHANGE):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in (*old, *(key for key in new if key not in old)):
            yield from differences(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
    elif old != new:
        yield f"{name or 'settings'}: {_short(old)}, now {_short(new)}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
