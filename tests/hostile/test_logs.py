"""Bad logs: alone, and among good ones."""

import os
import pickle
import shutil

from attacks import FIELDS, PICKLES
from hostile import Case, check, each
from made_logs import make_log

LOG = "2021.05.12.22.00.38_veh-35_01008_01518"
INDEX = ("index", "logs", "out", "--shares", "[1,0,0]")


def alone(name, says, data, *, code=2):
    """A case of a folder with one log."""

    def command(folder, good):
        (folder / "logs").mkdir()
        (folder / "logs" / f"{LOG}.pkl").write_bytes(data() if callable(data) else data)
        return INDEX

    return Case(name, command, says, code, ("out",))


def among(name, says, data):
    """A case of a bad log among the good ones of the built-in world, which are indexed."""

    def command(folder, good):
        shutil.copytree(next((good / "world" / "navsim_logs").iterdir()), folder / "logs")
        (folder / "logs" / f"{LOG}.pkl").write_bytes(data() if callable(data) else data)
        return INDEX

    return Case(name, command, says, 3, ("out",))


def put(name, says, place):
    """A case that puts something else where the log should be, among good ones."""

    def command(folder, good):
        shutil.copytree(next((good / "world" / "navsim_logs").iterdir()), folder / "logs")
        place(folder / "logs" / f"{LOG}.pkl")
        return INDEX

    return Case(name, command, says, 3, ("out",))


def dumped(value, protocol=4):
    return lambda: pickle.dumps(value, protocol)


def field(title):
    """A log of which one frame has an odd field."""
    name, value = FIELDS[title]
    log = make_log(6, 3)
    log[3] = log[3] | {name: value}
    return dumped(log)


CUT = "the file ends too early|damaged or truncated"
LEFT_OUT = rf"could not be read: {LOG}\.pkl: 1 frames were left out; the first: frame 3: "
ONE = r"none of the 1 logs can be read; the first: .*\.pkl: "
ATTACKS = {
    "os.system, protocol 4": r"it names 'posix\.system', which is not plain data",
    "eval, protocol 2": r"it names '__builtin__\.eval'",
    "newobj": r"it names 'os\.system'",
    "opcode EXT1": "opcode 0x82 at byte",
    "persistent ids, protocol 5": "opcode 0x51 at byte",
    "objects, protocol 4": "arrays of type 'O8' are not allowed",
    "structured, protocol 4": "arrays of type 'V12'",
    "array: an overflowing product": "an array of shape",
    "array: an empty array of 2^40 rows": "an empty array of 1,099,511,627,776 rows",
    "array: letters beyond the last": "impossible letters",
    "a memo of two billion": "damaged or truncated",
    "a billion laughs": "shared parts make it more than",
    "nested tuples as a key": "neither text nor a small number",
    "a list in itself": "nested more than 8 deep",
    "copies of one array": "hold more bytes than the file",
    "keys of one hash": "neither text nor a small number",
    "keys that are long and equal": "a key of 1,048,576 letters",
    "text of 2^63 bytes": "before an item of 9,223,372,036,854,775,807 bytes",
    "a bytearray of 500 MB": "before an item of",
    "an integer of 2 GB": "opcode 0x8b",
    "a frame of 2^64 bytes": "ends too early",
    "a list of 70,000 parts": "a list of 70,000 parts",
    "two pickles": "and more follows",
    "an empty file": r"it is empty \(0 bytes\); fetch it again",
    "a web page": r"it is a web page \(28 bytes\); download the file itself",
    "a pointer of git-lfs": "it is a Git LFS pointer .*`git lfs pull`",
    "gzip": "it is a gzip file .*unpack it",
    "zip": "it is a zip archive",
    "zeros": "it is nothing but zeros",
    "protocol 0": "not a pickle of protocol 2 to 5",
}

CASES = [
    *(alone(f"attack: {name}", ONE + ".*" + says, PICKLES[name]) for name, says in ATTACKS.items()),
    *(among(f"among others: {name}", f"could not be read: .*{ATTACKS[name]}", PICKLES[name])
      for name in list(ATTACKS)[::5]),
    alone("a dict", ONE + "it holds a dict, not a list of frames", dumped({"infos": make_log(1, 1)})),
    alone("none", ONE + "it holds a NoneType", dumped(None)),
    alone("numbers", ONE + "none of its 3 frames could be read; frame 0", dumped([1, 2, 3])),
    alone("no frames", ONE + "it holds 0 frames", dumped([])),
    alone("another log's name", ONE + "it is the log other", dumped(make_log(3, 1, "other"))),
    among("no frames among others", rf"could not be read: {LOG}\.pkl: it holds 0 frames", dumped([])),
    alone("no dynamics", ONE + ".*ego_dynamic_state: missing",
          dumped([{key: frame[key] for key in frame if key != "ego_dynamic_state"} for frame in make_log(3, 1)])),
    among("cut", CUT, lambda: pickle.dumps(make_log(9, 9), 4)[:20_000]),
    among("cut in its regular part", CUT, lambda: pickle.dumps(make_log(40, 9), 4)[:-9]),
    among("os.system in its last frame", r"it names 'posix\.system'",
          lambda: pickle.dumps([*make_log(40, 9), os.system], 4)),
    *(among(f"field: {title}", LEFT_OUT, field(title)) for title in (
        "token: a line break", "ego_dynamic_state: nan", "ego_dynamic_state: inf", "timestamp: 2^63",
        "cams.CAM_F0.data_path: a way up", "cams.CAM_F0.data_path: absolute", "map_location: right to left",
        "driving_command: two", "cams: empty")),
    put("a sparse file of a terabyte", "1,099,511,627,776 bytes are more than",
        lambda path: (path.touch(), os.truncate(path, 2**40))),
]  # fmt: skip


@each(CASES)
def test_a_bad_log(case, good, tmp_path, capfd, monkeypatch):
    check(case, good, tmp_path, capfd, monkeypatch)
