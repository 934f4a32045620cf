"""What killed processes left is removed, an old product comes back, and files of others are kept."""

import pytest

from roadstill.runs import hold, remove


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_an_old_product_comes_back_if_the_new_one_did_not_take_its_place(tmp_path):
    for name in ("out", "out2"):
        (tmp_path / f".{name}.12345678.old").mkdir()
        (tmp_path / f".{name}.12345678.old" / "precious").touch()
        (tmp_path / f".{name}.87654321.part").mkdir()
    (tmp_path / "out2").mkdir()
    for name in ("out", "out2"):
        with hold(tmp_path / name):
            pass
    assert names(tmp_path) == ["out", "out/precious", "out2"]


def test_files_of_others_are_kept(tmp_path):
    out = tmp_path / "out"
    kept = [
        ".out.part",
        ".other.12345678.part",
        "out/.x.lock",
        "out/.x.part",
        "out/x.12345678.part",
        "out/.a.zzzz.part",
    ]
    for name in kept:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".out.4711.part").mkdir()  # as versions before 0.2 named them
    with hold(out):
        pass
    assert names(tmp_path) == sorted([*kept, "out"])


def test_a_folder_is_removed_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(folder)
    monkeypatch.undo()
    assert not folder.exists()
    with hold(folder):
        pass
    assert names(tmp_path) == []
