"""Logs that numpy 1 and numpy 2 wrote, opened by ours; ``tools/write_golden_logs.py`` wrote them."""

import importlib.util
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from made_logs import LOG
from same import same

from roadstill.sources.navsim.logs import frames_of
from roadstill.sources.navsim.schema import read_frame
from roadstill.sources.pickles.unpickle import parse, read_pickle

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests" / "golden" / "logs"
_spec = importlib.util.spec_from_file_location("write_golden_logs", ROOT / "tools" / "write_golden_logs.py")
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)
FILES = sorted(FOLDER.glob("*.pkl"))


def test_there_are_files_of_both_generations_and_three_protocols():
    protocols = {"frames": (2, 4, 5), "scene": (5,)}
    assert tool.KINDS == protocols
    names = {f"numpy{n}-{kind}-protocol{p}.pkl" for n in (1, 2) for kind in protocols for p in protocols[kind]}
    assert {path.name for path in FILES} == names
    assert all(path.stat().st_size < 30_000 for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_log(path):
    generation, kind, protocol = re.fullmatch(r"numpy(\d)-(\w+)-protocol(\d)", path.stem).groups()
    data = path.read_bytes()
    assert data[:2] == bytes([0x80, int(protocol)])
    old, new = b"numpy.core.multiarray" in data, b"numpy._core.multiarray" in data
    assert (old, new) == (generation == "1", generation == "2")
    log = read_pickle(path)
    same(log, tool.golden_log(kind))
    assert log[0]["anns"]["gt_names"].dtype == (np.float64 if kind == "frames" else "<U7")
    assert len([read_frame(frame) for frame in log]) == len(log)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_log_equals_what_pickle_makes_of_it(path):
    same(read_pickle(path), pickle.loads(path.read_bytes()))


@pytest.mark.parametrize("generation", [1, 2])
def test_every_frame_of_a_golden_scene_becomes_a_row(generation):
    table, record = frames_of(LOG, read_pickle(FOLDER / f"numpy{generation}-scene-protocol5.pkl"))
    assert len(table) == record.entries == 14
    assert record.problems == []


def test_times_may_be_numbers_of_numpy():
    log = tool.golden_log("scene")
    plain, _ = frames_of(LOG, log)
    for frame in log:
        frame["timestamp"] = np.int64(frame["timestamp"])
    assert frames_of(LOG, log)[0].table == plain.table
    assert plain.column("steady_after")[0] == 13


def test_every_truncation_of_a_golden_log_is_refused():
    data = (FOLDER / "numpy1-frames-protocol4.pkl").read_bytes()
    for size in range(0, len(data), 37):
        with pytest.raises(ValueError, match=r".+"):
            parse(data[:size])
