"""Jobs of a stage: each finishes its own, in whichever process, and one that fails leaves its stage undone."""

import pytest

from roadstill.errors import UserError
from roadstill.pipeline import Road
from roadstill.pipeline.jobs import do_all, workers_of
from roadstill.recipes import Arm, Recipe


def write(road, name):
    if name == "bad":
        raise UserError("this one cannot be made")
    road.folder.joinpath(name).write_text(road.recipe.name)


@pytest.fixture
def road(tmp_path):
    said = []
    made = Road(Recipe("r", {"random": Arm("random", "x")}), tmp_path, said.append, workers=1)
    made.said = said
    return made


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_finish_their_stages_and_say_so(road, workers):
    road.workers = workers
    stages = {name: road.stage(f"make-{name}", {"name": name}, later=True) for name in ("a", "b")}
    with workers_of(road) as pool:
        do_all(road, pool, [(write, name, stage) for name, stage in stages.items()])
    assert sorted(road.said) == ["make-a", "make-b"]
    assert all(stage.done for stage in stages.values())
    assert (road.folder / "a").read_text() == "r"


def test_a_job_that_fails_leaves_its_stage_undone(road):
    good, bad = (road.stage(name, {}, later=True) for name in ("good", "bad"))
    with workers_of(road) as pool, pytest.raises(UserError, match="cannot be made"):
        do_all(road, pool, [(write, "good", good), (write, "bad", bad)])
    assert good.done
    assert not bad.done
