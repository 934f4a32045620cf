"""Places of a log's frames: those of its poses, by token."""

import pickle

import pytest

from roadstill.sources.navsim.places import places_of
from roadstill.sources.pickles.unpickle import BrokenLog


def write_log(folder, frames):
    entries = [
        {"token": token, "ego2global_translation": [x, 2.0, 0.0], "ego2global_rotation": [1.0, 0.0, 0.0, 0.0]}
        for token, x in frames
    ]
    (folder / "a.pkl").write_bytes(pickle.dumps(entries))


def test_the_wanted_frames_are_found(tmp_path):
    write_log(tmp_path, [("t0", 3e5), ("t1", 3e5 + 4), (7, 1.0), ("t3", 0.0)])
    assert places_of(tmp_path, "a", {"t1", "t3", "other"}) == {"t1": (3e5 + 4, 2.0), "t3": (0.0, 2.0)}


@pytest.mark.parametrize(
    ("name", "says"),
    [("../a", "is not a plain name"), ("b/a", "is not a plain name"), ("none", "none.pkl"), ("plain", "have no poses")],
)
def test_what_has_no_places_is_one_line(tmp_path, name, says):
    write_log(tmp_path, [("t0", 0.0)])
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps([{"token": "t0"}, 3]))
    with pytest.raises(BrokenLog, match=says):
        places_of(tmp_path, name, {"t0"})
