"""doctor RUN: damage of every kind is named, and made good by the run's own recipe with equal digests."""

import json
import re
import shutil

import pytest
from made import tiny_run, unsealed

from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.pipeline.wholeness import examine, mend, runs_in
from roadstill.runs import digest_file


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run on class folders with two arms."""
    return tiny_run(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def digests(run):
    """Digest of every file but those that hold times."""
    timed = ("stage.json", "test_ledger.jsonl", "records.jsonl", "report.html")
    files = (path for path in run.rglob("*") if path.is_file() and path.name not in timed)
    return {path.relative_to(run).as_posix(): digest_file(path) for path in files}


def said(run):
    return [str(finding) for finding in examine(run)]


def test_a_whole_run(run, capsys):
    assert said(run) == []
    before = digests(run)
    assert main(["doctor", str(run)]) == 0
    assert capsys.readouterr().out == f"{run} is whole\n"
    assert main(["doctor", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"whole": True, "findings": []}
    assert digests(run) == before


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edited_run(run):
    path = run / "runs" / "test" / "random" / "seed1" / "run.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 7'))
    return "stage agent-random-1: runs/test/random/seed1/run.json: not as it was made"


def flipped_predictions(run):
    flip(run / "runs" / "test" / "random" / "seed0" / "predictions.parquet")
    return "stage agent-random-0: runs/test/random/seed0/predictions.parquet: not as it was made"


def flipped_picture(run):
    flip(run / "sets" / "train" / "0_a" / "000003.png")
    return "stage sets: sets/train/0_a/000003.png is not the picture that the set was written with"


def deleted_set(run):
    shutil.rmtree(run / "arms" / "medoids" / "seed2")
    return "stage set-medoids-2: arms/medoids/seed2: missing"


def edited_labels(run):
    path = run / "sets" / "test" / "set.json"
    path.write_text(path.read_text().replace('"size_px": 16', '"size_px": 17'))
    return "stage sets: sets/test/set.json: not as it was made"


def cut_record(run):
    path = run / "stages" / "set-random-0" / "stage.json"
    path.write_bytes(path.read_bytes()[:50])
    return "stage set-random-0: its record is damaged"


def deleted_record(run):
    (run / "stages" / "set-random-0" / "stage.json").unlink()
    return "stage set-random-0: not made"


def edited_comparison(run):
    path = run / "comparison.json"
    path.write_text(path.read_text().replace('"random"', '"rindom"', 1))
    return "comparison.json: changed after it was written"


def deleted_report(run):
    (run / "report.html").unlink()
    return "report.html: missing"


def deleted_book(run):
    (run / "records.jsonl").unlink()
    return "records.jsonl: 25 of the run's records are not in it, the first comparison.json"


def cut_book(run):
    """The line of the comparison goes, so that nothing tells that it was edited."""
    lines = (run / "records.jsonl").read_text().splitlines(keepends=True)
    (run / "records.jsonl").write_text("".join(line for line in lines[:-1]))
    path = run / "comparison.json"
    path.write_text(json.dumps(unsealed(path) | {"num_images": 7}))
    return "records.jsonl: 1 of the run's records are not in it, the first comparison.json"


MENDABLE = [
    edited_run, flipped_predictions, flipped_picture, deleted_set, edited_labels, cut_record, deleted_record,
    edited_comparison, deleted_report, deleted_book, cut_book,
]  # fmt: skip


@pytest.mark.parametrize("change", MENDABLE)
def test_damage_is_named_and_made_good(run, change, capsys):
    before = digests(run)
    says = change(run)
    assert says in said(run)
    assert main(["doctor", str(run)]) == 2
    err = capsys.readouterr().err.splitlines()
    assert says in "\n".join(err[:-1])
    assert err[-1].startswith(f"roadstill: {run}: ")
    assert err[-1].endswith("--repair makes again what a recipe can")
    assert main(["doctor", str(run), "--repair", "--workers", "1"]) == 0
    assert digests(run) == before
    assert said(run) == []


def edited_ledger(run):
    path = run / "test_ledger.jsonl"
    path.write_text(path.read_text().replace("agents of recipe", "agents of the recipe"))
    return r"test_ledger\.jsonl, line 1 was changed"


def shortened_ledger(run):
    path = run / "test_ledger.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    return r"test_ledger\.jsonl: lines that were at its end are gone"


def reordered_book(run):
    path = run / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[1], lines[0], *lines[2:]]))
    return r"records\.jsonl, line 1 does not follow"


def edited_recipe(run):
    path = run / "recipe.yaml"
    path.write_text(path.read_text().replace("image_px: 16", "image_px: 8", 1))
    return "made with other settings than recipe.yaml has"


def damaged_recipe(run):
    (run / "recipe.yaml").write_text("arms: [")
    return r"recipe\.yaml: .*cannot be read as YAML"


@pytest.mark.parametrize("change", [edited_ledger, shortened_ledger, reordered_book, edited_recipe, damaged_recipe])
def test_what_no_recipe_makes_again_is_named_and_kept(run, change, capsys):
    says = change(run)
    assert main(["doctor", str(run)]) == 2
    found = capsys.readouterr().err
    assert re.search(says, found)
    before = digests(run)
    assert main(["doctor", str(run), "--repair", "--workers", "1"]) == 2
    assert {name: digest for name, digest in digests(run).items() if name in before} == before
    if change is not damaged_recipe:
        assert main(["run", str(run / "recipe.yaml"), "--out", str(run), "--workers", "1"]) == 2


def test_nothing_is_written_through_a_link_that_leads_out(run, tmp_path, capsys):
    shutil.move(run / "arms", tmp_path / "elsewhere")
    (run / "arms").symlink_to(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "elsewhere" / "medoids")
    before = digests(tmp_path)
    for words in (["doctor", run], ["doctor", run, "--repair"], ["run", run / "recipe.yaml", "--out", run]):
        assert main([*map(str, words), "--workers", "1"]) == 2
        assert f"{run / 'arms'} is a link that leads out of {run}" in capsys.readouterr().err
    assert digests(tmp_path) == before


def test_the_runs_of_a_study(run, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    shutil.copytree(run, study / "one")
    assert runs_in(study) == [study / "one"]
    assert runs_in(run) == [run]
    with pytest.raises(UserError, match="holds no run"):
        runs_in(run / "sets")
    with pytest.raises(UserError, match="does not exist"):
        runs_in(tmp_path / "none")


def test_repair_needs_a_run(capsys):
    assert main(["doctor", "--repair"]) == 2
    assert "name it: roadstill doctor RUN" in capsys.readouterr().err


def test_what_comes_out_otherwise_is_said(run, monkeypatch):
    deleted_set(run)
    path = run / "stages" / "set-medoids-2" / "stage.json"
    record = unsealed(path)
    name = "arms/medoids/seed2/set.json"
    record["outputs"]["files"][name][1] = "0" * 16
    path.write_text(json.dumps(record))
    assert [str(found) for found in mend(run, workers=1)] == [f"{name}: was made again, but is not as it was"]
