"""What can be told of a command line before torch and others are imported, which takes seconds.

`options.json` beside this file holds the names of all options and what they take, as `tools/write_options.py` writes
it; completion of the shell reads it, too. Whatever is not refused here the parser and the verb check again.
"""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.runs import read_json, read_yaml, require_folder
from roadstill.runs.configs import check_values
from roadstill.runs.kinds import PRODUCTS, product_in

OPTIONS = Path(__file__).with_name("options.json")
_DOORS = ("--config", "--print_config", "--help", "--trust", "--processes")
_WORDS = {"N": "a whole number", "NUMBER": "a number"}
_NONE = ("null", "~")

# Folders that a verb reads, by the file in them that says what they are.
_SET, _LATENTS, _AGENT = "set.json", "latents.json", "agent.json"
_INPUTS: Mapping[str, Mapping[str, str]] = {
    "encode": {"images": _SET, "--align": _AGENT},
    "finetune": {"latents": _LATENTS},
    "generate": {"--start": _SET, "--fill": _SET, "--teacher": _AGENT},
    "refine": {"images": _SET, "real": _SET, "--dev": _SET},
    "distil": {"real": _SET, "--teacher": _AGENT, "--start": _SET},
    "experts": {"real": _SET},
    "train": {"images": _SET, "--dev": _SET},
    "evaluate": {"agent": _AGENT, "images": _SET, "--dev": _SET},
    "describe": {"--real": _SET, "--agent": _AGENT},
    "audit": {"--against": _SET, "--heldout": _SET, "--test": _SET, "--agent": _AGENT},
    "select": {"--teacher": _AGENT},
    "share": {"images": _SET},
    "update": {"images": _SET, "--with": _SET, "--dev": _SET, "--test": _SET, "--teacher": _AGENT},
}
_CHECKPOINT, _RECIPES = "config.json", Path(__file__).parents[1] / "recipes"
_READS_FILES = ("navsim", "csv", "cifar10", "folder")  # sources whose data is a path


@cache
def table() -> dict[str, dict[str, Any]]:
    """For each verb what it ``takes`` in order, its ``options``, and earlier names of some (``old``)."""
    found: dict[str, dict[str, Any]] = json.loads(OPTIONS.read_text(encoding="utf-8"))
    return found


def check(verb: str, arguments: Sequence[str]) -> None:
    """Refuses what is wrong already by its words: options, numbers and choices, folders, recipes.

    Raises:
        UserError: as the parser or the verb would say it.
    """
    if {"--help", "-h", "--print_config", "--list"} & {*arguments}:
        return
    known = table()[verb]
    leading = list(takewhile(lambda word: not word.startswith("-"), arguments))
    values = dict(zip(known["takes"], leading, strict=False))
    for name, value in values.items():
        _require_value(verb, name, value, known["takes"][name])
    for_the_parser = False
    for name, value in _options(arguments):
        _require_known(name, known)
        key = f"--{_plain(name)}"
        for_the_parser |= known["options"].get(key, "JSON") == "JSON" and key not in _DOORS[2:]
        if key == "--config" and value and not value.startswith("{") and not Path(value).exists():
            raise UserError(f"there is no file {value}; see roadstill {verb} --help")
        if key in known["options"]:
            values[key] = "true" if value is None else value
            _require_value(verb, key, value or "", known["options"][key])
    if for_the_parser:  # who got settings wrong and a path, too, learns of the settings first
        return
    _require_inputs(verb, values)
    if verb in ("run", "study"):
        _require_recipe(verb, values)


def no_option(given: str, known: Iterable[str]) -> str:
    """The line for an option that does not exist, with the one that was meant."""
    known, name = list(known), _plain(given)
    within = [option for option in known if option.endswith(f".{name}")]
    close = within or difflib.get_close_matches(f"--{name}", known, n=1)
    return f"there is no option {given}" + (f"; did you mean {close[0]}?" if close else "")


def _plain(option: str) -> str:
    return option.strip("-").replace("-", "_")


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Each option as it is spelt, and the word that stands behind it, if one does."""
    for place, word in enumerate(arguments):
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word.partition("=")
            following = arguments[place + 1 : place + 2]
            behind = following[0] if following and not following[0].startswith("--") else None
            yield name, value if equals else behind


def _require_known(option: str, known: Mapping[str, Any]) -> None:
    """Refuses an option that no verb's parser would take; one of a setting that may have further ones passes."""
    name = f"--{_plain(option)}"
    first, dot, _ = name.partition(".")
    if name in known["options"] or name in known["old"] or name in _DOORS or first[2:] in known["takes"]:
        return
    names = [*known["options"], *_DOORS]
    group = name.rpartition(".")[0]
    if not dot and not name.endswith("+"):
        raise UserError(_pointed(no_option(option, names), known))
    if first not in names or (
        any(each.startswith(f"{group}.") for each in names) and not name.endswith((".help", ".class_path", "+"))
    ):
        raise UserError(_pointed(no_option(option, names), known))


def _pointed(line: str, known: Mapping[str, Any]) -> str:
    return line if line.endswith("?") else f"{line}; see roadstill {known['verb']} --help"


def _require_value(verb: str, option: str, value: str, takes: str) -> None:
    """Refuses a word where a number is due, a choice that there is not, and a number out of range."""
    said = _WORDS.get(takes, "")
    if takes.startswith("{") and value.lower() not in _NONE:
        choices = takes.strip("{}").split(",")
        if value not in choices and "" not in choices:  # a comma may be a choice itself
            said = " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
            raise UserError(f"{option} is {value}; it must be {said}; see roadstill {verb} --help")
    elif said and re.fullmatch(r"[A-Za-z_]+", value) and value.lower() not in (*_NONE, "nan", "inf", "infinity"):
        raise UserError(f"{option} is {value}; it must be {said}; see roadstill {verb} --help")
    elif takes == "N" and "." not in option and re.fullmatch(r"-?\d{1,18}", value):
        check_values({option[2:]: int(value)}, "--")


def _require_inputs(verb: str, values: Mapping[str, str]) -> None:
    """Refuses folders that are not what the verb reads."""
    wanted = dict(_INPUTS.get(verb, {}))
    if verb == "pretrain":
        wanted["data"] = _SET if values.get("part") == "codec" else _LATENTS
    if verb == "select" and values.get("--from_index", "false") == "false":
        wanted["images"] = _SET
    for name, record in wanted.items():
        if (given := values.get(name)) and given.lower() not in _NONE:
            _require_product(Path(given), record)
    given = values.get("--checkpoint")
    if given and (found := product_in(Path(given), _CHECKPOINT)) and not (Path(given) / _CHECKPOINT).is_file():
        raise UserError(f"{given} holds {found}, not a checkpoint, which finetune or pretrain makes")


def _require_product(path: Path, record: str) -> None:
    noun, makers = PRODUCTS[record]
    if record != _AGENT:
        require_folder(path, f"{noun} (a folder with {record}, made by {makers})")
    if (path / record).is_file():
        return
    if found := product_in(path, record):
        raise UserError(f"{path} holds {found}, not {noun}, which {makers} makes")
    read_json(path / record)  # says so


def _require_recipe(verb: str, values: Mapping[str, str]) -> None:
    """Refuses a recipe that there is not, and data that is not there."""
    name, shipped = (
        values.get("recipe" if verb == "run" else "name"),
        sorted(each.stem for each in _RECIPES.glob("*.yaml")),
    )
    if name is None or Path(name).is_file():
        return
    begun = [each for each in shipped if each == name or (verb == "study" and each.startswith(f"{name}-"))]
    if not begun:
        what = (
            "there is no recipe {!r}; give a YAML file"
            if verb == "run"
            else "there is no study {!r}; give a recipe file"
        )
        raise UserError(f"{what.format(name)} or one of {', '.join(shipped)}")
    data = values.get("--data")
    if data and not Path(data).exists() and all(_source_of(each) in _READS_FILES for each in begun):
        raise UserError(f"data {data[:200]!r} does not exist; give its folder with --data")


def _source_of(recipe: str) -> str:
    """The source of a shipped recipe, or of the one that it is like."""
    fields = read_yaml(_RECIPES / f"{recipe}.yaml")
    if "source" in fields or "like" not in fields:
        return str(fields.get("source", "navsim"))
    return _source_of(str(fields["like"]))
