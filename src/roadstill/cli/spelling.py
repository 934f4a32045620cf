"""Options as people type them: hyphens or underscores, flags without a value, lists as words or with commas."""

import difflib
import json
import keyword
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from inspect import signature
from itertools import takewhile
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from roadstill.errors import UserError
from roadstill.runs import grouped_name, parse_yaml, read_yaml, regrouped, require_mappings

_BOTH_SPELLINGS = ("config", "print_config")  # the parser's own options


def completed(function: Callable[..., Any], arguments: Sequence[str]) -> list[str]:
    """The arguments as the parser takes them.

    ``--flag`` stands for ``--flag true``; ``--names a b`` and ``--names a,b`` for ``--names '["a", "b"]'``; hyphens for
    underscores. All this holds for options within a configuration, too (``--sampling.guidance-interval 0,0.5``). Words
    before the first option are one list if that is what the function takes first. A configuration that has named forms
    takes their names: ``--agent dc``. Settings that have moved into a group are also found under their old names. The
    first option may be given as a word, if it stands where an argument would: ``doctor RUN``. Files of options come
    first, so that what is typed wins, wherever they stand.
    """
    hints = get_type_hints(function)
    out: list[str] = []
    files: list[str] = []
    rest = list(arguments)
    first = next(iter(signature(function).parameters.values()))
    if first.default is not first.empty and first.kind is first.POSITIONAL_OR_KEYWORD and rest and rest[0][:1] != "-":
        rest.insert(0, f"--{first.name}")
    if item_of(next(iter(hints.values()))) is not None:
        words = list(takewhile(lambda word: not word.startswith("-"), rest))
        rest = rest[len(words) :]
        out.append(json.dumps(words))
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        name = f"{name}_" if keyword.iskeyword(name) else name  # --with: Python has no argument of that name
        name = _in_group(name.replace("-", "_"), value if equals else next(iter(rest), ""), hints)
        if not word.startswith("--") or name.partition(".")[0] not in (*hints, *_BOTH_SPELLINGS):
            out.append(word)
            continue
        if name == "config":
            given = value if equals else rest.pop(0) if rest else ""
            if not given or given.startswith("--"):
                raise UserError("--config needs a file of options behind it")
            files += ["--config", _value([given], hints)]
            continue
        hint = hint_at(name, hints)
        if equals:
            out.append(f"--{name}={_value([value], hint)}")
            continue
        out.append(f"--{name}")
        if hint is bool:
            said = rest and rest[0].lower() in ("true", "false", "yes", "no")
            out.append(rest.pop(0) if said else "true")
        elif item_of(hint) is not None:
            values = list(takewhile(lambda value: not value.startswith("--"), rest))
            rest = rest[len(values) :]
            out.append(_value(values, hint))
        elif rest and not rest[0].startswith("--"):
            out.append(_value([rest.pop(0)], hint))
    return [*files, *out]


def hint_at(name: str, hints: Mapping[str, Any]) -> Any:
    """The type of an option, also of one within dataclasses (``sampling.steps``); ``None`` for an unknown one."""
    first, _, rest = name.partition(".")
    hint = hints.get(first)
    if not rest:
        return hint
    inner = (get_type_hints(each) for each in (hint, *get_args(hint)) if is_dataclass(each))
    return next((found for each in inner if (found := hint_at(rest, each)) is not None), None)


def item_of(hint: Any) -> Any:
    """What a list holds, also one that may be left out; ``None`` for anything but a list."""
    lists = [each for each in (hint, *get_args(hint)) if get_origin(each) in (list, tuple)]
    return get_args(lists[0])[0] if lists else None


def _in_group(name: str, value: str, hints: Mapping[str, Any]) -> str:
    """An option within a configuration by the name that it has now: ``tuning.ema_decay`` -> ``tuning.ema.decay``."""
    first, dot, setting = name.partition(".")
    kind = hints.get(first)
    if not dot or not is_dataclass(kind):
        return name
    return f"{first}.{grouped_name(kind, setting, is_group=value.startswith('{'))}"


def _grouped_text(given: str, hint: Any) -> str:
    """A file of options, or a configuration as a file or as JSON: as JSON, all settings in their groups.

    The parser opens no file by itself: it would take ``agent.yaml`` for the name of a class first, and knows no bounds.

    Args:
        given: path, or JSON.
        hint: dataclass of the configuration; of a file of options the types of all of them.

    Raises:
        UserError: a file that cannot be read, or holds no settings.
    """
    path = None if given.startswith("{") else Path(given)
    if path is not None and not path.is_file():
        if path.exists():
            raise UserError(f"{path} is no file that holds options; see --help for those that there are")
        return given  # the parser says what is wrong
    try:
        found = parse_yaml(given, "option") if path is None else read_yaml(path)
    except UserError:
        if path is None:
            return given
        raise
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no settings by name; see --help for those that there are")
    if not isinstance(hint, Mapping):
        require_mappings(found, hint, str(path or "option"))
        return json.dumps(regrouped(hint, found))
    for name, part in found.items():
        if name.partition(".")[0] not in (*hint, *_BOTH_SPELLINGS):
            close = difflib.get_close_matches(name, hint, n=1)
            raise UserError(
                f"{path or 'option'}: there is no option --{name}" + (f"; did you mean --{close[0]}?" if close else "")
            )
        require_mappings(part, hint.get(name), f"{path or 'option'}, {name}")
    folder = path.parent if path else Path()
    return json.dumps({name: _part(part, hints_class(hint.get(name)), folder) for name, part in found.items()})


def _part(part: Any, kind: type | None, folder: Path) -> Any:
    """One option of a file: a configuration in its groups, read from a file of its own if that is what is named."""
    if kind is None:
        return part
    if isinstance(part, str) and (folder / part).is_file():
        part = read_yaml(folder / part)
    return regrouped(kind, part) if isinstance(part, dict) else part


def loaded(text: str) -> Any:
    """The value of an option's text by YAML 1.2, within bounds; what only looks like a mapping stays text.

    Raises:
        UserError: as `parse_yaml`.
    """
    value = parse_yaml(text, "option")
    is_text = isinstance(value, dict) and all(part is None for part in value.values()) and "null" not in text
    return text if is_text and value else value


def hints_class(hint: Any) -> type | None:
    """The dataclass that an option is of, if it is one."""
    return hint if isinstance(hint, type) and is_dataclass(hint) else None


def _value(words: Sequence[str], hint: Any) -> str:
    """What was typed for an option as one word: a list as JSON, a configuration's name as what it stands for."""
    if isinstance(hint, Mapping) or hints_class(hint):
        words = [_grouped_text(words[0], hint)]
    if (item := item_of(hint)) is not None:
        return _listed(words, item)
    named: Mapping[str, Any] = getattr(hint, "NAMED", {})
    return json.dumps(named[words[0]]) if words[0] in named else words[0]


def _listed(words: Sequence[str], item: Any) -> str:
    """A list as JSON; numbers that are none stay text, so that the parser says what is wrong."""
    if len(words) == 1 and (words[0].startswith("[") or words[0] == "null"):
        return words[0]
    if item is not Path and not any(word.startswith("{") for word in words):  # a path may have commas
        words = [part.strip() for word in words for part in word.split(",")]
    if item in (int, float):
        try:
            return json.dumps([item(word) for word in words])
        except ValueError:
            pass
    return json.dumps(words)
