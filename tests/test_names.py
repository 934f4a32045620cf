import pytest

from roadstill.errors import UserError
from roadstill.names import dotted


def test_a_dotted_path():
    assert dotted("roadstill.errors.UserError") is UserError


@pytest.mark.parametrize("path", ["", "nowhere", "nowhere.at_all", "roadstill.errors.Nothing", ".UserError"])
def test_a_path_to_nothing(path):
    with pytest.raises(ValueError, match=f"no {path!r}"):
        dotted(path)
