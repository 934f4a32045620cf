"""The log reader on good files, at its limits, and on things that are no files; hostile bytes are in `attacks`."""

import gc
import os
import pickle
import socket
import threading
from contextlib import suppress

import numpy as np
import pytest
from attacks import BLANK, F8, array, call, listed, log, name, number, raw, row, text
from same import same

from roadstill.errors import UserError
from roadstill.sources.pickles.unpickle import MAX_BYTES, BrokenLog, parse, read_pickle


def plain_log():
    rotation = np.arange(12.0).reshape(3, 4)
    shared = np.array([1.0, 2.0])
    return [
        {
            "token": "0123456789abcdef",
            "text": "Straße\U0001f697",
            "long": "x" * 70_000,
            "int": [0, 255, 65535, -1, 2**31, -(2**62), True, False, None],
            "float": 0.1,
            "tuple": [(1, True), (2, np.bool_(False)), (), (1, 2, 3), (1, 2, 3, 4, 5)],
            "nested": {
                "CAM_F0": {"rotation": rotation, "fortran": np.asfortranarray(rotation), "view": rotation[:, ::2]}
            },
            "swapped": np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
            "names": np.array(["vehicle", "pedestrian"]),
            "empty": np.array([]),
            "int_array": np.eye(4, dtype=int)[1],
            "scalars": [np.float64(1.5), np.float32(0.5), np.int64(-3)],
            "big_endian": np.arange(3, dtype=">i4"),
            "bools": np.array([True, False]),
            "shared": [shared, shared],
            7: "number as key",
        }
    ]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("python", [False, True], ids=["C pickler", "Python pickler"])
def test_equals_pickle_on_plain_data(protocol, python):
    dumps = pickle._dumps if python else pickle.dumps
    same(parse(dumps(plain_log(), protocol)), plain_log())


@pytest.mark.parametrize("protocol", [2, 5])
def test_opens_old_and_new_numpy_names(protocol):
    log = [{"array": np.arange(6.0)[::2], "dense": np.arange(3.0), "scalar": np.float64(3)}]
    data = pickle._dumps(log, protocol)
    as_is = parse(data)
    if protocol == 2:
        other = data.replace(b"numpy._core.", b"numpy.core.")
        other = other if other != data else data.replace(b"numpy.core.", b"numpy._core.")
    else:  # names carry their length, and the frame its own
        old, new = b"numpy.core.", b"numpy._core."
        have, want = (new, old) if new in data else (old, new)
        other = data
        for tail in (b"multiarray", b"numeric"):
            a, b = have + tail, want + tail
            other = other.replace(bytes([len(a)]) + a, bytes([len(b)]) + b)
        other = other[:3] + (len(other) - 11).to_bytes(8, "little") + other[11:]
    assert other != data
    same(parse(other), as_is)
    same(as_is, log)


def test_arrays_own_their_memory_and_can_be_changed():
    array = parse(pickle.dumps([np.arange(3.0)], 5))[0]
    array[0] = 7
    assert array[0] == 7


def test_what_attacks_are_built_from_is_harmless_by_itself():
    two = row(number(2))
    assert parse(log(listed(array())))[0].tolist() == [0, 0]
    assert parse(
        log(listed(array(raw(bytes(16)), F8, row(number(2), number(1)), text("K"), row(number(1), number(0)))))
    )[0].shape == (1, 2)
    filled = BLANK + row(number(1), two, F8, b"\x89", raw(bytes(16))) + b"b"
    assert parse(log(listed(filled)))[0].tolist() == [0, 0]
    again = BLANK + b"\x94" + row(number(1), two, F8, b"\x89", raw(bytes(16))) + b"bh\x00"
    assert parse(log(listed(again)))[1].tolist() == [0, 0]
    scalar = call(name("numpy.core.multiarray", "scalar"), F8, raw(bytes(8)))
    assert parse(log(listed(scalar))) == [0.0]


def test_pops_what_a_pickle_throws_away():
    assert parse(log(b"]K\x010")) == []
    assert parse(log(b"](K\x01K\x021")) == []


def test_a_frame_that_is_too_short_changes_nothing():
    data = pickle.dumps(["x" * 100], 4)
    lying = data[:3] + (5).to_bytes(8, "little") + data[11:]
    assert parse(lying) == pickle.loads(lying) == ["x" * 100]


def test_eight_deep_is_deep_enough():
    def nested(depth):
        value = []
        for _ in range(depth - 1):
            value = [value]
        return pickle.dumps(value, 4)

    parse(nested(8))
    for depth in (9, 200):
        with pytest.raises(ValueError, match="nested more than 8"):
            parse(nested(depth))


def test_deep_parts_found_through_a_second_reference():
    deep = [[[[[]]]]]
    assert parse(pickle.dumps([deep, deep], 4))
    with pytest.raises(ValueError, match="nested more than 8"):
        parse(pickle.dumps([deep, [[[[deep]]]]], 4))


def test_shared_parts_are_kept_shared():
    route, calibration = ["1", "2"], np.eye(3)
    frames = parse(pickle.dumps([{"route": route, "camera": {"matrix": calibration}} for _ in range(1000)], 5))
    assert frames[0]["route"] is frames[999]["route"]
    assert frames[0]["camera"]["matrix"] is frames[999]["camera"]["matrix"]


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("data", [pickle.dumps([1], 4), b"no pickle"], ids=["good", "bad"])
def test_garbage_collection_is_left_as_it_was(tmp_path, on, data):
    (tmp_path / "a.pkl").write_bytes(data)
    was_on = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        with suppress(BrokenLog):
            read_pickle(tmp_path / "a.pkl")
        assert gc.isenabled() is on
    finally:
        (gc.enable if was_on else gc.disable)()


def test_budget_of_steps(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(list(range(1000)), 4))
    read_pickle(path, max_steps=2_000)
    with pytest.raises(BrokenLog, match="more than 500 steps"):
        read_pickle(path, max_steps=500)


def test_oversize(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([1], 4))
    with pytest.raises(BrokenLog, match=r"a\.pkl: .* bytes are more than the 5"):
        read_pickle(path, max_bytes=5)
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no place on the disk
    with pytest.raises(BrokenLog, match="1,099,511,627,776 bytes are more than the 536,870,912"):
        read_pickle(path)
    assert MAX_BYTES == 536_870_912


def test_a_sparse_file_below_the_limit(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x05]\x96" + (60 * 2**20).to_bytes(8, "little"))
    with path.open("r+b") as file:
        file.truncate(64 * 2**20)
    with pytest.raises(BrokenLog, match="opcode 0x00"):
        read_pickle(path)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_every_truncation_is_refused(tmp_path, protocol):
    path = tmp_path / "a.pkl"
    data = pickle.dumps(plain_log()[0]["nested"] | {"b": [1, "x", 2.5, None, 2**40], "c": np.float64(1)}, protocol)
    for size in range(0, len(data), 1 if protocol == 5 else 5):
        path.write_bytes(data[:size])
        with pytest.raises(BrokenLog) as refused:
            read_pickle(path)
        assert str(refused.value).isprintable()


# ---- what is no file, and odd names of files


def within(seconds, function):
    """What the function returns or raises; fails if it hangs, without hanging the tests."""
    outcome = []

    def run():
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert outcome, "it hangs"
    return outcome[0]


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.pkl", tmp_path, tmp_path / "none" / "a.pkl"):
        with pytest.raises(UserError, match=str(path.name)):
            read_pickle(path)


@pytest.mark.skipif(os.name != "posix", reason="POSIX files")
@pytest.mark.parametrize(
    "kind", ["pipe", "socket", "zeros", "random", "terminal", "link to a folder", "link to a pipe"]
)
def test_what_is_no_file_does_not_hang(tmp_path, monkeypatch, kind):
    path = tmp_path / "log.pkl"
    if kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        monkeypatch.chdir(tmp_path)
        server.bind("log.pkl")  # the path of a socket must be short
        server.close()
    elif "pipe" in kind:
        pipe = path if kind == "pipe" else tmp_path / "pipe"
        os.mkfifo(pipe)
        if pipe != path:
            path.symlink_to(pipe)
    else:
        path.symlink_to({"zeros": "/dev/zero", "random": "/dev/urandom", "terminal": "/dev/tty"}.get(kind, tmp_path))
    error = within(5, lambda: read_pickle(path))
    assert isinstance(error, BrokenLog)
    assert "not a file" in str(error)


@pytest.mark.skipif(os.name != "posix", reason="POSIX files")
def test_links(tmp_path):
    good, link, circle, loose = (tmp_path / name for name in ("good.pkl", "link.pkl", "circle.pkl", "loose.pkl"))
    good.write_bytes(pickle.dumps([1], 4))
    link.symlink_to(good)
    circle.symlink_to(circle)
    loose.symlink_to(tmp_path / "none")
    assert read_pickle(link) == [1]
    for path in (circle, loose):
        with pytest.raises(BrokenLog, match=path.name):
            read_pickle(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="Linux")
@pytest.mark.parametrize("target", ["/proc/self/mem", "/proc/self/environ", "/proc/self/status"])
def test_files_of_the_kernel_that_claim_no_size_are_not_read(tmp_path, target):
    (tmp_path / "log.pkl").symlink_to(target)
    error = within(5, lambda: read_pickle(tmp_path / "log.pkl"))
    assert str(error).endswith("not a pickle of protocol 2 to 5: it is empty (0 bytes); fetch it again")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions that root does not obey")
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "log.pkl").touch(mode=0)
    with pytest.raises(BrokenLog, match="Permission denied"):
        read_pickle(tmp_path / "log.pkl")


@pytest.mark.parametrize("odd", ["a\nb", "a\x1b[31mb", "a\u202eb", "a\udcffb", "a\x9bb"])
def test_a_line_is_printable_whatever_the_file_is_called(tmp_path, odd):
    path = tmp_path / f"{odd}.pkl"
    for there in (False, True):
        if there:
            path.write_bytes(b"no pickle")
        with pytest.raises(BrokenLog) as refused:
            read_pickle(path)
        assert str(refused.value).isprintable()
        assert ascii(odd)[1:-1] in str(refused.value)


def test_a_nul_in_the_path(tmp_path):
    with pytest.raises(BrokenLog, match=r"a\\x00b"):
        read_pickle(tmp_path / "a\0b.pkl")
