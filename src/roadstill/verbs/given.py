"""What the verbs that judge are given: image sets or plain folders, and files of figures to write."""

from pathlib import Path

from roadstill.errors import UserError
from roadstill.runs import read_json


def require_figures(out: Path, keys: set[str], what: str) -> None:
    """Refuses a file to write that is there and not of this kind, which would be lost.

    Args:
        out: file to write.
        keys: keys of which a file of this kind has at least one.
        what: what such a file holds, in words.

    Raises:
        UserError: names it, and the way out.
    """
    if out.is_dir():
        raise UserError(f"{out} is a folder; name a file with --out")
    if out.exists():
        try:
            known = read_json(out)
        except UserError:
            known = None
        if not isinstance(known, dict) or not keys & known.keys():
            raise UserError(f"{out} is no {what}, so it is kept; name another file with --out")


def as_set(path: Path, like_set: Path, folder: Path) -> Path:
    """The image set itself; of a plain folder of class folders, a set like another one in the temporary folder."""
    from roadstill.data.folders import import_folder
    from roadstill.data.picture_store import PictureConfig
    from roadstill.imagesets import open_imageset

    if (path / "set.json").is_file():
        return path
    like = open_imageset(like_set)
    return import_folder(
        path, folder / path.resolve().name, PictureConfig(like.size_px, "full"), class_names=like.class_names
    ).root
