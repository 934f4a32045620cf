"""What a command line allows to be imported and fetched: what was typed on it, and with ``--trust`` all."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, get_type_hints

from roadstill.cli.spelling import hint_at, hints_class
from roadstill.errors import UserError, one_line
from roadstill.names import Trust, Untrusted, allowing, current_trust, trusting
from roadstill.runs import parse_yaml, read_yaml
from roadstill.weights import MODELS, require_all_fetched

FLAG = "--trust"
HELP = (
    "Imports, which runs their code, and fetches what recipes, agents, checkpoints and files of options name, and "
    "finds modules in the working folder; only for files from people whom you trust."
)
_CODE = ("method", "source", "hook", "network", "schedule", "criteria", "trackers")
"""Options whose values name code of one's own."""


_WRITTEN = ("out", "ledger")
"""Options whose values are files or folders to write."""


@contextmanager
def trusted(function: Callable[..., Any], arguments: Sequence[str]) -> Iterator[list[str]]:
    """Within this block the verb may import and fetch what its command line allows.

    Yields:
        The arguments without ``--trust``.

    Raises:
        UserError: the block wants more, or a file of options names a model that was not fetched, or a place outside the
            working folder to write to.
    """
    rest = [word for word in arguments if word != FLAG]
    if len(rest) < len(arguments):
        with trusting(), _working_folder():
            yield rest
        return
    files = files_of_options(function, rest)
    with allowing(Trust(current_trust().everything, typed_names(rest))):
        for path in files:
            _require_allowed(path)
        try:
            yield rest
        except Untrusted as error:  # readers of other files put their names in front, so this comes from the options
            raise UserError("".join(f"{path}: " for path in files) + str(error)) from None


@contextmanager
def _working_folder() -> Iterator[None]:
    """Modules are also found in the working folder, after all others: no file there may stand in for a library."""
    folder = os.getcwd()
    before = list(sys.path)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        yield
    finally:
        sys.path[:] = before


def typed_names(arguments: Sequence[str]) -> frozenset[str]:
    """Names of code and models that stand on the command line itself, not in a file that it names."""
    found: set[str] = set()
    for name, words in _options(arguments):
        for word in words:
            found.update(_names(name.rpartition(".")[2], _value(word)))
    return frozenset(found)


def files_of_options(function: Callable[..., Any], arguments: Sequence[str]) -> list[Path]:
    """The files of options, or of one configuration, that a command line names."""
    hints = get_type_hints(function)
    named = [
        (name, Path(word))
        for name, words in _options(arguments)
        for word in words[:1]
        if name == "config" or hints_class(hint_at(name, hints))
    ]
    return [path for _, path in named if path.is_file()]


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each option's name and the words that follow it."""
    for place, word in enumerate(arguments):
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            following = list(takewhile(lambda each: not each.startswith("--"), arguments[place + 1 :]))
            yield name.replace("-", "_"), [value] if equals else following


def _value(word: str) -> Any:
    """What a word holds: JSON, or texts that commas part."""
    if word.startswith(("{", "[")):
        try:
            return parse_yaml(word, "option")
        except UserError:
            return ""  # the parser says what is wrong
    return word.split(",")


def _names(key: str, value: Any) -> Iterator[str]:
    """Names of code or models in the value of an option, or of a setting within it."""
    if isinstance(value, Mapping):
        if key in _CODE:
            yield from map(str, value)
        for inner, part in value.items():
            yield from _names(str(inner), part)
    elif isinstance(value, list):
        for part in value:
            yield from _names(key, part)
    elif isinstance(value, str) and (key in _CODE or (key in MODELS and "/" in value)):
        yield from (value, value.rpartition(":")[2])  # distinct:my_selectors.Hardest, transformers:owner/name


def _require_allowed(path: Path) -> None:
    """Refuses a file of options that fetches models, or that says to write outside the working folder."""
    try:
        fields = read_yaml(path)
    except UserError:
        return  # the parser says what is wrong
    require_all_fetched(fields, str(path))
    for name in _WRITTEN:
        told = fields.get(name) if isinstance(fields, dict) else None
        if told is not None and not Path(str(told)).resolve().is_relative_to(Path.cwd().resolve()):
            raise Untrusted(
                f"{path}: {name} {one_line(str(told)[:200])!r} lies outside the working folder; give it on the command "
                f"line instead, or add {FLAG}, but only if you trust where the file comes from"
            )
