"""Wanted pictures straight out of an archive of the data set, read as a stream: nothing is unpacked."""

import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from roadstill.errors import UserError

MAX_MEMBER_BYTES = 64 * 2**20
_BROKEN = (tarfile.TarError, EOFError, OSError, zlib.error)


def wanted_members(archive: Path, wanted: set[str], problem: Callable[[str], None]) -> Iterator[tuple[str, io.BytesIO]]:
    """Every member that is wanted, with its bytes, in the archive's order.

    A member counts by the end of its name, whatever folders the archive puts before it; links and devices never count.
    A broken archive gives what lies before the break.

    Args:
        archive: a ``.tgz``, ``.tar`` or other form that Python opens.
        wanted: relative posix paths.
        problem: takes one line for each thing that is wrong.

    Raises:
        UserError: no such file, or no archive from its first byte on.
    """
    if not archive.is_file():
        raise UserError(f"{archive} is no file; it should be an archive of sensor files (.tgz)")
    depths = sorted({path.count("/") + 1 for path in wanted})
    members = 0
    try:
        with tarfile.open(archive, "r|*") as stream:
            for member in stream:
                members += 1
                stream.members.clear()  # type: ignore[attr-defined]  # tarfile would remember them all
                parts = member.name.split("/")
                tails = ("/".join(parts[-depth:]) for depth in depths)
                image = next((tail for tail in tails if tail in wanted), None)
                if image is None or not member.isreg():
                    continue
                if member.size > MAX_MEMBER_BYTES:
                    problem(f"{archive.name}: {image}: {member.size:,} bytes are too many for a picture")
                    continue
                file = stream.extractfile(member)
                yield image, io.BytesIO(file.read() if file else b"")
    except _BROKEN as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if not members:
            raise UserError(f"{archive} cannot be read as an archive: {reason}") from None
        problem(f"{archive.name}: it breaks off after {members:,} entries ({reason}); what lies before was read")
