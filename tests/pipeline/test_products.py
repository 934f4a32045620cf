"""What a stage leaves is noted when it is done, and looked at before it counts as done again."""

import json
import shutil

import pytest
from made import picture_set, unsealed

from roadstill.pipeline import Road
from roadstill.recipes import Arm, Recipe


def road_in(folder, *, deep=False, said=None):
    say = (said if said is not None else []).append
    return Road(Recipe("r", {"random": Arm("random", "x")}), folder, say, deep=deep)


def make(road):
    """A stage with an image set, a folder and a file; returns whether it was made."""
    stage = road.stage("all", {"steps": 3}, product=["sets", "tensors", "page.html"])
    if stage.done:
        return False
    assert not any((road.folder / name).exists() for name in ("sets/a/set.json", "tensors", "page.html"))
    picture_set(road.folder / "sets" / "a", 4)
    (road.folder / "tensors" / "deep").mkdir(parents=True)
    (road.folder / "tensors" / "deep" / "weights").write_bytes(bytes(range(100)))
    (road.folder / "tensors" / "metrics.jsonl").write_text('{"seconds": 1.5}\n')
    (road.folder / "page.html").write_text("page")
    stage.finish(frames=3)
    return True


@pytest.fixture
def run(tmp_path):
    assert make(road_in(tmp_path / "run"))
    return tmp_path / "run"


def test_the_record_names_the_files_but_no_picture(run):
    outputs = json.loads((run / "stages" / "all" / "stage.json").read_text())["outputs"]
    assert outputs["frames"] == 3
    assert sorted(outputs["files"]) == [
        "page.html", "sets/a/metadata.jsonl", "sets/a/set.json", "tensors/deep/weights", "tensors/metrics.jsonl",
    ]  # fmt: skip
    assert outputs["files"]["tensors/deep/weights"][0] == 100
    assert outputs["files"]["tensors/metrics.jsonl"] is None  # it holds times


def test_what_is_whole_is_not_made_again(run):
    (run / "tensors" / "metrics.jsonl").write_text("")
    (run / "tensors" / "more").write_text("")
    for deep in (False, True):
        assert not make(road_in(run, deep=deep))


def delete_set(run):
    shutil.rmtree(run / "sets")


def delete_part(run):
    shutil.rmtree(run / "sets" / "a")


def delete_file(run):
    (run / "page.html").unlink()


def delete_inner(run):
    (run / "tensors" / "deep" / "weights").unlink()


def delete_metrics(run):
    (run / "tensors" / "metrics.jsonl").unlink()


def delete_picture(run):
    (run / "sets" / "a" / "1_brake" / "000001.png").unlink()


def cut_file(run):
    (run / "page.html").write_text("pa")


def cut_record(run):
    path = run / "stages" / "all" / "stage.json"
    path.write_bytes(path.read_bytes()[:-40])


CHANGES = [
    delete_set, delete_part, delete_file, delete_inner, delete_metrics, delete_picture, cut_file,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_deleted_or_cut_is_made_again(run, change):
    before = (run / "stages" / "all" / "stage.json").read_text()
    change(run)
    said = []
    assert make(road_in(run, said=said))
    assert said[0].startswith("all: ")
    assert ": missing" in said[0] or ": not as it was made" in said[0]
    assert said[1:] == ["all"]
    after = json.loads((run / "stages" / "all" / "stage.json").read_text())
    assert after["outputs"] == json.loads(before)["outputs"]


def test_a_record_that_was_cut_off_is_made_again(run):
    cut_record(run)
    for name in ("sets", "tensors"):
        shutil.rmtree(run / name)
    (run / "page.html").unlink()
    assert make(road_in(run))


def flip_weights(run):
    path = run / "tensors" / "deep" / "weights"
    path.write_bytes(bytes([1]) + path.read_bytes()[1:])
    return "tensors/deep/weights: not as it was made"


def swap_pictures(run):
    folder = run / "sets" / "a" / "1_brake"
    shutil.copyfile(folder / "000000.png", folder / "000001.png")
    return "sets/a/1_brake/000001.png is not the picture that the set was written with"


@pytest.mark.parametrize("change", [flip_weights, swap_pictures])
def test_changed_bytes_are_found_by_reading_all(run, change):
    says = change(run)
    assert not make(road_in(run))
    said = []
    assert make(road_in(run, deep=True, said=said))
    assert said == [f"all: {says}", "all"]


def test_a_record_of_an_earlier_version_asks_only_for_the_product(run):
    path = run / "stages" / "all" / "stage.json"
    record = unsealed(path)
    path.write_text(json.dumps(record | {"outputs": {}}))
    delete_inner(run)
    assert not make(road_in(run))
    delete_set(run)
    assert make(road_in(run))


def test_a_record_that_names_files_elsewhere_is_damaged(run, tmp_path):
    path = run / "stages" / "all" / "stage.json"
    record = unsealed(path)
    record["outputs"]["files"]["../secret"] = [1, "0" * 16]
    path.write_text(json.dumps(record))
    stage = road_in(run).work("all", {"steps": 3}, product=["sets"])
    assert "leaves the folder" in stage.damage(deep=False)[0]
