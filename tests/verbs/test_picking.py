"""The verb select refuses what does not go together; each selector by name is in tests/selection."""

import pytest
from made import picture_set

from roadstill.errors import UserError
from roadstill.verbs.picking import select


@pytest.fixture
def images(tmp_path):
    return picture_set(tmp_path / "set", 8).root


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "herding"}, "method herding needs a teacher, made by train"),
        ({"method": "confident", "features": "pixels"}, "method confident needs a teacher"),
        ({"method": "random", "teacher": "agent"}, "method random does not take a teacher"),
        ({"train_only": True}, "train_only belongs to from_index"),
        ({"method": "herding", "features": "pixels", "codec": "pixels"}, "belong to features dit"),
        ({"method": "herding", "from_index": True}, "from an index choose random, per_drive or dynamics"),
        ({"method": "rded", "from_index": True}, "looks at pictures"),
        ({"method": "s3", "settings": {"group": 3}}, "has no setting 'group'"),
    ],
)
def test_options_that_do_not_go_together(images, tmp_path, options, says):
    with pytest.raises(UserError, match=says):
        select(images, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_it_says_what_it_picked(images, tmp_path):
    said = select(images, tmp_path / "out", method="medoids", features="pixels", per_class=2)
    assert said == f"{tmp_path / 'out'}: 4 images by medoids, 2 per class"
