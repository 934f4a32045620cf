import errno
import os

import pytest

from roadstill.errors import UserError
from roadstill.runs import (
    atomic_path,
    folder_name,
    require_folder,
    write_json,
)


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
    with pytest.raises(OSError, match="folder"), atomic_path(path):
        pass
    assert (path / "precious").exists()


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
    with pytest.raises(FileExistsError, match="file"):  # the door names what is in the way
        write_json(tmp_path / "file" / "below", {})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "new"]
    assert list((tmp_path / "new").iterdir()) == []
