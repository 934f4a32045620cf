"""What the verb describe says and leaves."""

import json

import pytest
from made import picture_set

from roadstill.agents import AgentConfig
from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.verbs.describing import describe
from roadstill.verbs.judge import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("describing")
    for seed, (name, count) in enumerate({"train": 40, "made": 12, "other": 12}.items()):
        picture_set(path / name, count, px=32, seed=seed)
    train(path / "train", path / "agent", agent=AgentConfig(network="convnet", steps=2))
    return path


def test_a_row_for_each_class_of_each_set_and_all_figures_as_json(folder, tmp_path, capsys):
    call = ["describe", f"{folder / 'made'}", f"{folder / 'other'}", "--real", f"{folder / 'train'}"]
    out = tmp_path / "figures.json"
    assert main([*call, "--agent", f"{folder / 'agent'}", "--pairs", "1", "--out", f"{out}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("as asked  confidence")
    assert [line.split()[1] for line in lines[1:7]] == ["not_brake", "brake", "all"] * 2
    assert "features of convnet" in lines[7]
    assert any("too high" in line for line in lines)
    assert sum(" from " in line for line in lines) == 2
    found = json.loads(out.read_text())
    assert list(found["sets"]) == [str(folder / "made"), str(folder / "other")]
    made = found["sets"][str(folder / "made")]
    assert made["classes"]["all"]["pictures"] == 12
    assert {"precision", "recall", "density", "coverage"} == made["classes"]["brake"]["overlap"].keys()
    assert found["real"]["pictures"] == 40
    assert main([*call, "--agent", f"{folder / 'agent'}", "--out", f"{out}"]) == 0  # its own file is renewed


def test_without_an_agent_nothing_is_read_as_asked(folder):
    said = describe([folder / "made"], real=folder / "train")
    assert "as asked" not in said
    assert "1,280 features of efficientnet-lite0 (ImageNet weights" in said


def test_the_test_part_is_not_looked_at(folder, tmp_path):
    from roadstill.imagesets import open_imageset

    test = open_imageset(folder / "other").subset(range(12), split="test").save(tmp_path / "test").root
    for what, real in ((test, folder / "train"), (folder / "made", test)):
        with pytest.raises(UserError, match="is the test part, which only evaluate, compare and audit open"):
            describe([what], real=real, agent=folder / "agent")


def test_mistakes_are_named_before_any_work(folder, tmp_path):
    with pytest.raises(UserError, match=r"made are compared with: --real work/sets/train"):
        describe([folder / "made"])
    with pytest.raises(UserError, match="name one or more image sets"):
        describe([], real=folder / "train")
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(UserError, match="is no description of sets, so it is kept"):
        describe([folder / "made"], real=folder / "train", out=tmp_path / "notes.json")
    with pytest.raises(UserError, match="pairs is -1"):
        describe([folder / "made"], real=folder / "train", pairs=-1)


def test_a_folder_of_class_folders_is_a_set_and_its_pictures_are_known_again(folder, tmp_path):
    from roadstill.imagesets import open_imageset

    for name, rows in (("0_not_brake", range(0, 12, 2)), ("1_brake", range(1, 12, 2))):
        (tmp_path / "plain" / name).mkdir(parents=True)
        train_part = open_imageset(folder / "train")
        for row in rows:
            (tmp_path / "plain" / name / f"{row}.png").write_bytes(train_part.picture_bytes(row))
    said = describe([tmp_path / "plain"], real=folder / "train", agent=folder / "agent")
    assert f"plain: 12 of its pictures are frames of {folder / 'train'} and were left out there" in said
