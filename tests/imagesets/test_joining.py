import numpy as np
import pytest
from made import picture_set

from roadstill.errors import UserError
from roadstill.imagesets.joining import join


def test_pictures_of_both_sets_are_read_where_they_lie_and_can_be_saved(tmp_path):
    one, two = picture_set(tmp_path / "a" / "one", 4), picture_set(tmp_path / "two", 6, seed=1)
    whole = join([one, two])
    assert len(whole) == 10
    np.testing.assert_array_equal(whole.pixels(), np.concatenate([one.pixels(), two.pixels()]))
    np.testing.assert_array_equal(whole.labels, np.concatenate([one.labels, two.labels]))
    saved = whole.subset([9, 0]).save(tmp_path / "saved")
    assert {fact["log"] for fact in saved.facts} == {"log0-0", "log1-1"}
    saved.check_pictures()


def test_one_set_alone_is_itself(tmp_path):
    one = picture_set(tmp_path / "one", 4)
    np.testing.assert_array_equal(join([one]).pixels(), one.pixels())


def test_a_changed_picture_is_noticed(tmp_path):
    one, two = picture_set(tmp_path / "one", 4), picture_set(tmp_path / "two", 4, seed=1)
    (two.root / two.files[0]).write_bytes((one.root / one.files[0]).read_bytes())
    with pytest.raises(UserError, match="is not the picture that the set was written with"):
        join([one, two]).pixels()


def test_sets_of_another_size_are_refused(tmp_path):
    one, two = picture_set(tmp_path / "one", 4), picture_set(tmp_path / "two", 4, px=8)
    with pytest.raises(UserError, match=r"8 px, but .* of 16 px; prepare both alike"):
        join([one, two])
