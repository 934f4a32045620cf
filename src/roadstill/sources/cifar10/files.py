"""Files of CIFAR-10 by name, in a folder or in an archive, which is not unpacked."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from roadstill.errors import UserError, one_line
from roadstill.frames import leaves_folder
from roadstill.sources.archives import BrokenArchive, EndsEarly, Member, each_member

_MAX_BYTES, _MAX_MEMBERS = 64 * 2**20, 1000
_AUTHORS_BYTES = "170,498,071 (Python) or 170,052,171 (binary)"


class FolderFiles:
    """Files in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def where(self, name: str) -> str:
        """Path of a file, for messages."""
        return str(self.root / name)

    def has(self, name: str) -> bool:
        """Whether there is a file of the name."""
        return (self.root / name).is_file()

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            UserError: it cannot be read, or is too large for a batch.
        """
        path = self.root / name
        try:
            if (size := path.stat().st_size) > _MAX_BYTES:
                raise UserError(f"{path}: {size:,} bytes are too many for a batch of CIFAR-10")
            return path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from None


class ArchiveFiles:
    """Files in an archive, by the last part of their names.

    Raises:
        UserError: not an archive, a truncated one, a path that leaves it, a link or device, two files of one name,
            too many or too large ones.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, str] = {}
        for number, (member, _) in enumerate(self._each()):
            name, short = member.name.removeprefix("./"), member.name.rsplit("/", 1)[-1]
            if number >= _MAX_MEMBERS or member.size > _MAX_BYTES:
                raise UserError(
                    f"{path} is not an archive of CIFAR-10: {name[:100]!r} is too large, or one of too many"
                )
            if member.is_folder and name in ("", "."):
                continue
            if leaves_folder(name) or not (member.is_file or member.is_folder):
                raise UserError(f"{path} holds {name[:100]!r}, which leaves the archive or is not a file; nothing is "
                                "taken from it")  # fmt: skip
            if member.is_file and short in self._members:
                raise UserError(f"{path} holds two files called {short[:100]!r}; pack it again")
            if member.is_file:
                self._members[short] = member.name

    def where(self, name: str) -> str:
        """Archive and file, for messages."""
        return f"{self.path}, {name}"

    def has(self, name: str) -> bool:
        """Whether there is a file of the name."""
        return name in self._members

    def read(self, name: str) -> bytes:
        """The bytes of a file; errors as for the class."""
        return next(read() for member, read in self._each() if member.name == self._members[name])

    def md5(self) -> str:
        """The MD5 of the archive itself."""
        md5 = hashlib.md5(usedforsecurity=False)
        with self.path.open("rb") as file:
            while block := file.read(2**20):
                md5.update(block)
        return md5.hexdigest()

    def _each(self) -> Iterator[tuple[Member, Callable[[], bytes]]]:
        try:
            yield from each_member(self.path)
        except EndsEarly as error:
            size = self.path.stat().st_size
            raise UserError(one_line(f"{self.path} is cut off: {error}. It has {size:,} bytes, the authors' archives "
                                     f"have {_AUTHORS_BYTES}; fetch it again")) from None  # fmt: skip
        except BrokenArchive as error:
            raise UserError(one_line(f"{self.path} cannot be read as an archive ({error}); fetch it again")) from None
