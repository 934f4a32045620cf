import pytest
from made import picture_set

from roadstill.errors import UserError
from roadstill.imagesets.streams import stream_imageset
from roadstill.sharing.pictures import PictureFolder


def test_a_picture_lies_under_its_name_and_a_name_stands_once(tmp_path):
    picture_set(tmp_path / "set", 2)
    pictures = PictureFolder(tmp_path / "data", stream_imageset(tmp_path / "set"))
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["0_not_brake", "1_brake"]
    facts = {"file_name": "1_brake/000000.png"}
    pictures.put(facts, b"one")
    with pytest.raises(UserError, match=r"metadata\.jsonl: '1_brake/000000\.png' is the file of two lines"):
        pictures.put(facts, b"two")
    assert (tmp_path / "data" / "1_brake" / "000000.png").read_bytes() == b"one"
