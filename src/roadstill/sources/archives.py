"""Tar archives of strangers, read as streams: nothing is unpacked, and no size is believed that cannot be there.

Python's ``tarfile`` follows every claim: a member of a terabyte in 135 bytes keeps it reading past the end for hours.
Here each header is held against the bytes that can follow it, before anything is read or skipped.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from roadstill.runs.kinds import HEAD_BYTES, kind_of, not_wanted

MAX_RATIO, SPARE_BYTES = 100, 16 * 2**20  # of what a packed archive holds to its size; pictures hardly shrink
SPARE_MEMBERS, MEMBER_BYTES = 1000, 32  # packed, a member takes more than this
MAX_NAME_BYTES = 2**16  # of a name and what else stands before a member
_BLOCK, _PIECE = 512, 2**16
_OPENERS: dict[str, Callable[[BinaryIO], Any]] = {
    "a gzip file": lambda file: gzip.GzipFile(fileobj=file),
    "a bzip2 file": bz2.BZ2File,
    "an xz file": lzma.LZMAFile,
}
_BROKEN = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, ValueError)


class BrokenArchive(ValueError):
    """The reason alone, without the archive's name."""


class EndsEarly(BrokenArchive):
    """The archive was cut off."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: path in the archive.
        size: claimed bytes.
        is_file: whether it is a plain file; links, devices and sparse files are not.
        is_folder: whether it is a folder.
    """

    name: str
    size: int
    is_file: bool
    is_folder: bool


def is_archive(path: Path) -> bool:
    """Whether a file is an archive by its first member."""
    try:
        return next(each_member(path), None) is not None
    except BrokenArchive:
        return False


def each_member(path: Path) -> Iterator[tuple[Member, Callable[[], bytes]]]:
    """Yields the members of an archive, each with a function that reads it, which works until the next is taken.

    Args:
        path: ``.tar``, or one that is packed as gzip, bzip2 or xz.

    Raises:
        BrokenArchive: another kind of file, a truncated or damaged archive, or claims beyond what the file can hold:
            a member of more bytes than are left, more than 100 times the file's size in all, names of more than 64
            KiB. What precedes it was yielded.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if told := not_wanted(head, size, "a tar archive", *_OPENERS):
                raise BrokenArchive(told)
            file.seek(0)
            opener = _OPENERS.get(kind_of(head))
            yield from _Stream(opener(file) if opener else file, size, packed=opener is not None).members()
    except BrokenArchive:
        raise
    except _BROKEN as error:
        raise BrokenArchive(_told(error)) from None


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class _Stream:
    def __init__(self, file: Any, size: int, *, packed: bool) -> None:
        self.file, self.at = file, 0
        self.most = MAX_RATIO * size + SPARE_BYTES if packed else size
        self.most_members = SPARE_MEMBERS + size // MEMBER_BYTES
        self.packed = packed

    def members(self) -> Iterator[tuple[Member, Callable[[], bytes]]]:
        number, name, size = 0, None, None
        while (header := self._header()) is not None:
            if self.at > self.most:
                raise BrokenArchive(f"more than {self.most:,} bytes, too many for a file of this size")
            if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE):
                if not 0 <= header.size <= MAX_NAME_BYTES:
                    raise BrokenArchive(f"{header.size:,} bytes for the name of a member")
                about = self._read("a name", header.size)
                self._skip("a name", -header.size % _BLOCK)
                if header.type == tarfile.GNUTYPE_LONGNAME:
                    name = about.rstrip(b"\0").decode("utf-8", "surrogateescape")
                elif header.type == tarfile.XHDTYPE:
                    facts = _records(about)
                    name, size = facts.get("path", name), int(facts["size"]) if "size" in facts else size
                continue
            if (number := number + 1) > self.most_members:
                raise BrokenArchive(f"more than {self.most_members:,} members")
            length = header.size if size is None else size
            if length < 0 or header.type == tarfile.GNUTYPE_SPARSE:
                raise BrokenArchive(f"{header.name[:100]!r} has a negative size or holes; pack it again without them")
            member = Member(name or header.name, length, header.isreg() and not header.isdir(), header.isdir())
            if header.isreg() or header.type not in tarfile.SUPPORTED_TYPES:
                yield from self._content(member)
            else:
                yield member, bytes
            name, size = None, None

    def _header(self) -> tarfile.TarInfo | None:
        """The next header; None at the end."""
        block = self._read("a header", _BLOCK, short=True)
        if not block.strip(b"\0"):
            return None
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            where = f"at byte {self.at - len(block):,} " if self.at > _BLOCK else ""
            raise BrokenArchive(f"{where}not a tar archive, or a damaged one ({error})") from None
        return header

    def _content(self, member: Member) -> Iterator[tuple[Member, Callable[[], bytes]]]:
        start, padded = self.at, member.size + -member.size % _BLOCK
        if member.size > self.most - start:
            can = (
                f"from a file of this size at most {self.most:,} are unpacked"
                if self.packed
                else "so many are not left"
            )
            raise BrokenArchive(f"{member.name[:100]!r} claims {member.size:,} bytes, but {can}")
        yield member, lambda: self._read(member.name, member.size)
        self._skip(member.name, member.size + start - self.at)
        self._skip(member.name, padded - member.size, short=True)

    def _read(self, name: str, size: int, *, short: bool = False) -> bytes:
        pieces, found = [], 0
        try:
            while found < size and (piece := self.file.read1(min(_PIECE, size - found))):
                pieces.append(piece)
                found += len(piece)
        except EOFError:
            short = False
        except _BROKEN as error:
            raise BrokenArchive(_told(error)) from None
        self.at += found
        if found < size and not (short and found == 0):
            if self.at < _BLOCK:
                raise BrokenArchive("not a tar archive")
            raise EndsEarly(f"it ends early: {found:,} of the {size:,} bytes of {name[:100]!r} are there")
        return b"".join(pieces)

    def _skip(self, name: str, size: int, *, short: bool = False) -> None:
        """Reads on; what is packed must be unpacked for it, and what is not must be there, too."""
        start = self.at
        while (left := size - (self.at - start)) > 0:
            if self.packed:
                step = len(self._read(name, min(left, _PIECE * 16), short=short))
            else:
                step = min(left, self.most - self.at)
                self.file.seek(step, 1)
                self.at += step
            if not step and short:
                return
            if not step:
                raise EndsEarly(f"it ends early: {size - left:,} of the {size:,} bytes of {name[:100]!r} are there")


def _records(about: bytes) -> dict[str, str]:
    """The records of an extended header, each a length, a name and a value."""
    found, at = {}, 0
    while at < len(about.rstrip(b"\0")):
        length, _, _ = about[at : at + 20].partition(b" ")
        stop = at + int(length)
        if not length.isdigit() or not at < stop <= len(about):
            raise BrokenArchive("a damaged extended header")
        name, _, value = about[at + len(length) + 1 : stop - 1].partition(b"=")
        found[name.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at = stop
    return found
