import os
import pickle

import numpy as np
import pytest

from roadstill.errors import UserError
from roadstill.frames import COMMANDS
from roadstill.sources.navsim import COUNTS, drive_of, find_data, index_logs
from roadstill.sources.schema import BrokenFrame, read_frame

LOG = "2021.05.12.22.00.38_veh-35_01008_01518"


def frame(index, log=LOG, **changes):
    return {
        "token": f"{int(log[8:10]):08x}{index:08x}",
        "timestamp": 1_620_000_000_000_000 + 500_000 * index,
        "log_name": log,
        "map_location": "us-ma-boston",
        "roadblock_ids": ["1", "2"],
        "ego_dynamic_state": [3.0, 4.0, -1.5, 0.2],
        "driving_command": np.eye(4, dtype=int)[1],
        "cams": {"CAM_F0": {"data_path": f"{log}/CAM_F0/{index:016x}.jpg", "cam_intrinsic": np.eye(3)}},
        "anns": {"gt_names": np.array([])},
    } | changes


def write(folder, log=LOG, frames=20, protocol=5, name=None):
    folder.mkdir(parents=True, exist_ok=True)
    entries = [frame(index, log) for index in range(frames)] if isinstance(frames, int) else frames
    path = folder / f"{name or log}.pkl"
    path.write_bytes(pickle.dumps(entries, protocol))
    return path


def log_name(day, part=1):
    return f"2021.05.{day:02d}.10.00.00_veh-35_{part:05d}_09999"


def test_windows_of_14_with_the_current_frame_third(tmp_path):
    write(tmp_path, log_name(1), 20)
    write(tmp_path, log_name(2), 14)
    write(tmp_path, log_name(3), 13)
    index = index_logs(tmp_path)
    assert index.problems == []
    log = index.frames.column("log")
    assert [int((log == log_name(day)).sum()) for day in (1, 2, 3)] == [7, 1, 0]
    first = index.frames.column("timestamp_us")[:7] - 1_620_000_000_000_000
    assert first.tolist() == [500_000 * current for current in range(3, 10)]
    assert index.counts == dict.fromkeys(COUNTS, 0) | {"logs": 3, "logs_short": 1, "frames": 47, "scenes": 8}


def test_facts_of_a_frame(tmp_path):
    write(tmp_path)
    frames = index_logs(tmp_path).frames
    row = {name: frames.column(name)[0] for name in frames.table.column_names}
    assert row == {
        "token": frame(3)["token"],
        "log": LOG,
        "drive": "2021.05.12.22.00.38_veh-35",
        "timestamp_us": 1_620_000_001_500_000,
        "image": f"{LOG}/CAM_F0/0000000000000003.jpg",
        "vx_mps": 3.0,
        "vy_mps": 4.0,
        "speed_mps": 5.0,
        "accel_mps2": -1.5,
        "command": COMMANDS.index("straight"),
        "location": "us-ma-boston",
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols(tmp_path, protocol):
    write(tmp_path, protocol=protocol)
    assert len(index_logs(tmp_path).frames) == 7


def test_frames_without_a_route_are_no_scenes(tmp_path):
    write(tmp_path, frames=[frame(i, roadblock_ids=[] if i in (3, 5, 19) else ["7"]) for i in range(20)])
    index = index_logs(tmp_path)
    assert index.counts["scenes_without_route"] == 2
    assert index.counts["scenes"] == len(index.frames) == 5


def test_logs_are_sorted_and_strangers_ignored_with_a_note(tmp_path):
    for day in (3, 1, 2):
        write(tmp_path, log_name(day), 14)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder").mkdir()
    index = index_logs(tmp_path)
    assert index.frames.column("log").tolist() == [log_name(day) for day in (1, 2, 3)]
    assert index.counts["files_ignored"] == 2
    assert len(index.problems) == 1
    assert "notes.txt" in index.problems[0]


class Evil:
    def __reduce__(self):
        return (os.system, ("exit 1",))


def test_a_broken_log_is_one_line_and_the_rest_goes_on(tmp_path):
    for day in (1, 2, 3, 4, 5):
        write(tmp_path, log_name(day), 14)
    torn = tmp_path / f"{log_name(2)}.pkl"
    torn.write_bytes(torn.read_bytes()[:3000])
    (tmp_path / f"{log_name(3)}.pkl").write_bytes(pickle.dumps([Evil()]))
    write(tmp_path, log_name(4), {"no": "list"})
    done = []
    index = index_logs(tmp_path, progress=lambda *state: done.append(state))
    assert index.counts["logs_broken"] == 3
    assert index.frames.column("log").tolist() == [log_name(1), log_name(5)]
    assert [log_name(day) in line for day, line in zip((2, 3, 4), index.problems, strict=True)] == [True] * 3
    assert "system" in index.problems[1]
    assert all("\n" not in line for line in index.problems)
    assert done == [(number, 5) for number in range(1, 6)]


def test_a_broken_frame_costs_only_its_own_scene(tmp_path):
    entries = [frame(index) for index in range(20)]
    entries[4] = frame(4, ego_dynamic_state=[1.0, 0.0, float("nan"), 0.0])
    entries[0] = {}
    write(tmp_path, frames=entries)
    index = index_logs(tmp_path)
    assert index.counts["frames_broken"] == 1
    assert index.counts["scenes"] == 6
    assert "1 frames were left out; the first: frame 4: ego_dynamic_state" in index.problems[0]


def test_gaps_are_counted(tmp_path):
    entries = [frame(index + (index >= 15)) for index in range(20)]
    write(tmp_path, frames=entries)
    index = index_logs(tmp_path)
    assert index.counts["scenes_with_gap"] == 5
    assert len(index.frames) == 7


def test_a_log_that_is_there_twice_counts_once(tmp_path):
    write(tmp_path)
    write(tmp_path, name="copy")
    index = index_logs(tmp_path)
    assert index.counts["duplicates"] == 7
    assert len(index.frames) == 7
    assert set(index.frames.column("log")) == {LOG}
    assert "copy.pkl: the file's name is not that of its log" in index.problems[0]


def test_missing_pictures_are_counted(tmp_path):
    write(tmp_path / "logs")
    folder = tmp_path / "sensors" / LOG / "CAM_F0"
    folder.mkdir(parents=True)
    for number in (3, 4, 5, 19):
        (folder / f"{number:016x}.jpg").touch()
    index = index_logs(tmp_path / "logs", sensors=tmp_path / "sensors")
    assert index.counts["images_missing"] == 4
    assert "4 of 7 pictures are missing" in index.problems[-1]
    assert index.folders.sensors == tmp_path / "sensors"


@pytest.mark.parametrize("layout", ["root", "parent", "explicit", "download", "openscene", "openscene root", "plain"])
def test_layouts(tmp_path, layout):
    pairs = {
        "root": ("navsim_logs/mini", "sensor_blobs/mini", "."),
        "parent": ("navsim_logs/mini", "sensor_blobs/mini", "navsim_logs"),
        "explicit": ("navsim_logs/mini", "sensor_blobs/mini", "navsim_logs/mini"),
        "download": ("mini_navsim_logs/mini", "mini_sensor_blobs/mini", "."),
        "openscene": ("openscene-v1.1/meta_datas/mini", "openscene-v1.1/sensor_blobs/mini", "."),
        "openscene root": ("meta_datas/mini", "sensor_blobs/mini", "."),
        "plain": ("somewhere/mini", None, "somewhere/mini"),
    }
    logs, sensors, given = pairs[layout]
    write(tmp_path / logs)
    if sensors:
        (tmp_path / sensors).mkdir(parents=True)
    found = find_data(tmp_path / given)
    assert found.logs == tmp_path / logs
    assert found.sensors == (tmp_path / sensors if sensors else None)
    assert len(index_logs(tmp_path / given).frames) == 7


def test_several_splits_need_a_choice(tmp_path):
    write(tmp_path / "navsim_logs" / "mini")
    write(tmp_path / "navsim_logs" / "test", log_name(1))
    with pytest.raises(UserError, match="splits mini, test; name one"):
        find_data(tmp_path)
    assert find_data(tmp_path, "test").logs.name == "test"
    with pytest.raises(UserError, match="no logs of the split 'trainval'; it has mini, test"):
        find_data(tmp_path, "trainval")


def test_wrong_and_empty_folders(tmp_path):
    with pytest.raises(UserError, match=r"none does not exist; it should be NAVSIM logs"):
        index_logs(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty is empty"):
        index_logs(tmp_path / "empty")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a folder"):
        index_logs(tmp_path / "file")
    (tmp_path / "other" / "text").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no \*\.pkl log"):
        index_logs(tmp_path / "other")
    write(tmp_path / "logs")
    with pytest.raises(UserError, match="sensor folder"):
        index_logs(tmp_path / "logs", sensors=tmp_path / "none")


def test_nothing_found_says_why(tmp_path):
    write(tmp_path / "short", frames=13)
    with pytest.raises(UserError, match="1 logs have fewer than 14 frames"):
        index_logs(tmp_path / "short")
    write(tmp_path / "routeless", frames=[frame(index, roadblock_ids=[]) for index in range(14)])
    with pytest.raises(UserError, match="1 scenes have no route"):
        index_logs(tmp_path / "routeless")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.pkl").write_bytes(b"no pickle")
    with pytest.raises(UserError, match=r"none of the 1 logs can be read; the first: .*a\.pkl"):
        index_logs(tmp_path / "broken")


def test_drive_is_start_and_vehicle():
    assert drive_of(LOG) == "2021.05.12.22.00.38_veh-35"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", 7),
        ("token", ""),
        ("token", "a\0b"),
        ("token", "x" * 600),
        ("timestamp", 1.5),
        ("timestamp", -1),
        ("timestamp", True),
        ("timestamp", 2**63),
        ("map_location", None),
        ("ego_dynamic_state", [1.0, 2.0, 3.0]),
        ("ego_dynamic_state", [1.0, 2.0, float("inf"), 0.0]),
        ("ego_dynamic_state", [1.0, 2.0, "3", 0.0]),
        ("ego_dynamic_state", np.zeros((4, 1))),
        ("ego_dynamic_state", None),
        ("driving_command", [0, 1, 1, 0]),
        ("driving_command", [0, 0, 0, 0]),
        ("driving_command", 1),
        ("cams", {}),
        ("cams", {"CAM_F0": None}),
        ("cams", {"CAM_F0": {"data_path": 3}}),
        ("cams", {"CAM_F0": {"data_path": "/etc/passwd"}}),
        ("cams", {"CAM_F0": {"data_path": "log/../../x.jpg"}}),
        ("cams", {"CAM_F0": {"data_path": "log/x\0.jpg"}}),
        ("cams", {"CAM_F0": {"data_path": "log\\x.jpg"}}),
    ],
)
def test_schema_names_the_field(name, value):
    assert read_frame(frame(1)).vx_mps == 3.0
    with pytest.raises(BrokenFrame, match=f"^{name}"):
        read_frame(frame(1, **{name: value}))
    if name != "cams":
        with pytest.raises(BrokenFrame, match=f"^{name}: missing"):
            read_frame({key: part for key, part in frame(1).items() if key != name})


def test_schema_takes_arrays_and_numpy_numbers():
    taken = read_frame(
        frame(
            1,
            ego_dynamic_state=np.array([1, 2, 3, 4], np.float32),
            driving_command=[0, 0, 0, 1],
            timestamp=np.int64(5),
            token=np.str_("abc"),
        )
    )
    assert (taken.accel_mps2, taken.command, taken.timestamp_us, taken.token) == (3.0, 3, 5, "abc")
    with pytest.raises(BrokenFrame, match=r"^frame: a dict"):
        read_frame([1])


@pytest.mark.parametrize("value", ["a/b", "..", "", 3])
def test_log_names_are_plain(tmp_path, value):
    write(tmp_path, log_name(1), [frame(index, log_name=value) for index in range(14)])
    write(tmp_path, log_name(2), 14)
    index = index_logs(tmp_path)
    assert index.counts["logs_broken"] == 1
    assert "log_name" in index.problems[0]


def test_reads_what_the_built_in_world_writes(tmp_path):
    from roadstill.frames import FrameFilter, apply_filters
    from roadstill.sources.unpickle import read_pickle
    from roadstill.world.logs import write_world

    write_world(tmp_path / "world", drives=2, seed=5)
    index = index_logs(tmp_path / "world")
    assert index.problems == []
    assert index.counts["logs_broken"] == index.counts["frames_broken"] == 0
    assert len(apply_filters(index.frames, FrameFilter())[0]) > 20
    assert len(set(index.frames.column("drive"))) == 2
    assert index.folders.sensors in (None, tmp_path / "world" / "sensor_blobs" / "mini")
    log = min(index.folders.logs.glob("*.pkl"), key=lambda path: path.stat().st_size)
    np.testing.assert_equal(read_pickle(log), pickle.loads(log.read_bytes()))
