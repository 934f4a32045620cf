"""Wanted pictures straight from an archive of the data set, read as a stream: nothing is unpacked."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

from roadstill.errors import UserError, one_line
from roadstill.sources.archives import BrokenArchive, each_member

MAX_MEMBER_BYTES = 64 * 2**20


def wanted_members(archive: Path, wanted: set[str], problem: Callable[[str], None]) -> Iterator[tuple[str, io.BytesIO]]:
    """Yields every wanted member with its bytes, in the archive's order.

    A member is matched by the end of its name, whatever folders precede it; links and devices never match. A broken
    archive yields what precedes the break.

    Args:
        archive: ``.tgz``, ``.tar``, or packed as bzip2 or xz; see `roadstill.sources.archives` for its limits.
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
        for member, read in each_member(archive):
            members += 1
            parts = member.name.split("/")
            tails = ("/".join(parts[-depth:]) for depth in depths)
            image = next((tail for tail in tails if tail in wanted), None)
            if image is None or not member.is_file:
                continue
            if member.size > MAX_MEMBER_BYTES:
                problem(f"{archive.name}: {image}: {member.size:,} bytes are too many for a picture")
                continue
            yield image, io.BytesIO(read())
    except BrokenArchive as error:
        if not members:
            raise UserError(one_line(f"{archive} cannot be read as an archive: {error}")) from None
        problem(one_line(f"{archive.name}: it breaks off after {members:,} entries ({error}); those were read"))
