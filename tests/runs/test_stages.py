from dataclasses import dataclass
from pathlib import Path

from roadstill.runs import (
    Stage,
    read_json,
    read_metrics,
    versions,
)


@dataclass
class Config:
    steps: int
    where: Path


def test_a_stage_is_done_for_equal_work_only(tmp_path):
    stage = Stage(tmp_path / "s", Config(3, Path("a")), {"images": "d1"})
    assert not stage.done
    stage.log(step=1, loss=0.5)
    assert not stage.done
    stage.finish(path=Path("out"))
    assert stage.done
    assert Stage(tmp_path / "s", Config(3, Path("a")), {"images": "d1"}).done
    assert not Stage(tmp_path / "s", Config(4, Path("a")), {"images": "d1"}).done
    assert not Stage(tmp_path / "s", Config(3, Path("a")), {"images": "d2"}).done
    record = read_json(tmp_path / "s" / "stage.json")
    assert record["outputs"] == {"path": "out"}
    assert record["config"]["steps"] == 3
    assert record["versions"]["python"] == versions()["python"]


def test_metrics_survive_a_torn_line(tmp_path):
    stage = Stage(tmp_path, {})
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    stage.log(step=1, loss=0.5)
    stage.log(step=2, loss=0.25)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 3, "lo')
    assert read_metrics(path) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}]
