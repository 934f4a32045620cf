"""Imports what a dotted path names.

Importing a module runs it, so a path may come only from the user's command line, recipe or code, never from a file
that someone else wrote; the readers of such files cannot import this module (a contract of import-linter).
"""

from importlib import import_module
from typing import Any, TypeAlias

from roadstill.moved import present

Settings: TypeAlias = dict
"""Keyword arguments that a user gives by name. A bare dict, since the parser would read the texts of a
``dict[str, Any]`` once more as YAML: "001" became 1, and "off" False."""


def dotted(path: str) -> Any:
    """The object that a dotted path such as ``my_module.Spread`` names.

    Raises:
        ValueError: no such module or name.
    """
    module, _, name = present(path).rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"no {path!r}: {error}") from None
