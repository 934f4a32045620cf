"""What a stage leaves on disk: noted when it is done, and looked at before it is taken as done again."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from roadstill.errors import UserError
from roadstill.imagesets import open_imageset
from roadstill.runs import Count, Digest, Record, Stage, digest_file, read_json, remove, require_within, typed

_SET = ("set.json", "metadata.jsonl")
_GROWS = ("sensor_blobs",)  # pictures of the built-in world are drawn when they are wanted
# They hold times or the folder's place, so of them it only counts that they are there.
_OF_THE_MOMENT = ("metrics.jsonl", "index.json", "stage.json")
_HIDDEN = "."


class _Outputs(Record, kw_only=True, frozen=True):
    """The part of ``stage.json`` that tells files, with the bytes and the digest of each; older ones tell none."""

    files: dict[str, tuple[Count, Digest] | None] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        for name in self.files or ():
            require_within(name)


@dataclass
class Work(Stage):
    """A stage of a run with the names of its products.

    Attributes:
        product: files and folders that it makes, relative to the run folder.
        run: the run folder.
        deep: whether ``done`` reads the products' bytes, instead of looking whether all files are there.
    """

    product: tuple[str, ...] = ()
    run: Path = Path()
    deep: bool = False

    @property
    def done(self) -> bool:
        """Whether the product of exactly this work is there, and whole."""
        return self.is_recorded and not self.damage(deep=self.deep)

    @property
    def is_recorded(self) -> bool:
        """Whether the record says that exactly this work was done, whatever became of the product."""
        return super().done

    def finish(self, **outputs: Any) -> None:
        """Writes ``stage.json``, the product's files among its outputs."""
        super().finish(**outputs, files={name: _noted(self.run / name) for name in self._files()})

    def discard(self) -> None:
        """Removes record and product, so that the work begins anew instead of going on from what is damaged."""
        (self.folder / "stage.json").unlink(missing_ok=True)
        for name in self.product:
            remove(self.run / name)

    def noted(self) -> dict[str, tuple[int, str] | None]:
        """Bytes and digest of each file that the record names; None for one whose bytes depend on time or place.

        Raises:
            UserError: a record of another form.
        """
        outputs = (self.record or {}).get("outputs", {})
        files = typed(outputs, _Outputs, f"{self.folder / 'stage.json'}, outputs", "run the recipe again").files
        return {} if isinstance(files, msgspec.UnsetType) else files

    def damage(self, *, deep: bool) -> list[str]:
        """What is missing or not as it was made, in words.

        Args:
            deep: whether all bytes are read, not only names and sizes.
        """
        if found := [f"{name}: missing" for name in self.product if _is_empty(self.run / name)]:
            return found
        root = self.run.resolve()
        if found := [name for name in self.product if not (self.run / name).resolve().is_relative_to(root)]:
            return [f"{name}: a link that leads out of the run" for name in found]
        try:
            for name, noted in self.noted().items():
                path = self.run / name
                if not path.is_file():
                    found.append(f"{name}: missing")
                elif noted and (path.stat().st_size != noted[0] or (deep and digest_file(path) != noted[1])):
                    found.append(f"{name}: not as it was made")
                elif path.name == "set.json":
                    _check_set(path.parent, deep)
                elif noted is None and path.suffix == ".json":
                    read_json(path)
        except UserError as error:
            found.append(str(error).removeprefix(f"{self.run}{os.sep}").partition(";")[0])
        return found

    def _files(self) -> Iterator[str]:
        """The product's files in order; of an image set only its records, which tell the pictures."""
        for product in self.product:
            if (self.run / product).is_file():
                yield product
            for at, folders, files in os.walk(self.run / product):
                is_set = set(files).issuperset(_SET)
                folders[:] = [] if is_set else sorted(name for name in folders if name not in _GROWS)
                for name in sorted(_SET if is_set else files):
                    if not name.startswith(_HIDDEN):
                        yield (Path(at) / name).relative_to(self.run).as_posix()


def _noted(path: Path) -> list[Any] | None:
    return None if path.name in _OF_THE_MOMENT else [path.stat().st_size, digest_file(path)]


def _is_empty(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and next(path.iterdir(), None) is None)


def _check_set(folder: Path, deep: bool) -> None:
    images = open_imageset(folder)
    if deep:
        images.check_pictures()
    elif missing := images.missing():
        raise UserError(f"{folder / missing[0]}: missing")
