import json

import pytest

from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.verbs.bench import bench
from roadstill.verbs.planning import plan


def test_it_prints_every_stage(capsys):
    assert main(["plan", "--frames", "100000", "--backbone", "DiT-XL/2", "--gpus", "8", "--gpu_tflops", "100"]) == 0
    text = capsys.readouterr().out
    for stage in ("index", "prepare", "encode", "finetune", "generate", "train agents", "all"):
        assert f"\n{stage} " in text
    assert "torchrun, 8 processes (DDP)" in text


def test_it_prints_json():
    found = json.loads(plan(1000, json=True))
    assert [each["name"] for each in found["stages"]][:3] == ["index", "prepare", "encode"]


def test_without_a_number_of_frames_it_says_how():
    with pytest.raises(UserError, match="--frames 100000"):
        plan()


def test_figures_are_written_by_stages_alone_and_over_nothing_else(tmp_path):
    with pytest.raises(UserError, match="out is for stages; leave it out with encode"):
        bench("encode", out=tmp_path / "rates.json")
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(UserError, match="is no file of figures"):
        bench("stages", out=tmp_path / "mine.json")
