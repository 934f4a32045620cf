import errno
import os
import resource

import pytest

from roadstill.errors import UserError
from roadstill.runs import (
    append_line,
    atomic_path,
    folder_name,
    renewed_parts,
    require_folder,
    write_json,
)
from roadstill.runs.progress import showing


def test_atomic_file_appears_only_when_done(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_atomic_failure_keeps_the_old(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_folder_takes_the_place_of_a_folder(tmp_path):
    path = tmp_path / "folder"
    for number in (1, 2):
        with atomic_path(path) as temporary:
            temporary.mkdir()
            (temporary / f"{number}.txt").touch()
        assert [entry.name for entry in path.iterdir()] == [f"{number}.txt"]
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_a_killed_run_do_not_matter(tmp_path):
    path = tmp_path / "folder"
    leftover = tmp_path / f".folder.{os.getpid()}.part"
    leftover.mkdir()
    (leftover / "old").touch()
    with atomic_path(path) as temporary:
        assert not temporary.exists()
        temporary.mkdir()
    assert list(path.iterdir()) == []


def test_a_block_that_writes_nothing_removes_nothing(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    (path / "precious").touch()
    with pytest.raises(UserError, match="folder cannot be written: No such file"), atomic_path(path):
        pass
    assert (path / "precious").exists()


def test_a_file_never_takes_the_place_of_a_folder_nor_a_folder_of_strangers_things(tmp_path):
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    (folder / "precious").touch()
    file.write_text("old")
    with pytest.raises(UserError, match="folder is a folder; name a file"), atomic_path(folder) as path:
        path.touch()
    with pytest.raises(UserError, match="file is a file; name a folder"), atomic_path(file) as path:
        path.mkdir()
    for record in ("set.json", None):
        with pytest.raises(UserError, match=r"folder holds other things \(there is no set.json"):
            write_set(folder, record)
    assert file.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    (folder / "set.json").touch()
    with pytest.raises(UserError, match="folder holds other things, such as precious, which are kept"):
        write_set(folder, None)
    (folder / "precious").unlink()
    write_set(folder, None)
    assert [path.name for path in folder.iterdir()] == ["set.json"]


def write_set(folder, record):
    with atomic_path(folder, record=record) as path:
        path.mkdir()
        (path / "set.json").touch()


def test_a_link_to_a_folder_is_followed_and_one_to_a_file_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with atomic_path(tmp_path / "link") as path:
        path.mkdir()
        (path / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "new").exists()
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "name").symlink_to(tmp_path / "precious")
    with atomic_path(tmp_path / "name") as path:
        path.write_text("new")
    assert ((tmp_path / "name").read_text(), (tmp_path / "precious").read_text()) == ("new", "kept")
    assert len(list(tmp_path.iterdir())) == 4


def test_an_old_folder_stays_until_the_new_one_is_there(tmp_path, monkeypatch):
    path, replace = tmp_path / "folder", os.replace
    path.mkdir()
    (path / "old").touch()

    def fails(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(UserError, match="No space left"), atomic_path(path) as new:
        new.mkdir()
    monkeypatch.setattr(os, "replace", replace)
    assert [each.name for each in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_written_into_a_folder_to_be_needs_no_locks_of_its_own(tmp_path):
    with atomic_path(tmp_path / "folder") as path:
        path.mkdir()
        with atomic_path(path / "file") as inner:
            assert not [each for each in tmp_path.rglob("*-lock") if "file" in each.name]
            inner.touch()
    assert [each.name for each in (tmp_path / "folder").iterdir()] == ["file"]


def test_what_a_library_leaves_beside_a_file_goes_with_it(tmp_path):
    """As safetensors does, which writes ``.tmpXXXXXX`` and moves it."""
    with atomic_path(tmp_path / "file") as path:
        path.with_name(".tmpAbCdEf").touch()
        path.touch()
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_line_is_appended_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "lines"
    append_line(path, "ä" * 5000)
    append_line(path, "b")
    assert path.read_text() == "ä" * 5000 + "\nb\n"
    for torn, kept in (("c", "ä" * 5000 + "\nb\n"), ("x" * 9000, "")):
        path.write_text(kept + torn)
        append_line(path, "d")
        assert path.read_text() == kept + "d\n"
    with pytest.raises(UserError, match="lines/in it cannot be written: "):
        append_line(path / "in it", "e")


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path):
    path = tmp_path / "lines"
    path.write_text("whole\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9, hard))
    try:
        for file in (path, tmp_path / "new"):
            with pytest.raises(UserError, match=f"{file} cannot be written: "):
                append_line(file, "a long line")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "whole\n"
    assert list(tmp_path.iterdir()) == [path]


def test_parts_of_a_folder_are_renewed_together(tmp_path):
    for name in ("record.json", "a", "gone", "other"):
        (tmp_path / name).write_text("old")

    def renew(*, fail):
        with renewed_parts(tmp_path, record="record.json", instead=["a", "gone"]) as new:
            for name in ("a", "record.json", "z"):
                (new / name).write_text("new")
            if fail:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        renew(fail=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        ("record.json", "a", "gone", "other"), "old"
    )
    renew(fail=False)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "record.json": "new", "a": "new", "z": "new", "other": "old",
    }  # fmt: skip


def test_renewed_parts_without_their_record_are_seen_as_incomplete(tmp_path, monkeypatch):
    """A kill among the moves: the record is gone before the first part is replaced, and comes back last."""
    (tmp_path / "record.json").write_text("old")
    (tmp_path / "a").write_text("old")
    replace = os.replace

    def killed(source, target):
        if os.path.basename(target) == "record.json":
            raise KeyboardInterrupt
        replace(source, target)

    def renew():
        with renewed_parts(tmp_path, record="record.json") as new:
            for name in ("a", "record.json"):
                (new / name).write_text("new")

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        renew()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new"}


def test_require_folder(tmp_path):
    with pytest.raises(UserError, match="none does not exist; it should be a log folder"):
        require_folder(tmp_path / "none", "a log folder")
    with pytest.raises(UserError, match="is empty"):
        require_folder(tmp_path, "a log folder")
    (tmp_path / "file").touch()
    assert require_folder(tmp_path, "a log folder") == tmp_path
    with pytest.raises(UserError, match="is not a folder"):
        require_folder(tmp_path / "file", "a log folder")


@pytest.mark.parametrize("name", ["brake", "not_brake", "0.5 m-s", "Straße", "a" * 100, "dreißig km", "x.y"])
def test_a_name_of_letters_digits_and_a_few_signs_may_name_a_folder(name):
    assert folder_name(name, "class name") == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            ".hidden",
            "../x",
            "a/b",
            "/abs",
            "a\\b",
            "a:b",
            "C:x",
            "a|b",
            "a\nb",
            "a\x00b",
            "\u202eb",
            "\udcff",
        ),
        *("a" * 101, "\u4e2d" * 80, " a", "a ", "a.", "<b>", "~", "$HOME", "-;", 3, None, ["a"]),
    ],
)
def test_any_other_name_is_refused_in_one_printable_line(name):
    with pytest.raises(UserError, match=r"^arm .* cannot name a folder; take up to 100 letters") as refused:
        folder_name(name, "arm")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_write_that_the_system_refuses_names_its_file(tmp_path):
    path = tmp_path / "new" / "file"
    refused = pytest.raises(UserError, match=rf"^{path} cannot be written: No space left on device; free")
    with refused, atomic_path(path):
        full()
    denied = pytest.raises(UserError, match=rf"^{path} cannot be written: Permission denied; name another folder")
    with denied, atomic_path(path) as temporary:
        raise PermissionError(errno.EACCES, "x", str(temporary / "part"))
    with pytest.raises(FileNotFoundError, match="another"), atomic_path(path):  # what is read says its own name
        (tmp_path / "another").read_bytes()
    with pytest.raises(UserError, match="File name too long; take a shorter name"):
        write_json(tmp_path / ("n" * 300), {})
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"below cannot be written: {tmp_path / 'file'} is a file; name another path"):
        write_json(tmp_path / "file" / "below", {})
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_is_replaced_is_told(tmp_path):
    told = []
    display = type("Display", (), {"say": staticmethod(told.append)})()
    for _ in range(2):
        with showing(display), atomic_path(tmp_path / "out") as folder:
            folder.mkdir()
            (folder / "set.json").write_text("{}")
    assert told == [f"{tmp_path / 'out'}: what was there before is replaced"]
