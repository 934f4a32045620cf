"""Views: what may be done to a copy without making it unlike the frame that it was made from."""

import numpy as np
import pytest
from made_streets import CHANGES, changed, street

from roadstill.evaluation.audit.views import PixelView

FRAMES = np.stack([street(number, 0.5, 64) for number in range(40)])


def distances(view, picture):
    """Cosine distance of a picture to each of the frames, by its best variant."""
    frames, variants = view.frames(FRAMES), view.variants(view.kept(picture[None]))
    assert variants.shape == (1, 148, frames.shape[1])
    return 1 - (variants[0] @ frames.T).max(0)


@pytest.mark.parametrize("how", CHANGES)
def test_a_changed_copy_lies_nearest_to_its_frame(how):
    found = distances(PixelView(), changed(FRAMES[7], how, np.random.default_rng(0)))
    assert found.argmin() == 7
    assert found[7] < 0.5 * np.sort(found)[1]


def test_brightness_contrast_and_tint_do_not_count():
    picture = np.clip(0.5 * FRAMES[3].astype(float) + (40, 60, 20), 0, 255).round().astype(np.uint8)
    assert distances(PixelView(), picture)[3] < 1e-3


def test_windows_are_normalised_correlations():
    view, frame = PixelView(), FRAMES[0].astype(float)
    cells = frame.reshape(32, 2, 32, 2, 3).mean((1, 3))[4:28, 4:28]
    window = cells.reshape(12, 2, 12, 2, 3).mean((1, 3))
    window -= window.mean((0, 1))
    by_hand = (window / np.sqrt((window**2).sum())).ravel()
    np.testing.assert_allclose(view.frames(FRAMES[:1])[0], by_hand, atol=2e-3)  # cells are rounded to whole numbers


@pytest.mark.parametrize("px", [8, 17, 100])
def test_pictures_of_any_size_are_taken(px):
    picture = np.random.default_rng(0).integers(0, 256, (2, px, px, 3), np.uint8)
    view = PixelView()
    found = view.variants(view.kept(picture))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-5)
    black = np.zeros((1, px, px, 3), np.uint8)
    assert not view.frames(black).any()
