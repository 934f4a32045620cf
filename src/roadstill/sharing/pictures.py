"""Pictures as files in class folders."""

from pathlib import Path
from typing import Any

from roadstill.errors import UserError
from roadstill.imagesets.pictures import REMEDY
from roadstill.imagesets.records import METADATA, class_folder
from roadstill.imagesets.streams import SetStream


class PictureFolder:
    """A folder with a folder for each class.

    Args:
        folder: folder, made here if it is not there.
        stream: the set whose pictures it will hold.
    """

    def __init__(self, folder: Path, stream: SetStream) -> None:
        self.folder, self.stream = folder, stream
        for label, name in enumerate(stream.record.class_names):
            (folder / class_folder(label, name)).mkdir(parents=True)

    def put(self, facts: dict[str, Any], png: bytes) -> None:
        """Writes a picture under its name in the set.

        Raises:
            UserError: the set's list has the name twice.
        """
        try:
            with (self.folder / facts["file_name"]).open("xb") as file:
                file.write(png)
        except FileExistsError:
            raise UserError(
                f"{self.stream.root / METADATA}: {facts['file_name']!r} is the file of two lines; {REMEDY}"
            ) from None
