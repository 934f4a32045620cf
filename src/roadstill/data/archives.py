"""Wanted pictures straight from an archive of the data set, read as a stream: nothing is unpacked."""

import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from roadstill.errors import UserError

MAX_MEMBER_BYTES = 64 * 2**20
_BROKEN = (tarfile.TarError, EOFError, OSError, zlib.error)


def wanted_members(archive: Path, wanted: set[str], problem: Callable[[str], None]) -> Iterator[tuple[str, io.BytesIO]]:
    """Yields every wanted member with its bytes, in the archive's order.

    A member is matched by the end of its name, whatever folders precede it; links and devices never match. A broken
    archive yields what precedes the break.

    Args:
        archive: ``.tgz``, ``.tar`` or another form that Python opens.
        wanted: relative posix paths.
        problem: callback for one line about each problem.

    Raises:
        UserError: the file is missing, or nothing of it can be read as an archive.
    """
    if not archive.is_file():
        raise UserError(f"{archive} is not a file; it should be an archive of sensor files (.tgz)")
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
        problem(f"{archive.name}: it breaks off after {members:,} entries ({reason}); those were read")
