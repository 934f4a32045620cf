"""The contact sheet: a row a picture, a column a view."""

import numpy as np
import pytest
from made_streets import pictures, street, streets

from roadstill.evaluation.audit import sheet
from roadstill.evaluation.audit.copies import Nearest, Suspect


@pytest.fixture
def shown(tmp_path):
    real = streets(tmp_path / "real", range(3), 1, px=16)
    made = pictures(tmp_path / "made", [street(9, 0.5, 16), street(8, 0.5, 16)], 16)

    def suspect(row, flagged):
        near = {name: Nearest(at, real.files[at], 0.1, 0.2, 0.03) for name, at in (("agent", row), ("pixels", 2))}
        return Suspect(row, made.files[row], 0.04, flagged, "pixels", near)

    return [suspect(0, True), suspect(1, False)], made, real


def test_pictures_stand_beside_their_frames(shown):
    suspects, made, real = shown
    found = np.asarray(sheet.contact_sheet(suspects, made, real))
    tile, gap, caption = sheet._TILE_PX, sheet._GAP_PX, sheet._CAPTION_PX
    assert found.shape == (2 * (tile + caption + gap) + gap, 3 * (tile + gap) + gap, 3)
    for number, row in enumerate((0, 1)):
        top = gap + number * (tile + caption + gap) + caption
        for column, (images, at) in enumerate(((made, row), (real, row), (real, 2))):
            left = gap + column * (tile + gap)
            part = found[top : top + tile, left : left + tile]
            np.testing.assert_array_equal(part, np.asarray(sheet._tile(images, at)))
    reds = (found == sheet._ALARM).all(2).sum(1)
    assert reds[: gap + caption].any()  # the flagged one's caption
    assert not reds[gap + caption + tile :].any()


def test_a_sheet_stays_of_a_size_that_opens(shown):
    suspects, made, real = shown
    assert sheet.contact_sheet(suspects * 200, made, real).height < 25_000


def test_letters_that_a_font_lacks_are_replaced():
    assert sheet._plain("kübel \u202e") == "k?bel ?"
