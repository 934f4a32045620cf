"""Names in strangers' files that would leave the folder which the user named: nothing is written anywhere."""

import json
import os
from pathlib import Path

import pytest
import yaml
from made import picture_set, unsealed

from roadstill.cli import main
from roadstill.weights import shipped
from roadstill.weights.tensors import read_tensors, write_tensors

CLIMBING = ["../../../x", "/tmp/roadstill-x", "a/b", ".x", "..", "a\\b", "x\ny"]


def everything(folder: Path) -> set[str]:
    return {os.path.join(at, name) for at, folders, files in os.walk(folder) for name in (*folders, *files)}


@pytest.fixture
def deep(tmp_path, monkeypatch):
    """A folder some levels down, so that what climbs out of it is seen."""
    folder = tmp_path / "1" / "2" / "3" / "4"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def refused(words, capsys, tmp_path) -> str:
    """The line with which a command that must write nothing ends."""
    before = everything(tmp_path)
    assert main([str(word) for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert everything(tmp_path) == before
    assert not Path("/tmp/roadstill-x").exists()
    return line


@pytest.mark.parametrize("name", CLIMBING)
def test_class_names_of_a_base_file(deep, tmp_path, capsys, name):
    tensors, about = read_tensors(shipped("dit.safetensors"), "the shipped base")
    write_tensors(deep / "theirs.safetensors", tensors, about | {"class_names": [name, "brake"]})
    line = refused(["generate", "out", "--checkpoint", "theirs.safetensors", "--per_class", 1], capsys, tmp_path)
    assert "theirs.safetensors, metadata: class name" in line


@pytest.mark.parametrize("name", CLIMBING)
def test_class_names_on_the_command_line_and_of_a_set(deep, tmp_path, capsys, name):
    words = ["generate", "out", "--class_names", name, "b", "--per_class", 1]
    assert "cannot name a folder" in refused(words, capsys, tmp_path)
    made = picture_set(deep / "set", 2)
    record = unsealed(made.root / "set.json")
    (made.root / "set.json").write_text(json.dumps(record | {"class_names": [name, "b"]}))
    for words in (["select", "set", "out", "--method", "random", "--per_class", 1], ["encode", "set", "out"]):
        assert "set.json: class name" in refused(words, capsys, tmp_path)


@pytest.mark.parametrize("name", CLIMBING)
@pytest.mark.parametrize("place", ["recipe", "arm", "budget"])
def test_names_in_a_recipe(deep, tmp_path, capsys, name, place):
    arm = {"recipe": "few", "arm": name, "budget": f"few@{name}"}[place]
    arms = {"random": {"kind": "random", "label": "r"}, arm: {"kind": "random", "label": "few"}}
    recipe = {"name": name if place == "recipe" else "m", "seeds": 3, "arms": arms}
    (deep / "r.yaml").write_text(yaml.safe_dump(recipe))
    assert "cannot name a folder" in refused(["run", "r.yaml"], capsys, tmp_path)
