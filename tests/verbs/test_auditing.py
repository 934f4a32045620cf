"""What the verb audit says and leaves, and what it refuses."""

import json
import pickle

import numpy as np
import pytest
from made_streets import CHANGES, changed, grids, pictures, street, streets
from PIL import Image

from roadstill.agents import AgentConfig
from roadstill.cli import main
from roadstill.errors import UserError
from roadstill.evaluation import LEDGER, read_ledger
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.verbs.auditing import audit
from roadstill.verbs.judge import train
from roadstill.weights import shipped


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Parts of 24 px, so that no network of ImageNet is asked, and an agent; 8 of 12 pictures are copies."""
    path = tmp_path_factory.mktemp("auditing")
    real = streets(path / "train", range(12), 3, px=24, split="train")
    streets(path / "dev", range(100, 112), 3, px=24, split="dev")
    streets(path / "test", range(200, 206), 3, px=24, split="test")
    rng = np.random.default_rng(0)
    copies = [changed(real.pixels([3 * row + 2])[0], CHANGES[row], rng) for row in range(8)]
    pictures(path / "made", [*copies, *(street(900 + n, 0.5, 24) for n in range(4))], 24)
    train(path / "train", path / "agent", agent=AgentConfig(network="convnet", steps=2))
    return path


def call(folder, *more, made="made"):
    words = ["audit", folder / made, "--against", folder / "train", "--heldout", folder / "dev", "--frames", 24, *more]
    return main([str(word) for word in words])


def test_all_that_was_found_is_printed_and_left_as_figures_and_pictures(folder, tmp_path, capsys):
    more = ["--agent", folder / "agent", "--test", folder / "test", "--shown", "3"]
    assert call(folder, *more, "--out", tmp_path / "audit") == 0
    said = capsys.readouterr().out
    record = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert record["views"] == ["agent", "pixels"]
    assert record["flagged"] >= 7
    assert said.startswith(
        f"Copies: {record['flagged']} of 12 pictures flagged; of real frames of other drives 0.6 would"
    )
    listed = [line for line in said.splitlines() if line.startswith("  ") and " flagged " in line]
    assert len(listed) == record["flagged"]
    first = record["copies"]["pictures"][0]
    nearest = first["near"]["pixels"]
    assert (first["flagged"], nearest["file"]) == (True, open_imageset(folder / "train").files[nearest["row"]])
    assert set(record["copies"]["checked"]) == {"against", "heldout"}
    assert [each["name"] for each in record["membership"]] == ["the set, by agent", "the set, by pixels"]
    assert "1 % of 24 held-out ones" in said
    assert "is 0 of them: the figure is coarse" in said
    assert [(each["first"], each["second"]) for each in record["parts"]][-1] == ("heldout", "test")
    assert "LEAK" not in said
    assert "against: no blurring is recorded" in said
    with Image.open(tmp_path / "audit" / "suspects.png") as sheet:
        assert sheet.width > 3 * 192
        assert sheet.height > record["flagged"] * 192
    assert call(folder, *more, "--out", tmp_path / "audit") == 0  # its own folder is renewed


def test_the_word_is_never_said(folder, tmp_path, capsys):
    """What was not found may still be there: no set is called by that word."""
    word = "".join(map(chr, (112, 114, 105, 118, 97, 116, 101)))
    harmless = streets(tmp_path / "harmless", range(300, 312), 1, px=24)
    for made in (folder / "made", harmless.root):
        assert call(folder, "--out", tmp_path / "audit", made=made) == 0
        said = capsys.readouterr()
        text = said.out + said.err + (tmp_path / "audit" / "audit.json").read_text()
        assert word not in text.lower()
    with pytest.raises(SystemExit):
        main(["audit", "--help"])
    assert word not in capsys.readouterr().out.lower()


def test_the_test_part_is_read_by_its_table_and_opened_only_through_its_ledger(folder, capsys, monkeypatch):
    opened = []
    of_set = ImageSet.picture_bytes
    monkeypatch.setattr(ImageSet, "picture_bytes", lambda self, row: opened.append(self.root) or of_set(self, row))
    assert call(folder, "--test", folder / "test") == 0
    assert folder / "test" not in opened
    assert not (folder / LEDGER).exists()
    capsys.readouterr()
    assert call(folder, "--test", folder / "test", "--test_pictures") == 0
    said = capsys.readouterr().out
    assert "Real frames of test, without their own drive: " in said
    assert "beside those of heldout: not compared; its 12 drives are too few for 5 %." in said
    (row,) = read_ledger(folder / LEDGER)
    assert row["what"] == f"audit {folder / 'made'}: near-duplicates of {folder / 'train'}"
    assert set(row["outcome"]) == {"near_duplicates"}
    (folder / LEDGER).unlink()


def test_near_duplicates_are_searched_between_all_parts(folder, tmp_path, capsys):
    rng = np.random.default_rng(3)
    dev = open_imageset(folder / "dev")
    with ImageSetWriter(tmp_path / "test", ("not_brake", "brake"), 24) as writer:
        for drive in range(4):
            writer.add(changed(dev.pixels([3 * drive])[0], "tinted", rng), 0, {"drive": f"new {drive}"})
        writer.about["split"] = "test"
    more = ["--test", tmp_path / "test", "--test_pictures", "--false_alarms", "0.1", "--out", tmp_path / "audit"]
    assert call(folder, *more) == 0
    assert "Real frames of test, beside those of heldout: 100 % flagged" in capsys.readouterr().out
    record = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert record["test_beside_heldout"]["flagged"] == 1
    assert record["copies"]["checked"]["test"]["flagged"] < 1
    (row,) = read_ledger(tmp_path / LEDGER)
    assert row["outcome"]["near_duplicates_of_heldout"] == 1


def test_logs_of_strangers_run_nothing_and_their_lack_is_told(folder, tmp_path, capsys):
    logs, evil = tmp_path / "logs", tmp_path / "evil"
    logs.mkdir()
    for drive in (*range(12), *range(100, 112)):
        place = {"ego2global_translation": [1000.0 * (drive % 99), 2.0, 0.0], "ego2global_rotation": [1.0, 0, 0, 0]}
        frames = [{"token": f"{drive}-{frame}", **place} for frame in range(3)]
        (logs / f"log-{drive}.pkl").write_bytes(pickle.dumps(frames))
    assert call(folder, "--logs", logs, "--out", tmp_path / "audit") == 0
    (logs / "log-3.pkl").write_bytes(f"cos\nsystem\n(S'touch {evil}'\ntR.".encode())
    assert " 91.7 % " in capsys.readouterr().out
    assert call(folder, "--logs", logs, "--out", tmp_path / "audit") == 3
    said = capsys.readouterr()
    assert "Places of 1 logs are not known; the first: " in said.out
    assert "log-3.pkl" in said.err
    record = json.loads((tmp_path / "audit" / "audit.json").read_text())["parts"][-1]
    assert (record["first"], record["second"], record["placed"], record["near"]) == ("against", "heldout", 36, 30)
    assert not evil.exists()


def test_patches_are_listed_and_shown(folder, tmp_path, capsys):
    frame = open_imageset(folder / "train").pixels([4])[0]
    made = grids(tmp_path / "grids", [*(street(700 + n, 0.5, 24) for n in range(3)), frame])
    assert call(folder, "--out", tmp_path / "audit", made=made.root) == 0
    said = capsys.readouterr().out
    assert said.startswith("Copies: 1 of 4 pictures flagged")
    assert "0_not_brake/000000.png, patch 4" in said
    with Image.open(tmp_path / "audit" / "suspects.png") as sheet:
        assert sheet.height > 4 * 192


def test_leaks_between_parts_are_told(folder, tmp_path, capsys):
    both = streets(tmp_path / "both", [5, *range(100, 112)], 3, px=24)
    words = ["audit", folder / "made", "--against", folder / "train", "--heldout", both.root]
    assert main([str(word) for word in words]) == 0
    said = capsys.readouterr().out
    assert "LEAK" in said
    assert "1 (log-5)" in said
    assert "3 further ones are of drives of against or equal to some of it" in said


def test_without_held_out_frames_there_is_no_membership(folder):
    said = audit(folder / "made", against=folder / "train", false_alarms=0.1)
    assert "Membership: not measured; name frames that were held out with --heldout." in said
    assert "Parts" not in said


def test_a_folder_of_class_folders_is_a_set(folder, tmp_path):
    made = open_imageset(folder / "made")
    for row, file in enumerate(made.files):
        (tmp_path / "plain" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plain" / file).write_bytes(made.picture_bytes(row))
    said = audit(tmp_path / "plain", against=folder / "train", heldout=folder / "dev", out=tmp_path / "audit")
    assert "of 12 pictures flagged" in said
    assert str(tmp_path / "plain") in (tmp_path / "audit" / "audit.json").read_text()


BAD = {
    "no frames": ((), r"name the real frames that .*made was made from: --against work/sets/train"),
    "the test part": (("--against", "{}/test"), "test is the test part; name it with --test"),
    "the test part held out": (("--against", "{}/train", "--heldout", "{}/test"), "test is the test part; name"),
    "another part as test": (("--against", "{}/train", "--test", "{}/dev"), "dev is the dev part, not the test part"),
    "few drives": (("--against", "{}/train"), "12 drives cannot bound false alarms at 0.05, which takes 19"),
    "no share": (("--against", "{}/train", "--false_alarms", "1.5"), r"--false_alarms is 1\.5; it must be"),
    "nothing shown": (("--against", "{}/train", "--shown", "0"), "--shown is 0; it must be"),
    "no frames at all": (("--against", "{}/train", "--frames", "0"), r"--frames is 0; it must be"),
    "itself held out": (("--against", "{}/train", "--heldout", "{}/train"), "so none was held out"),
    "a generator alone": (("--against", "{}/train", "--checkpoint", "x"), "name some with --heldout"),
    "a codec alone": (("--against", "{}/train", "--codec", "x"), "name it with --checkpoint"),
    "no test part": (("--against", "{}/train", "--test_pictures"), "name it with --test"),
    "no logs": (("--against", "{}/train", "--heldout", "{}/dev", "--logs", "{}/none"), "none does not exist"),
    "a network of small pictures": (
        ("--against", "{}/train", "--heldout", "{}/dev", "--network", "efficientnet-lite0"), "24 px, but features of"),
    "other things": (("--against", "{}/train", "--heldout", "{}/dev", "--out", "{}/agent"), "agent holds other things"),
    "what is read": (("--against", "{}/train", "--heldout", "{}/dev", "--out", "{}/train"), "is what the call reads"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "says"), BAD.values(), ids=BAD)
def test_a_mistake_is_one_line_and_nothing_is_opened(folder, capsys, words, says):
    assert main(["audit", str(folder / "made"), *(word.format(folder) for word in words)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    with pytest.raises(UserError, match=says):
        raise UserError(line)
    assert not (folder / LEDGER).exists()


def test_the_generator_must_be_that_of_the_set(folder, tmp_path, capsys):
    with ImageSetWriter(tmp_path / "drawn", ("not_brake", "brake"), 24) as writer:
        writer.add(street(1, 0.5, 24), 0, {})
        writer.about["checkpoint"] = "0123456789abcdef"
    for checkpoint, says in (
        ("none", "none"),
        (shipped("dit.safetensors"), "drawn was drawn by the generator 0123456789"),
    ):
        assert call(folder, "--checkpoint", folder / checkpoint, made=tmp_path / "drawn") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert says in line
