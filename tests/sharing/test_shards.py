import pytest

from roadstill.sharing.shards import Shards


def test_names_say_how_many_there_are_once_that_is_known(tmp_path):
    with Shards(tmp_path / "data", "train", "tar", 5) as shards:
        for text in ("abc", "abcdef"):
            shards.begin().write_text(text)
            assert shards.is_full() == (len(text) > 5)
        assert [path.name for path in shards.paths] == ["train-00000.tar", "train-00001.tar"]
    assert [path.name for path in shards.paths] == ["train-00000-of-00002.tar", "train-00001-of-00002.tar"]
    assert sorted(tmp_path.glob("data/*")) == shards.paths


def test_after_an_error_nothing_is_renamed(tmp_path):
    def fail():
        with Shards(tmp_path / "data", "train", "tar", 5) as shards:
            shards.begin().touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["train-00000.tar"]
