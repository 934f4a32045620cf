"""A verb's parser: help in plain words, and one line for every mistake."""

import ast
import re
from argparse import SUPPRESS, Action
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import wraps
from inspect import getdoc, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from jsonargparse import ArgumentParser, DefaultHelpFormatter, auto_cli, set_loader, set_parsing_settings

from roadstill.cli import displays, launch, trust
from roadstill.cli.ahead import no_option
from roadstill.cli.spelling import hint_at, loaded
from roadstill.errors import UserError
from roadstill.names import refused_class, restricted_parser
from roadstill.runs.configs import check_values

_NOUNS = {int: "whole number", float: "number", str: "text", Path: "path", bool: "true or false", dict: "JSON object"}
_METAVARS = {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH", bool: "[{true,false}]"}

_PARSERS_OWN: dict[Any, str] = {
    "CONFIG": "YAML or JSON file with values of these options.",
    "\b[=flags]": "Print all options with their values as YAML, and exit.",
}


def call(function: Callable[..., Any], arguments: Sequence[str], *, prog: str, given: dict[str, Any]) -> Any:
    """Calls a function with arguments as `spelling.completed` gives them.

    Args:
        function: function of a verb.
        arguments: words of the command line.
        prog: what stands before them there.
        given: takes the values that the function is called with, by name, also if it fails.

    Raises:
        UserError: an unknown option, a missing argument or a wrong value, in one line.
    """

    @wraps(function)
    def within_ranges(*positional: Any, **keywords: Any) -> Any:
        given.update(signature(function).bind(*positional, **keywords).arguments)
        check_values(given, "--")
        return function(*positional, **keywords)

    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    set_loader("yaml", loaded, exceptions=(UserError,))
    try:
        with restricted_parser(*get_type_hints(function).values()):
            return auto_cli(
                within_ranges,
                args=list(arguments),
                config_help=_PARSERS_OWN["CONFIG"],
                parser_class=OneLineParser,
                formatter_class=PlainFormatter,
                prog=prog,
                description=(getdoc(function) or "").partition("\nArgs:")[0].replace("`", ""),
            )
    except ImportError as error:
        if (said := refused_class(str(error), {})) is None:
            raise
        raise UserError(said) from None


class OneLineParser(ArgumentParser):
    """Says a user's mistake in one line instead of usage, tip and error."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, allow_abbrev=False, **keywords)

    def format_help(self, *arguments: Any) -> str:
        """The help, with the words that the door takes off; the parser must not know them, or files could hold them."""
        if self.exit_on_error:  # not of a class within the options
            for flag, said in {trust.FLAG: trust.HELP, **displays.HELP}.items():
                self.add_argument(flag, action=_Known, help=said)
            if self.prog.rpartition(" ")[2] in launch.VERBS:
                self.add_argument(launch.FLAG, action=_Known, metavar="N", nargs=1, help=launch.HELP)
        return super().format_help(*arguments)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises a `UserError` of one line."""
        if not self.exit_on_error:  # of a class within the options; whoever asked goes on from there
            super().error(message, ex)
        line = self._plainly(" ".join(message.split()))
        raise UserError(line if line.endswith("?") else f"{line}; see {self.prog} --help")

    def _plainly(self, line: str) -> str:
        """The parser's message in words that name no type of Python; one of another form as it is."""
        if found := re.match(r"unrecognized arguments: (.*)", line):
            words = found[1].split()
            option = next((word for word in words if word.startswith("-")), None)
            return self._no_option(option.partition("=")[0]) if option else f"{words[0]!r} is one argument too many"
        if found := re.match(r"(?:Group '(.+?)' does not accept option|Option) '(.+?)'", line):
            return self._no_option("--" + ".".join(filter(None, found.groups())))
        if found := re.match(r"Parser key .* File does not exist: '(.+?)'", line):
            return f"there is no file {found[1]}"
        if keys := list(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', line))):
            return self._wrong_value(keys, line)
        return refused_class(line, {}) or line

    def _no_option(self, given: str, also: Iterable[str] = ()) -> str:
        known = [
            text for action in self._actions for text in action.option_strings if not text.endswith((".help", "+"))
        ]
        return no_option(given, [*known, *also])

    def _wrong_value(self, keys: Sequence[str], line: str) -> str:
        """The line for a wrong value; ``keys`` are the option and, for a value within a class, where there."""
        action = next((action for action in self._actions if action.dest == keys[0]), None)
        name = (("--" if action is None or action.option_strings else "") + ".".join(keys)).rstrip("_")
        found = re.search(r"(?:Unable to load config|Importing) '(.+?)'", line)
        if found and getattr(action, "basetype", None) is not None:
            names = getattr(getattr(action, "basetype", None), "NAMED", {})
            return f"{name} is {found[1]}; it must be {_either([*names, 'a YAML or JSON file'])}"
        if said := refused_class(line, {}):
            return f"{name}: {said}"
        hint = None if action is None else hint_of(action)
        if hint in _NOUNS and (found := re.search(r"NestedArg\(key='(.+?)'", line)):
            return self._no_option(f"{name}.{found[1]}", [name])
        if hint is not None and len(keys) == 1 and (found := re.search(r"Option '([^']+)' is not accepted", line)):
            fields = {field for each in _variants(hint) if is_dataclass(each) for field in get_type_hints(each)}
            return self._no_option(f"{name}.{found[1]}", [f"{name}.{field}" for field in fields])
        values = re.split(r"(?:(?:Got|Given) value|import path string): ", line)[1:]
        if len(keys) > 1:
            values, hint = values[:1], hint_at(f"_.{keys[1]}", {"_": hint})
        if hint is None or not values:
            return line
        return f"{name} is {_typed(values[-1].split(' - ')[0])}; it must be {words_of(hint)}"


class _Known(Action):
    """Stands in the help only."""

    def __init__(self, option_strings: Sequence[str], dest: str, nargs: int = 0, **shown: Any) -> None:
        super().__init__(option_strings, SUPPRESS, nargs=nargs, default=SUPPRESS, **shown)

    def __call__(self, *_: Any) -> None:
        raise AssertionError


class PlainFormatter(DefaultHelpFormatter):
    """Help without Python's names of types: ``--codec PATH``, ``--per_class N``, ``--which {ema,trained}``."""

    def add_usage(self, usage: str | None, actions: Iterable[Action], *rest: Any, **keywords: Any) -> None:
        """The usage line: what must be given, and that there are options; they stand below."""
        arguments = [self._format_args(action, action.dest) for action in actions if not action.option_strings]
        super().add_usage(usage or " ".join(["%(prog)s", *arguments, "[options]"]), [], *rest, **keywords)

    def _metavar_formatter(self, action: Action, default_metavar: str) -> Callable[[int], tuple[str, ...]]:
        hint = hint_of(action)
        if hint is None or not (action.option_strings or get_origin(hint)):
            return super()._metavar_formatter(action, default_metavar)
        return lambda size: (metavar_of(hint),) * size

    def _format_action_invocation(self, action: Action) -> str:
        shown = re.sub(r", --[\w.]+\+ .*", "", super()._format_action_invocation(action))  # --bounds+ adds to a list
        return re.sub(r"^(--\w+)_(?=\s|$)", r"\1", shown)  # --with, see spelling.completed

    def _expand_help(self, action: Action) -> str:
        hint = hint_of(action)
        if hint is None or not action.help:
            return _PARSERS_OWN.get(action.metavar, super()._expand_help(action))
        said = [words_of(hint)] if metavar_of(hint).startswith("JSON") else []
        if default := _shown(action.default):
            said.append(f"default: {default}")
        return action.help.replace("`", "") + (f" ({'; '.join(said)})" if said else "")


def hint_of(action: Action) -> Any:
    """The type of an option; ``None`` for the parser's own, such as ``--help``."""
    return None if action.default is SUPPRESS else getattr(action, "_typehint", action.type)


def words_of(hint: Any) -> str:
    """What a value must be, in words: ``a list of whole numbers``."""
    hints = _variants(hint)
    if len(hints) != 1:
        return _either([words_of(each) for each in hints])
    (hint,) = hints
    arguments, origin = get_args(hint), get_origin(hint)
    if origin is Literal:
        return _either([str(each) for each in arguments])
    if origin in (list, tuple):
        noun = _NOUNS.get(arguments[0], getattr(arguments[0], "__name__", "value"))
        plural = "texts" if noun == "text" else f"{noun}s"
        fixed = origin is tuple and Ellipsis not in arguments
        return f"{len(arguments)} {plural}" if fixed else f"a list of {plural}"
    if origin is not None and issubclass(origin, Mapping):
        return "a JSON object"
    noun = _NOUNS.get(hint, "")
    return noun if noun in ("", "text", "true or false") and noun else f"a {noun}" if noun else f"a {hint.__name__}"


def metavar_of(hint: Any) -> str:
    """What stands for a value in help: ``N``, ``PATH``, ``{a,b}``, ``NUMBER NUMBER``, ``TEXT ...``."""
    hints = _variants(hint)
    hint, arguments, origin = hints[0], get_args(hints[0]), get_origin(hints[0])
    if len(hints) == 1 and origin is Literal:
        return f"{{{','.join(str(each) for each in arguments)}}}"
    if len(hints) == 1 and origin in (list, tuple) and arguments[0] in _METAVARS:
        item = _METAVARS[arguments[0]]
        return " ".join([item] * len(arguments)) if origin is tuple and Ellipsis not in arguments else f"{item} ..."
    return _METAVARS.get(hint, "JSON") if len(hints) == 1 else "JSON"


def _variants(hint: Any) -> list[Any]:
    """The types that a value may have, without ``None``, which is how an option is left out."""
    if get_origin(hint) in (Union, UnionType):
        return [each for each in get_args(hint) if each is not NoneType]
    return [hint]


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _typed(value: str) -> str:
    """A value in Python's notation as it was typed: ``['1', 'x']`` -> ``1 x``."""
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value.strip("'\"")
    return " ".join(map(str, found)) if isinstance(found, (list, tuple)) else str(found)


def _shown(default: Any) -> str:
    """A default as it would be typed; nothing for one that is left out or empty."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, (list, tuple)):
        return " ".join(_shown(each) for each in default)
    if isinstance(default, (str, int, float, Path)):
        return str(default)
    return "" if default is None or isinstance(default, str) or not default else type(default).__name__
