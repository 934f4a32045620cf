"""YAML of recipes and options, which strangers write too: within bounds, and by the rules of YAML 1.2.

PyYAML reads YAML 1.1, where ``no`` is false, ``010`` is 8 and ``1e-3`` is a text; 1.2 (core schema, section 10.3) is
what people expect.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from roadstill.errors import UserError, one_line
from roadstill.runs.records import DEEPEST, read_text

MOST_BYTES = 2**20
MOST_VALUES = 20_000
"""Values with every alias written out; the largest recipe of the package has some 300."""
_MOST_DIGITS = 400  # of a number; float's greatest has 309

_CORE = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
)


def loader_over(base: Any, *, numbers: bool = True) -> Any:
    """A loader of plain values by the core schema, over PyYAML's ``SafeLoader`` or the same in C.

    Args:
        base: loader.
        numbers: whether numbers are numbers; else they are the texts that stand there.
    """
    loader: Any = type("CoreLoader", (base,), {"yaml_implicit_resolvers": {}})
    for tag, pattern, first in _CORE:
        if tag in ("int", "float") and not numbers:
            continue
        firsts = [*first, ""] if tag == "null" else list(first)
        loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), firsts)
    loader.add_constructor("tag:yaml.org,2002:int", _number)
    loader.add_constructor("tag:yaml.org,2002:float", _number)
    return loader


def _number(loader: Any, node: Any) -> int | float:
    text = loader.construct_scalar(node)
    if len(text) > _MOST_DIGITS:
        raise yaml.constructor.ConstructorError(None, None, f"a number of {len(text):,} digits", node.start_mark)
    if text.startswith(("0o", "0x")):
        return int(text[2:], {"o": 8, "x": 16}[text[1]])
    return int(text) if re.fullmatch(r"[-+]?[0-9]+", text) else float(re.sub(r"\.(?=[a-zA-Z])", "", text))


_BASE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Loader, _TextLoader = loader_over(_BASE), loader_over(_BASE, numbers=False)


def read_yaml(path: Path, *, most_bytes: int = MOST_BYTES, most_values: int = MOST_VALUES, numbers: bool = True) -> Any:
    """Reads a YAML file within bounds.

    Args:
        path: file.
        most_bytes: largest length of the file.
        most_values: largest number of values once aliases are written out.
        numbers: whether numbers are numbers; else they are the texts that stand there, for names such as ``12e5``.

    Raises:
        UserError: a missing, broken or too long file, more than 64 lists in one another, too many values once aliases
            are written out, an alias of what it lies in, a key that stands twice, a tag; the line names file and line.
    """
    return parse_yaml(read_text(path, most_bytes), str(path), most_values=most_values, numbers=numbers)


def parse_yaml(text: str, where: str, *, most_values: int = MOST_VALUES, numbers: bool = True) -> Any:
    """The value of a YAML text; bounds and errors as `read_yaml`."""
    try:
        _check(text, where, most_values)
        return yaml.load(text, Loader=_Loader if numbers else _TextLoader)
    except UserError:
        raise
    except (
        yaml.YAMLError,
        ValueError,
        LookupError,
        TypeError,
        RecursionError,
    ) as error:  # also a number of too many digits
        raise UserError(f"{where} cannot be read as YAML: {one_line(' '.join(str(error).split())[:300])}") from None


def _check(text: str, name: str, most_values: int) -> None:
    """Walks the events of a text before a value is made of it."""
    sizes: dict[str, int] = {}  # values in what an anchor names, once it is complete
    # One entry a collection that is open: its anchor, values so far, keys of a mapping, whether a key comes next.
    open_: list[list[Any]] = [[None, 0, None, False]]
    for event in yaml.parse(text, Loader=_Loader):
        where = f"{name}, line {event.start_mark.line + 1}" if event.start_mark else name
        size = 0
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise UserError(f"{where}: *{event.anchor} names what it lies in, or nothing; write it out")
            size = sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(open_) > DEEPEST:
                raise UserError(
                    f"{where}: more than {DEEPEST} lists lie in one another; no file of its kind is so deep"
                )
            _next_key(open_[-1], None, where)
            open_.append([event.anchor, 1, set() if isinstance(event, yaml.MappingStartEvent) else None, True])
            continue
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size, _, _ = open_.pop()
            if anchor:
                sizes[anchor] = size
        if size:
            if not isinstance(event, yaml.CollectionEndEvent):
                _next_key(open_[-1], event.value if isinstance(event, yaml.ScalarEvent) else None, where)
            open_[-1][1] += size
            if open_[-1][1] > most_values:
                raise UserError(f"{where}: more than {most_values:,} values once its aliases are written out")


def _next_key(mapping: list[Any], key: str | None, where: str) -> None:
    """Notes a key of the mapping that is open, or its value, which come in turn."""
    _, _, keys, is_key = mapping
    if keys is None:
        return
    if is_key and key is not None and key != "<<":
        if key in keys:
            raise UserError(f"{where}: {one_line(key[:80])!r} stands twice; leave one out")
        keys.add(key)
    mapping[3] = not is_key
