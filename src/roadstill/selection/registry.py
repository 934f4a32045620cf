"""All selectors by name, for recipes, the pipeline and the command line; one line here adds one everywhere.

The names of its constructor's parameters show what a selector needs: ``features`` (see `Features`), ``predict`` (a
trained teacher's probabilities), ``student`` (trains a small agent) and ``forgetting`` (counts of a training). Its
other parameters are settings. A user's own selector is named by its dotted path and gets the same.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import partial
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from roadstill.errors import UserError
from roadstill.names import dotted, path_of
from roadstill.runs import check_ranges
from roadstill.selection.base import JointSelector, Maker, Picker, Selector
from roadstill.selection.confident import Confident
from roadstill.selection.distinct import THRESHOLD, Distinct
from roadstill.selection.dynamics import Dynamics
from roadstill.selection.facility_location import FacilityLocation
from roadstill.selection.forgetting import Forgetting
from roadstill.selection.herding import Herding
from roadstill.selection.k_center import KCenter
from roadstill.selection.learnability import Learnability
from roadstill.selection.medoids import Medoids
from roadstill.selection.minimax import Minimax
from roadstill.selection.moment_group import MomentGroup
from roadstill.selection.per_drive import PerDriveRandom
from roadstill.selection.random import Random
from roadstill.selection.rded import Rded
from roadstill.selection.s3 import S3
from roadstill.selection.uncertainty import Entropy, LeastConfidence, Margin

SELECTORS: Mapping[str, Callable[..., Any]] = {
    "random": Random,
    "per_drive": PerDriveRandom,
    "dynamics": Dynamics,
    "medoids": Medoids,
    "herding": Herding,
    "k_center": KCenter,
    "facility_location": FacilityLocation,
    "minimax": Minimax,
    "moment_group": MomentGroup,
    "s3": S3,
    "confident": Confident,
    "least_confidence": LeastConfidence,
    "least_confidence_correct": partial(LeastConfidence, correct=True),
    "margin": Margin,
    "entropy": Entropy,
    "forgetting": Forgetting,
    "learnability": Learnability,
    "rded": Rded,
    "rded_stitched": partial(Rded, factor=2),
}
"""Selectors by the names that recipes and the command line give them; `make_selector` makes one."""

_SHIPPED = frozenset(path_of(kind.func if isinstance(kind, partial) else kind) for kind in SELECTORS.values())
DISTINCT = "distinct"
NEEDS = ("features", "predict", "student", "forgetting")
_TOOLS = (*NEEDS, "teacher", "reference")

Tools = Mapping[str, Callable[[], Any]]
"""What selectors may need, each as a function that makes it on demand; also ``teacher`` and ``reference``."""


def find_selector(name: str) -> tuple[Callable[..., Any], float | None]:
    """The constructor of the selector of this name, and the threshold above which near-duplicates are removed first.

    ``distinct:NAME`` has the default threshold, ``distinct:0.8:NAME`` another; ``NAME`` alone keeps all images.

    Raises:
        UserError: neither a known name nor the dotted path of a class, or one that is not trusted.
    """
    *before, inner = name.split(":")
    threshold = None
    if before[:1] == [DISTINCT] and len(before) < 3:
        try:
            threshold = float(before[1]) if len(before) > 1 else THRESHOLD
        except ValueError:
            raise UserError(f"selector {name!r}: {before[1]!r} is not a number; write {DISTINCT}:0.8:{inner}") from None
    elif before:
        inner = name
    if inner in SELECTORS:
        return SELECTORS[inner], threshold
    try:
        kind = dotted(inner, "selector", _SHIPPED)
        inspect.signature(kind)
    except UserError:
        raise
    except (ValueError, TypeError) as error:
        names, why = ", ".join(SELECTORS), f" ({error})" if "." in inner else ""
        raise UserError(
            f"selector {name!r} is unknown{why}; choose one of {names}, any of them after '{DISTINCT}:' to leave out "
            "near-duplicates, or the dotted path of a class"
        ) from None
    found: Callable[..., Any] = kind
    return found, threshold


def needs(name: str) -> frozenset[str]:
    """Which of `NEEDS` a selector has; empty for those that use facts alone. Errors as `find_selector`."""
    kind, threshold = find_selector(name)
    wanted = set(inspect.signature(kind).parameters) & set(NEEDS)
    return frozenset(wanted | ({"features"} if threshold is not None else set()))


def makes_pictures(name: str) -> bool:
    """Whether the selector makes new pictures, so that it needs a folder. Errors as `find_selector`."""
    kind, _ = find_selector(name)
    return hasattr(kind.func if isinstance(kind, partial) else kind, "make")


def check_settings(name: str, settings: Mapping[str, Any] | None) -> None:
    """Refuses settings that the selector cannot take, before any work is done.

    Args:
        name: name as in `make_selector`.
        settings: keyword arguments of its constructor; after ``distinct:``, of the inner selector's.

    Raises:
        UserError: an unknown selector or setting, a missing setting, or a value that it cannot take.
    """
    kind, _ = find_selector(name)
    free, settings = _settings_of(kind), settings or {}
    unknown = [repr(key) for key in settings if key not in free and not _takes_any(kind)]
    missing = [key for key, each in free.items() if each.default is each.empty and key not in settings]
    if unknown:
        raise UserError(f"selector {name!r} has no setting {', '.join(unknown)}; {_takes(kind)}")
    if missing:
        raise UserError(f"selector {name!r} needs the setting {', '.join(missing)}; {_takes(kind)}")
    for key, value in settings.items():
        if key in free and not _fits(value, hint := free[key].annotation):
            raise UserError(f"selector {name!r}: {key} is {value!r}, not {_type_name(hint)}; {_takes(kind)}")
    if settings and kind in SELECTORS.values():  # our constructors check nothing but the settings
        wanted = dict.fromkeys(set(inspect.signature(kind).parameters) & set(NEEDS))
        _made(name, kind, {**wanted, **settings})


def make_selector(name: str, tools: Tools, settings: Mapping[str, Any] | None = None) -> Picker:
    """The selector of this name with what it needs.

    Args:
        name: name in `SELECTORS`, one of those after ``distinct:``, or a dotted path.
        tools: functions by name, see `Tools`; only those that this selector needs are called.
        settings: further keyword arguments of its constructor.

    Raises:
        UserError: an unknown selector, a need that is not among the tools, settings that it cannot take, or a class
            that is not a selector.
    """
    check_settings(name, settings)
    kind, threshold = find_selector(name)
    if lacking := sorted(needs(name) - set(tools)):
        raise UserError(f"selector {name!r} needs {' and '.join(lacking)}, not available here")
    wanted = {each: tools[each]() for each in inspect.signature(kind).parameters if each in tools}
    made = _made(name, kind, wanted | dict(settings or {}))
    if not isinstance(made, (Selector, JointSelector, Maker)) or (threshold is not None and isinstance(made, Maker)):
        raise UserError(f"selector {name!r} does not choose among images; its class must have a method choose")
    if threshold is None or isinstance(made, Maker):
        return made
    origin = tools["teacher"]() if "teacher" in tools else ""
    distinct = Distinct(made, tools["features"](), threshold, origin)
    check_ranges(distinct, f"selector {name!r}: ")
    return distinct


def _made(name: str, kind: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    try:
        made = kind(**arguments)
        if is_dataclass(made) and kind in SELECTORS.values():
            check_ranges(made)
        return made
    except Exception as error:  # a user's class may raise anything
        if kind in SELECTORS.values() and not isinstance(error, (TypeError, ValueError)):
            raise
        raise UserError(f"selector {name!r}: {' '.join(str(error).split())}; {_takes(kind)}") from None


def _settings_of(kind: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters that a user may set, without those that the name sets already (``rded_stitched``)."""
    bound = kind.keywords if isinstance(kind, partial) else {}
    return {
        name: each
        for name, each in _parameters(kind).items()
        if name not in (*_TOOLS, *bound) and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }


def _parameters(kind: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Parameters with their annotations, also where these are written as text."""
    try:
        return inspect.signature(kind, eval_str=True).parameters
    except (NameError, SyntaxError, TypeError, AttributeError):  # a name that only a type checker knows
        return inspect.signature(kind).parameters


def _takes_any(kind: Callable[..., Any]) -> bool:
    return any(each.kind is each.VAR_KEYWORD for each in inspect.signature(kind).parameters.values())


def _takes(kind: Callable[..., Any]) -> str:
    return f"it takes {', '.join(_settings_of(kind)) or 'no settings'}"


def _fits(value: Any, hint: Any) -> bool:
    """Whether the value is of a parameter's plain type; other annotations, and none, allow everything."""
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is float:
        return type(value) in (int, float)
    return hint not in (None, NoneType, bool, int, str) or type(value) is (hint or NoneType)


def _type_name(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) else str(hint)
