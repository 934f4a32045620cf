"""Where run and study put things, and what they say; the whole road itself is in tests/end_to_end."""

import pytest

from roadstill import pipeline
from roadstill.errors import UserError
from roadstill.evaluation import compare
from roadstill.evaluation.selftest import Simulation, World
from roadstill.verbs import whole


@pytest.fixture
def asked(monkeypatch):
    """Recipe and folder that a run was asked for; nothing is run."""
    seen = []
    world = World(Simulation(logs=8, images_per_log=12), 0)
    found = compare({name: world.runs(name, range(3)) for name in ("random", "other")}, baseline="random")

    def stand_in(recipe, folder, *, say, workers, allow_leak):
        seen.append((recipe, folder))
        return [found]

    monkeypatch.setattr(pipeline, "run_recipe", stand_in)
    return seen


def test_a_run_goes_to_a_folder_of_its_name_and_size(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("roadstill.report.verdicts.comparisons", lambda folder: [{"title": "t"}])
    said = whole.run("demo", size="toy", seeds=4)
    whole.run("demo", out=tmp_path / "here")
    (recipe, folder), (_, other) = asked
    assert recipe.seeds == 4
    assert (folder.as_posix(), other) == ("runs/demo-toy", tmp_path / "here")
    assert "All figures are from synthetic pictures of the built-in world." in said
    assert said.endswith("report.html")


@pytest.mark.parametrize("verb", [whole.run, whole.study])
def test_a_file_in_the_way_is_refused_before_any_work(verb, asked, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken is a file; name a folder with --out"):
        verb("demo", out=tmp_path / "taken")
    assert asked == []


def test_a_report_needs_a_run_folder(tmp_path):
    with pytest.raises(UserError, match="should be a run folder, made by run or demo"):
        whole.report(tmp_path / "none")


def test_the_one_confirmation_has_a_reserved_world_with_new_towns(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("roadstill.report.verdicts.comparisons", lambda folder: [{"title": "t"}])
    said = whole.run("demo", reserved=9007)
    ((recipe, folder),) = asked
    assert (recipe.world.seed, recipe.world.group, recipe.world.reserved) == (9007, "confirm", True)
    assert folder.as_posix() == "runs/demo-9007"
    assert "the built-in world 9007, reserved for confirmation" in said
    with pytest.raises(UserError, match="reserved worlds begin at 9000"):
        whole.run("demo", reserved=12)
    with pytest.raises(UserError, match="leave one out"):
        whole.run("demo", reserved=9007, data="logs")
