"""Numbered files of about one size, of which nobody knows at the beginning how many there will be."""

from pathlib import Path
from types import TracebackType


class Shards:
    """Files ``<split>-<number>.<ending>`` in a folder; at the end, each one's name also says how many there are.

    Args:
        folder: folder, made here.
        split: name of the part.
        ending: ending of the files' names.
        most_bytes: size at which a file is full.

    Attributes:
        paths: files so far; from the end of the block on, under their last names.
    """

    def __init__(self, folder: Path, split: str, ending: str, most_bytes: int) -> None:
        self.folder, self.split, self.ending, self.most_bytes = folder, split, ending, most_bytes
        self.paths: list[Path] = []

    def __enter__(self) -> "Shards":
        self.folder.mkdir(parents=True)
        return self

    def begin(self) -> Path:
        """The path of the next file."""
        self.paths.append(self.folder / f"{self.split}-{len(self.paths):05d}.{self.ending}")
        return self.paths[-1]

    def is_full(self) -> bool:
        """Whether the file that was begun last has the wanted size."""
        return self.paths[-1].stat().st_size >= self.most_bytes

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            names = [f"{path.stem}-of-{len(self.paths):05d}.{self.ending}" for path in self.paths]
            self.paths = [path.rename(path.with_name(name)) for path, name in zip(self.paths, names, strict=True)]
