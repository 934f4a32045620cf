"""A set read picture by picture, for work on sets of any size: neither pictures nor facts stay in memory."""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.imagesets.pictures import REMEDY, check_digest, read_bytes
from roadstill.imagesets.records import METADATA, SetRecord, read_facts, read_set
from roadstill.imagesets.sets import open_imageset
from roadstill.imagesets.tally import Tally
from roadstill.runs import digest_file

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class SetStream:
    """An image set whose pictures are read one at a time.

    Attributes:
        root: folder of the set.
        record: what its ``set.json`` holds.
        watch: function that `pictures` calls with the number of pictures so far, and of all.
    """

    root: Path
    record: SetRecord
    watch: Callable[[int, int], None] = field(default=lambda done, total: None, repr=False)

    @cached_property
    def tally(self) -> Tally:
        """Counts and columns; reads the facts of all pictures once."""
        found = Tally(self.record.class_names)
        for facts in self.facts():
            found.add(facts)
        return found

    def facts(self) -> Iterator[dict[str, Any]]:
        """The facts of every picture, ``file_name`` and ``label`` among them; errors as `open_imageset`."""
        return read_facts(self.root, self.record)

    def pictures(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Facts and file of every picture; errors as `facts` and `png`."""
        for number, facts in enumerate(self.facts(), 1):
            yield facts, self.png(facts)
            self.watch(number, self.record.num_images)

    def png(self, facts: Mapping[str, Any]) -> bytes:
        """The file of one picture, held against its digest.

        Raises:
            UserError: missing, damaged, another picture than was written, no PNG of the set's size.
        """
        path = self.root / facts["file_name"]
        png = read_bytes(self.root, facts["file_name"], self.record.size_px)
        check_digest(png, facts, path)
        side = self.record.size_px
        if png[:8] != _PNG or png[12:24] != b"IHDR" + struct.pack(">II", side, side):
            raise UserError(f"{path} is no PNG picture of {side} x {side} pixels; {REMEDY}")
        return png


def stream_imageset(folder: Path) -> SetStream:
    """Opens an image set for reading it picture by picture.

    Raises:
        UserError: as `open_imageset`; lines of ``metadata.jsonl`` are checked when they are read.
    """
    record = read_set(folder)
    if record.metadata is None:  # of an earlier version, whose one digest is that of all rows together
        open_imageset(folder)
    elif digest_file(folder / METADATA) != record.metadata:
        raise UserError(f"{folder}: metadata.jsonl is not what set.json was written with; {REMEDY}")
    return SetStream(folder, record)
