import pytest
from hostile import make_good


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """Whole products that cases copy and break."""
    return make_good(tmp_path_factory.mktemp("good"))
