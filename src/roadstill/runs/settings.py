"""Settings of a run as records tell them: old fields, groups, and plain values."""

from collections.abc import Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.moved import recorded


def later(default: Any, recorded: Any = None) -> Any:
    """A field of a dataclass that records were written without.

    While it has its default, `plain` leaves it out, or writes ``recorded`` in its place, so that the digests of
    existing records do not change.
    """
    return field(default=default, metadata={"recorded": recorded})


def group(default: Any, **old: str) -> Any:
    """A field for settings that were fields of the whole before.

    Records keep them flat, under their ``old`` names where these were others, and `regrouped` reads them so: the
    digests of existing records do not change, and old files still read.
    """
    return field(default=default, metadata={"flat": old, "kind": type(default)})


def regrouped(kind: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a dataclass as a file holds them, those that stand flat put into their `group`.

    A group that is null is left out.

    Raises:
        UserError: a setting stands both flat and in its group, or a group is no settings by name.
    """
    out = dict(settings)
    for each in fields(kind):
        if "flat" not in each.metadata:
            continue
        old, inner_fields = each.metadata["flat"], {inner.name: inner for inner in fields(each.metadata["kind"])}
        names = {old.get(name, name): name for name in inner_fields}
        if each.name in out and out[each.name] is None:
            del out[each.name]
        flat = [name for name in names if name in out and not (name == each.name and isinstance(out[name], Mapping))]
        found = {names[name]: out.pop(name) for name in flat}
        within = out.get(each.name, {})
        if not isinstance(within, Mapping):
            raise UserError(f"{each.name} is {within!r}; it holds settings by name: {', '.join(inner_fields)}")
        within = dict(within)
        if within:
            out[each.name] = within
        if twice := [f"{each.name}.{name}" for name in found if name in within]:
            raise UserError(f"{twice[0]} is given twice, once without its group; leave one out")
        if found:
            out[each.name] = found | within
    return out


def check_groups(config: Any) -> None:
    """Refuses a `group` of another type, which would fail far from here.

    Raises:
        UserError: names the field and the class that it takes.
    """
    for each in fields(config):
        kind = each.metadata.get("kind")
        if kind is not None and not isinstance(value := getattr(config, each.name), kind):
            raise UserError(f"{each.name} is {value!r}; give a {kind.__name__}, as {each.name}={kind.__name__}(...)")


def grouped_name(kind: Any, name: str, *, is_group: bool = False) -> str:
    """The name that a setting of a dataclass has now: ``ema_decay`` -> ``ema.decay``; any other name as it is.

    Args:
        kind: dataclass that the setting is, or was, a field of.
        name: name as it was given.
        is_group: whether a whole group is given under the name, which may also be the old name of one of its settings.
    """
    for each in fields(kind):
        for inner in fields(each.metadata["kind"]) if "flat" in each.metadata else ():
            if name == each.metadata["flat"].get(inner.name, inner.name) and not (is_group and name == each.name):
                return f"{each.name}.{inner.name}"
    return name


def plain(value: Any, *, grouped: bool = False) -> Any:
    """Dataclasses, paths and tuples as what JSON can hold; a dataclass keeps its type's name under ``type``.

    Args:
        value: value to tell.
        grouped: whether it is told as users write it, every field there and each `group` by itself, instead of as
            records have it.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__} | dict(_told(value, grouped))
    if isinstance(value, Mapping):
        return {str(key): plain(part, grouped=grouped) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part, grouped=grouped) for part in value]
    if isinstance(value, Path):
        return value.as_posix()
    if callable(value):
        return recorded(f"{value.__module__}.{value.__qualname__}")
    return value


def _told(value: Any, grouped: bool) -> Iterator[tuple[str, Any]]:
    """Names and plain values of a dataclass's fields, without those that its records do not tell."""
    for each in fields(value):
        part = getattr(value, each.name)
        if "flat" in each.metadata and not grouped:
            for name, inner in _told(part, grouped):
                yield each.metadata["flat"].get(name, name), inner
            continue
        if "recorded" in each.metadata and part == each.default and not grouped:
            if each.metadata["recorded"] is None:
                continue
            part = each.metadata["recorded"]
        yield each.name, plain(part, grouped=grouped)
