"""The verb update on folders: what it says, records and refuses; the choice itself is in tests/selection."""

import json

import numpy as np
import pytest
from made import picture_set

from roadstill.errors import UserError
from roadstill.evaluation.leaks import shared
from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.verbs.picking import select
from roadstill.verbs.updating import update


def frames(folder, count, *, seed, split="train", brighter=0, **facts):
    made = picture_set(folder.with_name(f"{folder.name}-plain"), count, seed=seed,
                       token=[f"{seed}-{row}" for row in range(count)], **facts)  # fmt: skip
    with ImageSetWriter(folder, made.class_names, made.size_px) as writer:
        for row, label in enumerate(made.labels):
            pixels = np.clip(made.pixels([row])[0].astype(int) + brighter, 0, 255).astype(np.uint8)
            writer.add(pixels, int(label), made.facts[row])
        writer.about.update({"split": split, "labels": "brake", "source": "navsim", "decode": "fast"})
    return open_imageset(folder)


@pytest.fixture
def work(tmp_path):
    frames(tmp_path / "train", 40, seed=0)
    frames(tmp_path / "new" / "train", 24, seed=1, brighter=60)
    frames(tmp_path / "test", 8, seed=2, split="test")
    select(tmp_path / "train", tmp_path / "herded", method="herding", features="pixels", per_class=4)
    return tmp_path


def test_it_prints_and_records_what_changed_and_leaves_the_old_set(work):
    before = {path: path.read_bytes() for path in (work / "herded").rglob("*") if path.is_file()}
    said = update(work / "herded", work / "out", with_=work / "new" / "train", test=work / "test", min_gain=0)
    made = open_imageset(work / "out")
    changed = made.about["updated"]["changed"]
    assert said.splitlines()[-1] == f"{work / 'out'}: 8 images by herding, {changed} of them new"
    assert "not_brake: 12 new frames offered" in said
    assert "cost" in said
    assert made.counts() == {"not_brake": 4, "brake": 4}
    old = open_imageset(work / "herded")
    changes = [change for each in made.about["changes"] for change in each["changes"]]
    assert len(changes) == changed > 0
    tokens = [{fact["token"] for fact in images.facts} for images in (old, made)]
    assert tokens[0] - tokens[1] == {change["out"] for change in changes}
    assert tokens[1] - tokens[0] == {change["came"] for change in changes}
    assert all(f"{change['out']} -> {change['came']}" in said for change in changes[:1])
    assert made.about["held_out"] == [open_imageset(work / "test").digest]
    assert {path: path.read_bytes() for path in before} == before
    assert "changes" not in (work / "out" / "README.md").read_text()


def test_two_calls_make_the_same_bytes(work):
    for name in ("one", "two"):
        update(work / "herded", work / name, with_=work / "new" / "train")
    files = [sorted(path.relative_to(work / name) for path in (work / name).rglob("*")) for name in ("one", "two")]
    assert files[0] == files[1]
    for file in files[0]:
        if (work / "one" / file).is_file():
            assert (work / "one" / file).read_bytes() == (work / "two" / file).read_bytes()


def test_the_updated_set_is_known_to_stem_from_old_and_new_frames(work):
    update(work / "herded", work / "out", with_=work / "new" / "train", before=[work / "train"])
    footprint = open_imageset(work / "out").footprint
    for name in ("herded", "train", "new/train"):
        assert open_imageset(work / name).digest in footprint.sets
    assert "made from the test part itself" in shared(footprint, open_imageset(work / "new" / "train"))


def test_without_a_part_to_hold_it_against_it_says_so(work):
    assert "no dev or test part was named" in update(work / "herded", work / "out", with_=work / "new" / "train")


@pytest.mark.parametrize("how", ["named", "beside"])
def test_frames_of_a_log_that_is_held_out_are_refused(work, how):
    test = work / "new" / "test" if how == "beside" else work / "other"
    frames(test, 8, seed=1, split="test")  # logs log1-0 and log1-1, which the new frames have, too
    with pytest.raises(UserError, match=r"shares 2 logs, the first log1-0, with .* which is held out; index the new"):
        update(work / "herded", work / "out", with_=work / "new" / "train", test=None if how == "beside" else test)
    assert not (work / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"with_": None}, "--with new-sets/train"),
        ({"with_": "test"}, "is a test part, which is held out"),
        ({"teacher": "agent"}, "was selected by herding without a teacher; leave out --teacher"),
        ({"codec": "pixels"}, "belong to features dit"),
        ({"before": ["test"]}, "is none of the sets that"),
        ({"min_gain": 2.0}, "min_gain is 2"),
    ],
)
def test_what_does_not_fit_is_refused(work, options, says):
    given = {"with_": "new/train"} | options
    for key in ("with_", "teacher", "codec"):
        if given.get(key):
            given[key] = work / given[key]
    given["before"] = [work / name for name in given.get("before", [])]
    with pytest.raises(UserError, match=says):
        update(work / "herded", work / "out", **given)
    assert not (work / "out").exists()


def test_frames_that_were_prepared_otherwise_are_refused(work):
    made = open_imageset(work / "new" / "train")
    for name, about, says in (
        ("full", {"decode": "full"}, "prepared with decode fast, .* with full; prepare both alike"),
        ("blurred", {"hook": {"name": "BlurBoxes"}}, "hook None, .* with BlurBoxes; prepare both alike"),
        ("drawn", {"sampling": {}}, "holds pictures that were made; name real frames"),
    ):
        with ImageSetWriter(work / name, made.class_names, made.size_px) as writer:
            for row, label in enumerate(made.labels):
                writer.add_bytes(made.picture_bytes(row), int(label), made.facts[row])
            writer.about.update({**made.about, **about})
        with pytest.raises(UserError, match=says):
            update(work / "herded", work / "out", with_=work / name)


def test_a_set_of_another_maker_is_refused(work):
    with pytest.raises(UserError, match="does not record by which selector it was made"):
        update(work / "train", work / "out", with_=work / "new" / "train")


def test_the_command_line_takes_with(work, capsys):
    from roadstill.cli import main

    words = ["update", work / "herded", work / "out", "--with", work / "new" / "train", "--min-gain", "0"]
    assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    assert json.loads((work / "out" / "set.json").read_text())["about"]["updated"]["min_gain"] == 0
    with pytest.raises(SystemExit):
        main(["update", "--help"])
    assert "--with PATH" in capsys.readouterr().out
