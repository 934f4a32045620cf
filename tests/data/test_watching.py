"""What an index says of the motion and the tokens of its frames, and what it leaves out."""

import json
import pickle

import pytest
from moving_logs import write_logs

from roadstill.cli import main
from roadstill.data.indexing import IndexConfig, index_data
from roadstill.errors import UserError
from roadstill.frames import open_frames
from roadstill.frames.filters import FrameFilter, SceneFilter

SHORT = IndexConfig(scenes=SceneFilter(1, 0, 1))
HEADINGS = [30 * drive for drive in range(12)]


def labels(out):
    """Label by token, of all parts."""
    parts = [open_frames(path) for path in sorted(out.glob("*.parquet"))]
    return {
        token: label for part in parts for token, label in zip(part.column("token"), part.labels.tolist(), strict=True)
    }


@pytest.fixture(scope="module")
def true_labels(tmp_path_factory):
    """Labels of logs whose velocities are in the vehicle's frame."""
    root = tmp_path_factory.mktemp("ego")
    write_logs(root, HEADINGS)
    index = index_data(root, root / "index", SHORT)
    assert (index.problems, index.notes) == ([], [])
    assert index.counts["broken_logs"] == 0
    return labels(root / "index")


@pytest.mark.parametrize("headings", [HEADINGS, [60] * 12, [90] * 12, [180] * 12])
def test_dynamics_in_the_maps_frame_never_turn_labels_over(tmp_path, headings, true_labels):
    """Headings of 0 and 30 degrees tell the same in both frames, or nearly so."""
    write_logs(tmp_path, headings, axes="map")
    if len(set(headings)) == 1:
        with pytest.raises(UserError, match=r"none of the 12 logs can be read; the first: .*along the axes of the map"):
            index_data(tmp_path, tmp_path / "index", SHORT)
        return
    with pytest.raises(UserError, match=r"cannot fill 3 parts.*\(11 of 12 logs were left out: .*axes of the map"):
        index_data(tmp_path, tmp_path / "index", SHORT)


def test_one_log_of_many_is_left_out_and_named(tmp_path, true_labels, capsys):
    names = write_logs(tmp_path, HEADINGS, axes=["map" if drive == 5 else "ego" for drive in range(12)])
    assert main(["index", str(tmp_path), str(tmp_path / "index"), "--scenes.history_frames=1",
                 "--scenes.future_frames=0", "--scenes.interval=1"]) == 3  # fmt: skip
    assert "1 of 12 logs cannot be read" in capsys.readouterr().out
    assert f"{names[5]}.pkl: its velocities lie along" in (tmp_path / "index" / "problems.txt").read_text()
    found = labels(tmp_path / "index")
    assert len(found) > 200
    assert found == {token: label for token, label in true_labels.items() if not token.startswith(f"{5:08x}")}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"axes": "left", "poses": False}, "sideways"),
        ({"axes": "left", "poses": "wrong"}, "sideways"),
        ({"axes": "left"}, "sideways"),
        ({"sign": -1.0, "poses": False}, "the other sign"),
        ({"sign": -1.0}, "the other sign"),  # poses confirm velocities, not accelerations
    ],
)
def test_the_motion_itself_speaks(tmp_path, settings, says):
    write_logs(tmp_path, [20] * 12, **settings)
    with pytest.raises(UserError, match=rf"none of the 12 logs is usable; the first: 2021.*{says}.*--doubtful keep"):
        index_data(tmp_path, tmp_path / "index", SHORT)
    assert not list((tmp_path / "index").glob("*.parquet"))
    # Accelerations across the vehicle are 0 along it, which the usual filter drops.
    loose = FrameFilter(min_abs_accel_mps2=None)
    config = IndexConfig(scenes=SHORT.scenes, filter=loose, doubtful="keep")
    index = index_data(tmp_path, tmp_path / "index", config)
    assert sum(index.frames.values()) > 200
    assert len(index.problems) == 12
    assert says in index.problems[0]
    assert any(says in note for note in index.notes)


def test_some_contradicting_logs_are_left_out(tmp_path, true_labels):
    write_logs(tmp_path, HEADINGS, poses=False, sign=[-1.0 if drive in (2, 3) else 1.0 for drive in range(12)])
    index = index_data(tmp_path, tmp_path / "index", SHORT)
    assert index.counts["broken_logs"] == 2
    assert len(index.problems) == 2
    found = labels(tmp_path / "index")
    assert all(true_labels[token] == label for token, label in found.items())
    assert {token[:8] for token in found} == {f"{drive:08x}" for drive in range(12) if drive not in (2, 3)}


@pytest.mark.parametrize("poses", [True, False])
def test_short_logs_are_judged_together(tmp_path, poses):
    write_logs(tmp_path, [20] * 12, poses=poses, sign=-1.0, frames=9)
    with pytest.raises(UserError, match=r"^accelerations have the sign .* in 0% of"):
        index_data(tmp_path, tmp_path / "index", SHORT)


def test_poses_that_fit_outweigh_a_drift(tmp_path):
    """A vehicle that does go sideways, as on a ferry's ramp, is no error: its poses say so."""
    names = write_logs(tmp_path, [0] * 12)
    for name in names:
        path = tmp_path / "navsim_logs" / "trainval" / f"{name}.pkl"
        entries = pickle.loads(path.read_bytes())
        for entry in entries:
            vx, _, ax, _ = entry["ego_dynamic_state"]
            entry["ego_dynamic_state"] = [vx * 0.95, vx * 0.31, ax * 0.95, ax * 0.31]
            x, y, z = entry["ego2global_translation"]
            entry["ego2global_translation"] = [3e5 + 0.95 * (x - 3e5), y + 0.31 * (x - 3e5), z]
        path.write_bytes(pickle.dumps(entries, 4))
    index = index_data(tmp_path, tmp_path / "index", SHORT)
    assert index.counts["broken_logs"] == 0
    assert index.motion.sideways_share > 0.2


def test_the_figures_are_printed(tmp_path, capsys):
    write_logs(tmp_path, HEADINGS)
    words = ["index", str(tmp_path), str(tmp_path / "index")]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "motion: 0.0% of the speed is sideways (median of 480 frames above 2 m/s)" in out
    assert "accelerations have the sign of the change of speed in 100% of " in out


def test_tokens_of_two_logs_are_named(tmp_path):
    names = write_logs(tmp_path, HEADINGS, place=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 4, 11])
    index = index_data(tmp_path, tmp_path / "index", SHORT)
    (note,) = index.notes
    assert note.startswith("40 frames have the token of another; the first: 00000004")
    assert note.endswith(f"in {names[4]} and {names[10]}; is one a copy?")
    assert json.loads((tmp_path / "index" / "index.json").read_text())["notes"] == [note]


def test_a_part_with_one_class_is_named(tmp_path):
    write_logs(tmp_path, [0] * 3, frames=[8, 8, 40])
    index = index_data(tmp_path, tmp_path / "index", SHORT)
    assert any("has no frame of the class brake; prepare will refuse it" in note for note in index.notes)
