"""Every verb's options by name, and what they take, from the types of its function."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from inspect import Parameter, signature
from typing import Any, get_args, get_type_hints

from roadstill.cli import VERBS, verb_function
from roadstill.cli.parser import metavar_of


def options_of_all() -> dict[str, dict[str, Any]]:
    """For each verb what it takes in order, its options, and earlier names of settings that are in a group now."""
    return {verb: options_of(verb) for verb in VERBS}


def options_of(verb: str) -> dict[str, Any]:
    """What a verb ``takes`` in order, its ``options``, each with what it takes, and ``old`` names."""
    function = verb_function(verb)
    hints = get_type_hints(function)
    parameters = signature(function).parameters
    takes = [name for name, each in parameters.items() if each.default is Parameter.empty]
    options = {name: hints[name] for name in parameters if name not in takes}
    return {
        "verb": verb,
        "takes": {name: metavar_of(hints[name]) for name in takes},
        # --with is with_ in Python, which has no argument of that name
        "options": {f"--{name.rstrip('_')}": takes for name, takes in _flat(options)},
        "old": [f"--{name}" for name in _old(options)],
    }


def _flat(hints: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Options and those within them, as ``sampling.steps``, and what each takes."""
    for name, hint in hints.items():
        yield f"{before}{name}", metavar_of(hint)
        for kind in _kinds(hint):
            yield from _flat({each.name: get_type_hints(kind)[each.name] for each in fields(kind)}, f"{before}{name}.")


def _old(hints: Mapping[str, Any]) -> Iterator[str]:
    """Names by which settings were known before they moved into a group, see `roadstill.runs.group`."""
    for name, hint in hints.items():
        for kind in _kinds(hint):
            for each in fields(kind):
                old = each.metadata.get("flat", {})
                inner = fields(each.metadata["kind"]) if "flat" in each.metadata else ()
                yield from (f"{name}.{old.get(one.name, one.name)}" for one in inner)


def _kinds(hint: Any) -> list[type]:
    return [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and is_dataclass(kind)]
