"""roadstill drive, from agents to a page."""

import json

import pytest
from made import picture_set
from made_maps import crossroads

from roadstill.cli import main

pytest.importorskip("shapely")


def test_agents_drive_and_are_told_apart_from_controls(tmp_path, capsys):
    assert main(["world", str(tmp_path / "world"), "--drives", "3", "--seed", "77", "--pictures", "false",
                 "--height_px", "72"]) == 0  # fmt: skip
    pictures = picture_set(tmp_path / "set", 4, px=32)
    for arm in ("first", "second"):
        for seed in range(3):
            assert main(["train", str(pictures.root), str(tmp_path / arm / f"seed{seed}"), "--agent.network", "convnet",
                         "--agent.steps", "2", "--agent.image_px", "16", "--seed", str(seed)]) == 0  # fmt: skip
    command = ["drive", str(tmp_path / "world"), str(tmp_path / "out"), "--agents",
               f"[{tmp_path / 'first'},{tmp_path / 'second'}]", "--baseline", "first", "--scenarios", "3",
               "--seconds", "2", "--workers", "1"]  # fmt: skip
    capsys.readouterr()
    assert main(command) == 0
    said = capsys.readouterr().out
    for name in ("first", "second", "always-brake", "never-brake", "oracle"):
        assert f"\n{name} " in said
    assert "second and first cannot be told apart" in said or "second is" in said
    found = json.loads((tmp_path / "out" / "drives.json").read_text())
    assert found["scenarios"] == 3
    assert list(found["verdicts"]) == ["second"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "driving score" in page
    assert "data:image/gif;base64," in page


def test_what_cannot_drive_is_said(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "note.txt").write_text("no agent")
    assert main(["world", str(tmp_path / "world"), "--drives", "1", "--seed", "77", "--pictures", "false"]) == 0
    command = ["drive", str(tmp_path / "world"), str(tmp_path / "out"), "--agents", str(tmp_path / "empty")]
    assert main(command) == 2
    assert "holds no agent; name a folder that roadstill train made" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_agents_drive_beside_logs(tmp_path, capsys):
    assert main(["world", str(tmp_path / "world"), "--drives", "1", "--seed", "77", "--height_px", "48"]) == 0
    pictures = picture_set(tmp_path / "set", 4, px=32)
    assert main(["train", str(pictures.root), str(tmp_path / "agent"), "--agent.network", "convnet",
                 "--agent.steps", "2", "--agent.image_px", "16"]) == 0  # fmt: skip
    capsys.readouterr()
    command = ["drive", str(tmp_path / "world"), str(tmp_path / "out"), "--replay", "true", "--agents",
               str(tmp_path / "agent"), "--scenarios", "3"]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    for name in ("human", "constant-speed", "agent-0", "always-brake", "never-brake"):
        assert f"\n{name} " in said
    assert "PDM-like is not NAVSIM's score" in said
    assert json.loads((tmp_path / "out" / "replays.json").read_text())["scenes"] == 3
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


def test_a_car_drives_on_a_map_alone(tmp_path, capsys):
    path = crossroads().write(tmp_path / "map.gpkg")
    assert main(["drive", str(path), str(tmp_path / "out"), "--route", "1,5", "--seconds", "6"]) == 0
    assert "m over 3 lanes in 6.0 s" in capsys.readouterr().out
    rows = (tmp_path / "out" / "drive.csv").read_text().splitlines()
    assert (rows[0].split(",")[:3], len(rows)) == (["time_s", "x_m", "y_m"], 62)
    assert sorted(each.name for each in (tmp_path / "out").glob("*.png")) == ["000s.png", "005s.png"]
    assert main(["drive", str(path), str(tmp_path / "other")]) == 2
    assert "is a map; name the first and the last block of a way, as --route 1100,1104" in capsys.readouterr().err
    assert main(["drive", str(tmp_path / "none.osm"), str(tmp_path / "other"), "--route", "1,5"]) == 2
    assert "is not a file; it should be a map" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
