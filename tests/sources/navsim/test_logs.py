import os
import pickle

import numpy as np
import pytest

from roadstill.errors import UserError
from roadstill.frames import COMMANDS
from roadstill.frames.store import FrameStore
from roadstill.sources.navsim.logs import count_logs, drive_of, find_data, index_logs, list_logs, read_log
from roadstill.sources.navsim.schema import BrokenFrame, read_frame
from roadstill.sources.pickles.unpickle import BrokenLog, read_pickle

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


def indexed(folder, store=None, **settings):
    """All readable frames by log, and (counts, problems)."""
    store = store or FrameStore(folder.parent / "store")
    files = list_logs(folder)
    index_logs(files, store, **settings)
    return {log: store.read(log) for log in files.names}, count_logs(store, files.names)


def test_facts_of_a_frame(tmp_path):
    frames, record = read_log(write(tmp_path))
    assert (len(frames), record.entries, record.broken_entries, record.problems) == (20, 20, 0, [])
    row = {name: frames.column(name)[3] for name in frames.table.column_names}
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
        "position": 3,
        "remaining": 16,
        "steady_before": 3,
        "steady_after": 16,
        "has_route": True,
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols(tmp_path, protocol):
    assert len(read_log(write(tmp_path, protocol=protocol))[0]) == 20


def test_frames_without_a_route_are_marked(tmp_path):
    frames, _ = read_log(
        write(tmp_path, frames=[frame(i, roadblock_ids=[] if i in (3, 5) else ["7"]) for i in range(9)])
    )
    assert np.flatnonzero(~frames.column("has_route").astype(bool)).tolist() == [3, 5]


def test_strangers_in_the_folder_are_ignored(tmp_path):
    for day in (3, 1, 2):
        write(tmp_path, log_name(day), 14)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder.pkl").mkdir()
    os.mkfifo(tmp_path / "pipe.pkl")
    files = list_logs(tmp_path)
    assert files.names == [log_name(day) for day in (1, 2, 3)]
    assert files.ignored == ["folder.pkl", "notes.txt", "pipe.pkl"]


class Evil:
    def __reduce__(self):
        return (os.system, ("exit 1",))


def test_a_broken_log_is_one_line_and_the_rest_goes_on(tmp_path):
    logs = tmp_path / "logs"
    for day in (1, 2, 3, 4, 5):
        write(logs, log_name(day), 14)
    torn = logs / f"{log_name(2)}.pkl"
    torn.write_bytes(torn.read_bytes()[:3000])
    (logs / f"{log_name(3)}.pkl").write_bytes(pickle.dumps([Evil()]))
    write(logs, log_name(4), {"no": "list"})
    done = []
    frames, (counts, problems) = indexed(logs, progress=lambda *state: done.append(state))
    assert counts == {"logs": 5, "broken_logs": 3, "entries": 28, "broken_entries": 0}
    assert [len(frames[log_name(day)]) for day in range(1, 6)] == [14, 0, 0, 0, 14]
    assert [line.startswith(f"{log_name(day)}.pkl: ") for day, line in zip((2, 3, 4), problems, strict=True)] == [
        True
    ] * 3
    assert "system" in problems[1]
    assert all("\n" not in line for line in problems)
    assert done == [(number, 5) for number in range(1, 6)]


def test_a_broken_frame_costs_only_itself(tmp_path):
    entries = [frame(index) for index in range(20)]
    entries[4] = frame(4, ego_dynamic_state=[1.0, 0.0, float("nan"), 0.0])
    entries[0] = {}
    frames, record = read_log(write(tmp_path, frames=entries))
    assert frames.column("position").tolist() == [1, 2, 3, *range(5, 20)]
    assert record.broken_entries == 2
    assert "2 frames were left out; the first: frame 0: ego_dynamic_state: missing" in record.problems[0]


def test_gaps_end_a_steady_run(tmp_path):
    frames, _ = read_log(write(tmp_path, frames=[frame(index + (index >= 3) + 5 * (index >= 7)) for index in range(9)]))
    assert frames.column("steady_before").tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 1]
    assert frames.column("steady_after").tolist() == [2, 1, 0, 3, 2, 1, 0, 1, 0]
    assert frames.column("remaining").tolist() == list(range(8, -1, -1))


def test_a_copy_of_a_log_is_refused(tmp_path):
    with pytest.raises(BrokenLog, match=rf"^copy\.pkl: it is the log {LOG}; remove it if it is a copy, else rename"):
        read_log(write(tmp_path, name="copy"))


def test_a_frame_that_is_there_twice_counts_once(tmp_path):
    frames, record = read_log(write(tmp_path, frames=[frame(index) for index in (0, 1, 1, 2)]))
    assert frames.column("position").tolist() == [0, 1, 3]
    assert "1 frames appear twice" in record.problems[0]


def test_an_empty_log_is_broken(tmp_path):
    with pytest.raises(BrokenLog, match=r"it holds 0 frames"):
        read_log(write(tmp_path, frames=[]))


def test_what_is_read_is_not_read_again(tmp_path, monkeypatch):
    logs = tmp_path / "logs"
    for day in (1, 2):
        write(logs, log_name(day), 14)
    broken = logs / f"{log_name(3)}.pkl"
    broken.write_bytes(b"torn")
    store = FrameStore(tmp_path / "store")
    before, _ = indexed(logs, store)
    read = []
    monkeypatch.setattr("roadstill.sources.navsim.logs.read_log", lambda path: read.append(path.stem) or read_log(path))
    write(logs, log_name(2), 15)  # another size
    write(logs, log_name(3), 14)  # the download went on
    after, (counts, _) = indexed(logs, store)
    assert read == [log_name(2), log_name(3)]
    assert [len(after[log_name(day)]) for day in (1, 2, 3)] == [14, 15, 14]
    assert after[log_name(1)].table.equals(before[log_name(1)].table)
    assert counts["broken_logs"] == 0


@pytest.mark.parametrize("workers", [2])
def test_processes_give_the_same_bytes(tmp_path, workers):
    for day in range(1, 10):
        write(tmp_path / "logs", log_name(day), 14)
    (tmp_path / "logs" / f"{log_name(3)}.pkl").write_bytes(b"torn")
    indexed(tmp_path / "logs", FrameStore(tmp_path / "one"))
    indexed(tmp_path / "logs", FrameStore(tmp_path / "two"), workers=workers)
    one, two = ({path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.parquet")}
                for name in ("one", "two"))  # fmt: skip
    assert len(one) == 9
    assert one == two


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
    assert list_logs(found.logs).names == [LOG]


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
        find_data(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty is empty"):
        find_data(tmp_path / "empty")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a folder"):
        find_data(tmp_path / "file")
    (tmp_path / "other" / "text").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no \*\.pkl log"):
        find_data(tmp_path / "other")


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
    with pytest.raises(BrokenLog, match="log_name"):
        read_log(write(tmp_path, log_name(1), [frame(index, log_name=value) for index in range(14)]))


def test_reads_what_the_built_in_world_writes(tmp_path):
    from roadstill.world.logs import write_world

    write_world(tmp_path / "world", drives=2, seed=5)
    folders = find_data(tmp_path / "world")
    frames, (counts, problems) = indexed(folders.logs, FrameStore(tmp_path / "store"))
    assert problems == []
    assert counts["broken_logs"] == counts["broken_entries"] == 0
    assert len({drive for table in frames.values() for drive in table.column("drive")}) == 2
    assert folders.sensors in (None, tmp_path / "world" / "sensor_blobs" / "mini")
    log = min(folders.logs.glob("*.pkl"), key=lambda path: path.stat().st_size)
    np.testing.assert_equal(read_pickle(log), pickle.loads(log.read_bytes()))
