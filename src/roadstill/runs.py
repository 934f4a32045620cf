"""What every verb leaves on disk besides its product: provenance, digests, seeds, and writes that never end halfway."""

import hashlib
import inspect
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.moved import recorded


def seed_of(*parts: object) -> int:
    """A 63-bit seed that depends on every part (numbers, strings), on no machine and on no call order.

    >>> seed_of("generate", 0, 1) != seed_of("generate", 1, 0)
    True
    """
    text = json.dumps([str(part) for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


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

    A group that is null is left out. YAML reads an unquoted ``off`` as false; where a text is wanted, it is one again.

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
        for part in (found, within := dict(within)):
            part.update(
                {
                    name: "on" if value else "off"
                    for name, value in part.items()
                    if isinstance(value, bool) and name in inner_fields and isinstance(inner_fields[name].default, str)
                }
            )
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


def digest_of(value: Any) -> str:
    """SHA-256 (first 16 hex digits) of a plain value; equal for equal content."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()[:16]


def digest_file(path: Path) -> str:
    """SHA-256 (first 16 hex digits) of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()[:16] if hasattr(hashlib, "file_digest") else _digest(file)
        )


def _digest(file: Any) -> str:  # Python 3.10 has no hashlib.file_digest
    sha = hashlib.sha256()
    while block := file.read(1 << 20):
        sha.update(block)
    return sha.hexdigest()[:16]


def digest_code(code: Any) -> str:
    """Digest of the file that a function's or class's code stands in, so that mended code makes new work."""
    try:
        path = inspect.getsourcefile(code)
    except TypeError:  # compiled code
        path = None
    return digest_file(Path(path)) if path and Path(path).is_file() else "unknown"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary sibling (file or folder) that takes the place of ``path`` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir() and temporary.exists():
            _remove(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def folder_name(text: Any, what: str) -> str:
    """The text itself, if it may become the name of a file or folder on any system.

    Names of classes, arms and recipes come from strangers' files; none of them may lead out of the folder that the
    user named. Allowed are letters, digits and ``-_. ``, up to 100, the first one no dot and the last no dot or space.

    Raises:
        UserError: anything else; ``what`` names what should have been a name.
    """
    fits = isinstance(text, str) and 0 < len(text) <= 100 and len(text.encode(errors="replace")) <= 200
    if not fits or text[0] in ". " or text[-1] in ". " or any(not (c.isalnum() or c in "-_. ") for c in text):
        shown = ascii(text)[:80]
        raise UserError(
            f"{what} {shown} cannot name a folder; take up to 100 letters, digits and -_. and blanks, no dot in front"
        )
    return str(text)


def class_names_in(record: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The class names of a record that was read from a file: different ones, each a `folder_name`.

    Raises:
        UserError: no list of such names.
    """
    names = record.get("class_names")
    if not isinstance(names, list) or not 0 < len(names) <= 10_000:
        raise UserError(f"{path}: class_names is not a list of 1 to 10,000 names; the file is damaged")
    found = tuple(folder_name(name, f"{path}: class name") for name in names)
    if len(set(found)) < len(found):
        raise UserError(f"{path}: two classes have one name; the file is damaged")
    return found


def write_json(path: Path, value: Any) -> None:
    """Writes a plain value as indented JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(plain(value), indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads JSON; a missing or broken file is the user's error and names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path or run the verb that makes it") from None
    except RecursionError:
        raise UserError(f"{path} cannot be read as JSON: its lists lie too deep in one another") from None
    except (OSError, ValueError) as error:  # also a number of more digits than Python converts
        raise UserError(f"{path} cannot be read as JSON: {' '.join(str(error).split())[:200]}") from None


def require_folder(path: Path, what: str) -> Path:
    """The path itself if it is a folder with something in it, else a ``UserError`` that names what was expected."""
    if not path.exists():
        raise UserError(f"{path} does not exist; it should be {what}")
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; it should be {what}")
    if next(path.iterdir(), None) is None:
        raise UserError(f"{path} is empty; it should be {what}")
    return path


def require_file(path: Path, what: str) -> Path:
    """The path itself if it is a file, else a ``UserError`` that names what was expected."""
    if not path.is_file():
        raise UserError(f"{path} is not a file; it should be {what}")
    return path


def versions() -> dict[str, str]:
    """Versions of everything that can change a number."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("roadstill", "torch", "numpy", "diffusers", "accelerate", "peft", "transformers", "pillow", "panda3d"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclass
class Stage:
    """One verb's folder in a run: ``stage.json`` when it is done, ``metrics.jsonl`` while it goes on."""

    folder: Path
    config: Any
    inputs: Mapping[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> str:
        """Digest of the configuration and of all inputs: an equal key means equal work."""
        return digest_of({"config": self.config, "inputs": dict(self.inputs)})

    @property
    def done(self) -> bool:
        """Whether the folder holds the finished product of exactly this work."""
        path = self.folder / "stage.json"
        return path.is_file() and read_json(path).get("key") == self.key

    def begin(self) -> "Stage":
        """Starts the clock anew, for work that waited its turn."""
        self.started = time.monotonic()
        return self

    def log(self, **metrics: float | int | str) -> None:
        """Appends one line to ``metrics.jsonl``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")

    def finish(self, **outputs: Any) -> None:
        """Writes ``stage.json``: key, inputs, resolved configuration, versions, outputs, seconds."""
        record = {
            "key": self.key,
            "inputs": dict(self.inputs),
            "config": self.config,
            "versions": versions(),
            "seconds": round(time.monotonic() - self.started, 2),
            "outputs": outputs,
        }
        write_json(self.folder / "stage.json", record)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a ``metrics.jsonl``; a torn last line (a killed run) is left out."""
    rows = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows
