"""Sets read picture by picture: the same facts and bytes as `open_imageset` gives, and the same refusals."""

import json

import pytest
from made import picture_set, unseal_set
from PIL import Image

from roadstill.errors import UserError
from roadstill.imagesets import open_imageset
from roadstill.imagesets.pictures import picture_digest
from roadstill.imagesets.streams import stream_imageset


def read(folder):
    stream = stream_imageset(folder)
    return [(facts, stream.png(facts)) for facts in stream.facts()]


def test_all_pictures_in_order(tmp_path):
    images = picture_set(tmp_path / "set", 6, speed_mps=[1.0, 2, 3, 4, 5, 6.5])
    assert read(tmp_path / "set") == [(images.facts[row], images.picture_bytes(row)) for row in range(6)]
    tally = stream_imageset(tmp_path / "set").tally
    assert dict(zip(images.class_names, tally.counts, strict=True)) == images.counts()
    assert tally.columns == {"digest": "string", "crc32": "int64", "log": "string", "speed_mps": "float64"}


def test_facts_that_were_changed(tmp_path):
    picture_set(tmp_path / "set", 4, speed_mps=[1, 2, 3, 4])
    path = tmp_path / "set" / "metadata.jsonl"
    path.write_text(path.read_text().replace('"speed_mps": 3', '"speed_mps": 9'))
    with pytest.raises(UserError, match=r"metadata\.jsonl is not what set\.json was written with"):
        stream_imageset(tmp_path / "set")
    unseal_set(tmp_path / "set")  # an earlier version's record: its digest is over files, labels and pictures
    assert len(read(tmp_path / "set")) == 4
    path.write_text(path.read_text().replace('"label": 1', '"label": 0').replace("1_brake", "0_not_brake"))
    with pytest.raises(UserError, match=r"is the file of line|is not what set\.json was written with"):
        stream_imageset(tmp_path / "set")


def test_a_picture_that_was_changed(tmp_path):
    picture_set(tmp_path / "set", 4)
    file = tmp_path / "set" / "1_brake" / "000001.png"
    file.write_bytes(file.with_name("000000.png").read_bytes())
    with pytest.raises(UserError, match=r"1_brake.000001\.png is not the picture that the set was written with"):
        read(tmp_path / "set")


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_that_is_no_png_of_the_sets_size(tmp_path, kind):
    picture_set(tmp_path / "set", 4)
    file = tmp_path / "set" / "1_brake" / "000001.png"
    Image.new("RGB", (9, 9)).save(file, kind)
    path = tmp_path / "set" / "metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3] |= {"digest": picture_digest(file.read_bytes())}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = json.loads((tmp_path / "set" / "set.json").read_text())
    from roadstill.imagesets.writing import digest_rows
    from roadstill.runs import digest_file

    record |= {"digest": digest_rows(record["class_names"], rows), "metadata": digest_file(path)}
    record.pop("seal")
    (tmp_path / "set" / "set.json").write_text(json.dumps(record))
    assert open_imageset(tmp_path / "set")
    with pytest.raises(UserError, match=r"000001\.png is no PNG picture of 16 x 16 pixels"):
        read(tmp_path / "set")
