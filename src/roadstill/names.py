"""Imports what a dotted path names, if whoever started the work allows it.

Importing a module runs it. A path may come from a file that somebody else wrote (a recipe, a file of options, an
agent's folder), so nothing but parts of this package is imported unless the user typed the path on this command line,
gave ``--trust``, or works within `trusting`. The readers of logs, pictures and sets cannot import this module at all (a
contract of import-linter).
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias, get_args, get_type_hints

from roadstill.errors import UserError
from roadstill.moved import present
from roadstill.parallel import carry

Settings: TypeAlias = dict
"""Keyword arguments that a user gives by name. A bare dict, since the parser would read the texts of a
``dict[str, Any]`` once more as YAML: "001" became 1, and "off" False."""

_CHOSEN_BY_CLASS_PATH = ("roadstill.adapters", "roadstill.networks.kinds")


@dataclass(frozen=True)
class Trust:
    """What may be imported, run or fetched, besides the package's own parts.

    Attributes:
        everything: whether everything that is named may be.
        typed: names that the user typed on this command line.
    """

    everything: bool = False
    typed: frozenset[str] = frozenset()


class Untrusted(UserError):
    """A name that may come from somebody else's file; nothing was imported, run or fetched for it."""


_trust: ContextVar[Trust] = ContextVar("trust", default=Trust())  # noqa: B039  frozen


def current_trust() -> Trust:
    """What is allowed here and now."""
    return _trust.get()


def _inherit(trust: Trust) -> None:
    _trust.set(trust)


carry(current_trust, _inherit)


@contextmanager
def trusting() -> Iterator[None]:
    """Within this block, what recipes, agents and checkpoints name is imported, which runs it, or fetched.

    ``--trust`` does the same for a command. Objects that are passed in code need neither.
    """
    with allowing(Trust(everything=True)):
        yield


@contextmanager
def allowing(trust: Trust) -> Iterator[None]:
    """Within this block, no more than this is allowed, and no less."""
    before = _trust.set(trust)
    try:
        yield
    finally:
        _trust.reset(before)


def trusts(name: str) -> bool:
    """Whether the user typed the name, or allows every name."""
    return current_trust().everything or name in current_trust().typed


def require_trust(name: str, what: str, does: str = "importing it runs its code") -> None:
    """Refuses a name that somebody else may have written into a file.

    Args:
        name: name as it stands there.
        what: what the name is for, as "hook".
        does: what following the name does.

    Raises:
        Untrusted: the user neither typed the name nor allows every name.
    """
    if not trusts(name):
        raise Untrusted(
            f"{what} {name!r} is not one of roadstill's own; {does}, so add --trust (in Python: with "
            "roadstill.trusting()), but only if you trust where it comes from"
        )


def dotted(path: str, what: str, shipped: Collection[str] = ()) -> Any:
    """The object that a dotted path such as ``my_module.Spread`` names.

    Args:
        path: dotted path.
        what: what the object is for, as "hook".
        shipped: dotted paths of the package's own objects for that, each by the module that defines it; they need no
            trust, whatever path leads to them.

    Raises:
        Untrusted: neither one of those nor trusted; if it lies outside the package, its module was not imported.
        ValueError: no such module or name.
    """
    module, _, name = present(path).rpartition(".")
    ours = module.partition(".")[0] == "roadstill"
    if module and not ours:
        require_trust(path, what)
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # a module of the user's may raise anything
        said = "" if isinstance(error, (ImportError, AttributeError, ValueError)) else f"{type(error).__name__}: "
        beside = Path(f"{module.partition('.')[0]}.py")
        hint = f"; {beside} in the working folder is imported with --trust only" if beside.is_file() else ""
        raise ValueError(
            f"no {path!r}: {said}{error}{hint if isinstance(error, ModuleNotFoundError) else ''}"
        ) from None
    if ours and f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}" not in shipped:
        require_trust(path, what)
    return found


def path_of(kind: Callable[..., Any]) -> str:
    """The dotted path of a class or function, by the module that defines it."""
    return f"{kind.__module__}.{kind.__qualname__}"


@contextmanager
def restricted_parser(*hints: Any) -> Iterator[None]:
    """Within this block jsonargparse imports, for the class paths in what it reads, the classes of some settings only.

    By itself it imports whatever a ``class_path`` names before it looks whether that fits. What it may import is a
    setting of the whole process, and other code of the process may use it, too.

    Args:
        hints: types of the settings; the dataclasses within count, too.
    """
    from jsonargparse import _common, set_parsing_settings

    paths = set(_CHOSEN_BY_CLASS_PATH)
    for kind in {kind for hint in hints for kind in dataclasses_within(hint)}:
        rooms = kind.__module__.split(".")
        paths |= {".".join([*rooms[:count], kind.__name__]) for count in range(1, len(rooms) + 1)}
    before = dict(_common.parsing_settings)
    set_parsing_settings(
        import_path_denylist=["*"], import_path_allowlist=sorted(paths), instantiate_subclass_spec_in_any=False
    )
    try:
        yield
    finally:
        _common.parsing_settings.update(before)


def refused_class(message: str, fields: Mapping[str, Any]) -> str | None:
    """What the parser's message says about a class path that `restricted_parser` forbids; None for other messages.

    Args:
        message: text of the parser's error.
        fields: what it read, to name the field.
    """
    if not (found := re.search(r"Importing '(\S+)' is not allowed", message)):
        return None
    field = next((f"{key}: " for key, part in fields.items() if found[1] in str(part)), "")
    return (
        f"{field}class path {found[1]!r} is not one that settings take; name a class of "
        f"{' or '.join(_CHOSEN_BY_CLASS_PATH)}, such as roadstill.adapters.LoRA"
    )


def dataclasses_within(hint: Any) -> Iterator[type]:
    """The dataclasses that a type consists of, those of their fields included."""
    for part in get_args(hint):
        yield from dataclasses_within(part)
    if isinstance(hint, type) and is_dataclass(hint):
        yield hint
        hints = get_type_hints(hint)
        for each in fields(hint):
            yield from dataclasses_within(hints[each.name])
