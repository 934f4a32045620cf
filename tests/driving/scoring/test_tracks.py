"""Tracks between the frames of a log."""

import math

import numpy as np
import pytest

from roadstill.driving.scoring import Seen, Tracks
from roadstill.errors import UserError


def seen(**boxes):
    """A frame: x, y, length, width and yaw by track; agents begin with a."""
    rows = np.array([[*box[:5]] for box in boxes.values()], float).reshape(-1, 5)
    speeds = np.array([box[5] if len(box) > 5 else 3.0 for box in boxes.values()])
    return Seen(tuple(boxes), rows, speeds, np.array([name[0] == "a" for name in boxes], bool))


def test_tracks_go_evenly_from_frame_to_frame():
    found = Tracks.replayed([seen(a=(0, 1, 4, 2, 0)), seen(a=(5, 1, 4, 2, 0.5)), seen(a=(5, 2, 4, 2, 0.5))])
    assert found.boxes.shape == (1, 11, 5)
    assert found.there.all()
    np.testing.assert_allclose(found.boxes[0, :, 0], [0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5], atol=1e-12)
    np.testing.assert_allclose(found.boxes[0, :, 1], [1, 1, 1, 1, 1, 1, 1.2, 1.4, 1.6, 1.8, 2], atol=1e-12)
    np.testing.assert_allclose(found.boxes[0, :6, 4], np.arange(6) / 10, atol=1e-12)


def test_a_track_turns_the_short_way_round():
    found = Tracks.replayed([seen(a=(0, 0, 4, 2, 3.0)), seen(a=(0, 0, 4, 2, -3.0))])
    turned = np.diff(np.unwrap(found.boxes[0, :, 4]))
    np.testing.assert_allclose(turned, (2 * math.pi - 6) / 5)


def test_between_first_and_last_sight_a_track_is_there_and_else_not():
    none = seen()
    found = Tracks.replayed([none, seen(a=(0, 0, 4, 2, 0)), none, seen(a=(10, 0, 5, 2, 0)), none])
    assert found.there[0].tolist() == [False] * 5 + [True] * 11 + [False] * 5
    np.testing.assert_allclose(found.boxes[0, 5:16, 0], np.arange(11), atol=1e-12)
    assert set(found.boxes[0, :, 2]) == {4}  # the size of the first sight


def test_a_track_that_was_seen_once_stands_there_all_the_time():
    found = Tracks.replayed([seen(), seen(a=(7, 8, 4, 2, 1)), seen()])
    assert found.there.all()
    assert (found.boxes[0] == [7, 8, 4, 2, 1]).all()
    assert found.stopped.tolist() == [False]


def test_what_stands_is_told_by_the_first_sight_and_by_the_class():
    first = seen(a=(0, 0, 4, 2, 0, 0.05), another=(0, 9, 4, 2, 0, 0.06), cone=(9, 9, 1, 1, 0, 3.0))
    found = Tracks.replayed([first, seen(a=(0, 0, 4, 2, 0, 9.0), cone=(9, 9, 1, 1, 0))])
    assert found.agents.tolist() == [True, True, False]
    assert found.stopped.tolist() == [True, False, True]


def test_of_no_track_there_are_none():
    assert Tracks.replayed([seen(), seen()]).boxes.shape == (0, 6, 5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Tracks.replayed([seen()]), "1 frames; a replay needs at least two"),
        (lambda: Tracks(np.zeros((1, 3, 5)), np.ones((2, 3), bool), np.ones(1, bool), np.ones(1, bool)), "boxes"),
        (
            lambda: Tracks(np.full((1, 3, 5), np.nan), np.ones((1, 3), bool), np.ones(1, bool), np.ones(1, bool)),
            "not finite",
        ),
    ],
)
def test_what_is_wrong_is_told(make, says):
    with pytest.raises(UserError, match=says):
        make()
