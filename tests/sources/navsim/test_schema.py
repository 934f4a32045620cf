"""Field checks: every bad value of `attacks.FIELDS` is one printable line that begins with the field's name."""

import pickle
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from attacks import FIELDS
from made_logs import LOG, make_frame

from roadstill.frames import leaves_folder
from roadstill.sources.navsim.schema import BrokenFrame, read_frame, read_log_name
from roadstill.sources.pickles.arrays import Refused
from roadstill.sources.pickles.unpickle import BrokenLog, parse


def read_all(frame):
    """Everything that is read of a frame of a log."""
    return read_log_name(frame), read_frame(frame)


def refused(frame):
    tracemalloc.start()
    try:
        with pytest.raises(BrokenFrame) as error:
            read_all(frame)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    line = str(error.value)
    assert line.isprintable()
    assert len(line) < 400
    return line


def test_a_good_frame():
    name, frame = read_all(make_frame(3, 2))
    assert (name, frame.has_route) == (LOG, True)
    assert frame.image.startswith(f"{LOG}/CAM_F0/")
    assert (frame.vx_mps, frame.vy_mps, frame.accel_mps2, frame.command) == (4.375, 0.125, -1.5, 3)


@pytest.mark.parametrize("name", FIELDS)
def test_bad_value(name):
    field, value = FIELDS[name]
    assert refused(make_frame(0, 0, **{field: value})).startswith(field)
    with suppress(Refused):  # some of it no pickle may hold either
        frame = parse(pickle.dumps(make_frame(0, 0, **{field: value}), 5))
        assert refused(frame).startswith(field)


@pytest.mark.parametrize(
    "field",
    ["token", "timestamp", "map_location", "log_name", "ego_dynamic_state", "driving_command", "roadblock_ids", "cams"],
)
def test_missing_fields_are_named(field):
    frame = make_frame(0, 0)
    del frame[field]
    assert refused(frame).endswith(": missing")


@pytest.mark.parametrize("frame", [None, 1, "x", [1], np.zeros(3)])
def test_no_dict(frame):
    assert refused(frame).startswith("frame: a dict is needed")


def test_takes_arrays_and_numpy_numbers():
    _, frame = read_all(
        make_frame(
            0,
            0,
            ego_dynamic_state=np.array([1, 2, 3, 4], np.float16),
            driving_command=[np.float64(0), np.int8(0), 0, 1],
            timestamp=np.uint64(2**63 - 1),
            token=np.str_("abc"),
            roadblock_ids=np.array(["1"]),
        )
    )
    assert (frame.accel_mps2, frame.command, frame.timestamp_us, frame.token) == (3.0, 3, 2**63 - 1, "abc")
    assert frame.has_route
    assert type(frame.token) is str
    assert not read_frame(make_frame(0, 0, roadblock_ids=np.zeros(0))).has_route


def test_a_place_cannot_lead_out_of_a_set_of_pictures():
    """Places become class folders (``prepare --label location``)."""
    assert "not a plain name" in refused(make_frame(0, 0, map_location="x/../../../evil"))


@pytest.mark.parametrize("name", [name for name in FIELDS if name.startswith("cams.CAM_F0.data_path")])
def test_whoever_reads_a_table_of_strangers_can_ask_too(name):
    path = FIELDS[name][1]["CAM_F0"]["data_path"]
    if isinstance(path, str) and (".." in path or "\\" in path or path.startswith("/")):
        assert leaves_folder(path)


def test_broken_log_and_broken_frame_are_printable_by_themselves():
    assert str(BrokenLog("a\nb\x1b")) == "a\\nb\\x1b"
    assert str(BrokenFrame("a\u202eb")) == "a\\u202eb"
