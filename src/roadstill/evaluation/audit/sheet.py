"""A contact sheet: each suspicious picture beside its nearest training frame in each view."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from roadstill.evaluation.audit.copies import Suspect
from roadstill.imagesets import ImageSet

_TILE_PX, _GAP_PX, _TEXT_PX = 192, 8, 12
_CAPTION_PX = 3 * _TEXT_PX + _GAP_PX
_LETTERS = 32  # that fit above a tile
_MOST_ROWS = 100  # a sheet of 23,000 px
_INK, _ALARM, _PAPER = (32, 32, 32), (176, 0, 32), (255, 255, 255)


def contact_sheet(suspects: Sequence[Suspect], made: ImageSet, real: ImageSet) -> Image.Image:
    """A row for each picture: itself, then its nearest frame in each view, with what is known of them.

    Args:
        suspects: at least one picture, of which the first hundred are shown; flagged ones are named in red.
        made: set of the pictures.
        real: set of the frames.
    """
    suspects = suspects[:_MOST_ROWS]
    columns = 1 + len(suspects[0].near)
    width, height = columns * (_TILE_PX + _GAP_PX) + _GAP_PX, len(suspects) * (_TILE_PX + _CAPTION_PX + _GAP_PX)
    sheet = Image.new("RGB", (width, height + _GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_TEXT_PX)
    for number, suspect in enumerate(suspects):
        top = _GAP_PX + number * (_TILE_PX + _CAPTION_PX + _GAP_PX)
        flag = "flagged" if suspect.flagged else "not flagged"
        tiles = [(made, suspect.row, flag, suspect.file, f"chance {suspect.chance:.2g}")]
        tiles += [
            (real, near.row, f"nearest by {name}", near.file, f"ratio {near.ratio:.3f}, chance {near.chance:.2g}")
            for name, near in suspect.near.items()
        ]
        for column, (images, row, *said) in enumerate(tiles):
            left = _GAP_PX + column * (_TILE_PX + _GAP_PX)
            ink = _ALARM if not column and suspect.flagged else _INK
            for line, text in enumerate(said):
                draw.text((left, top + line * _TEXT_PX), _plain(text[-_LETTERS:]), ink, font)
            sheet.paste(_tile(images, row), (left, top + _CAPTION_PX))
    return sheet


def _tile(images: ImageSet, row: int) -> Image.Image:
    picture = Image.fromarray(images.pixels(np.array([row]))[0])
    return picture.resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)


def _plain(text: str) -> str:
    """Letters that every font has: names come from strangers' files."""
    return text.encode("ascii", "replace").decode("ascii")
