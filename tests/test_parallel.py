"""Workers: every job is done once, errors come through, a killed process is named."""

import os

import pytest

from roadstill.errors import UserError
from roadstill.parallel import Workers


@pytest.mark.parametrize("count", [1, 2])
def test_every_job_is_done_and_handed_back(tmp_path, count):
    jobs = [(str(tmp_path / name),) for name in "abc"]
    with Workers(count, os.mkdir) as workers:
        assert sorted(workers.each("__call__", jobs)) == jobs
        assert list(workers.each("__call__", [])) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
        with pytest.raises(FileExistsError):
            list(workers.each("__call__", jobs[:1]))


def test_a_killed_process_is_one_clear_line():
    with Workers(2, os._exit) as workers, pytest.raises(UserError, match="--workers 1"):
        list(workers.each("__call__", [(9,)]))
