"""Where logs and pictures lie, if not where they should."""

import os

import pytest

from roadstill.errors import UserError
from roadstill.sources.navsim.folders import elsewhere, folders_below, sensors_beside, survey
from roadstill.sources.navsim.logs import find_data, list_logs


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


@pytest.mark.parametrize(
    ("paths", "says"),
    [
        (["sensor_blobs/test/log1/CAM_F0/a.jpg"], "it holds pictures ({root}/sensor_blobs/test) but not their logs"),
        (["openscene-v1.1/sensor_blobs/mini/log1/CAM_F0/a.jpg"], "but not their logs, which are an archive of their"),
        (["openscene_metadata_test/meta_datas/test/log1.pkl"], "logs lie in {root}/openscene_metadata_test/meta_datas/"
                                                               "test; give that path"),
        (["logs/log1/log1.pkl", "logs/log2/log2.pkl"], "*.pkl files lie in 2 folders below it, the first {root}/logs/"),
        (["a/b/c/log1.pkl", "sensor_blobs/test/log1/CAM_F0/a.jpg"], "logs lie in {root}/a/b/c; give that path"),
        (["notes.txt"], "it should be NAVSIM logs"),
    ],
)  # fmt: skip
def test_what_is_there_instead_of_logs_is_said(tmp_path, paths, says):
    touch(tmp_path, *paths)
    with pytest.raises(UserError) as error:
        find_data(tmp_path)
    said = str(error.value)
    assert says.format(root=tmp_path) in said
    assert "navsim_logs/<split>, meta_datas/<split> or *_navsim_logs/<split>" in said


def test_sensors_of_another_split_are_found(tmp_path):
    logs = touch(tmp_path, "navsim_logs/test/l.pkl") / "navsim_logs" / "test"
    assert sensors_beside(logs) == []
    touch(tmp_path, "sensor_blobs/trainval/l/CAM_F0/a.jpg")
    assert sensors_beside(logs) == [tmp_path / "sensor_blobs" / "trainval"]
    touch(tmp_path, "mini_sensor_blobs/l/CAM_F0/a.jpg")  # without the split's layer
    assert sensors_beside(logs) == [tmp_path / "mini_sensor_blobs", tmp_path / "sensor_blobs" / "trainval"]


def test_a_picture_is_found_elsewhere_by_the_end_of_its_path(tmp_path):
    sensors = touch(tmp_path, "sensor_blobs/test/CAM_F0/a.jpg") / "sensor_blobs" / "test"
    assert elsewhere(sensors, "log1/CAM_F0/a.jpg") == sensors / "CAM_F0" / "a.jpg"
    assert elsewhere(sensors, "log1/CAM_F0/b.jpg") is None
    touch(tmp_path, "sensor_blobs/trainval/log1/CAM_F0/c.jpg")
    assert elsewhere(sensors, "log1/CAM_F0/c.jpg") == tmp_path / "sensor_blobs" / "trainval/log1/CAM_F0/c.jpg"
    assert elsewhere(tmp_path / "nowhere", "log1/x.jpg") is None


def test_a_look_around_ends(tmp_path, monkeypatch):
    touch(tmp_path, "1/2/3/4/5/6/deep.pkl", "x/y.txt", ".hidden/l.pkl")
    (tmp_path / "x" / "up").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert survey(tmp_path).logs == []
    names = [path.relative_to(tmp_path).as_posix() for path in folders_below(tmp_path)]
    assert names[:3] == [".", "1", "x"]
    assert max(map(len, (name.split("/") for name in names))) == 4
    monkeypatch.setattr("roadstill.sources.navsim.folders.MOST_FOLDERS", 2)
    assert len(list(folders_below(tmp_path))) == 2
    assert list(folders_below(tmp_path / "nowhere")) == [tmp_path / "nowhere"]


def test_a_link_to_itself_is_no_log(tmp_path):
    touch(tmp_path, "a.pkl")
    (tmp_path / "loop.pkl").symlink_to(tmp_path / "loop.pkl")
    os.mkfifo(tmp_path / "pipe.pkl")
    found = list_logs(tmp_path)
    assert (found.names, found.ignored) == (["a"], ["loop.pkl", "pipe.pkl"])
