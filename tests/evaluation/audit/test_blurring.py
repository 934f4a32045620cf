"""What is told of blurring: what is recorded, and what it leaves."""

from dataclasses import replace

from toys import pictureless

from roadstill.data.privacy import BlurBoxes, describe
from roadstill.evaluation.audit.blurring import blurring_of, told


def with_hook(hook, **about):
    return replace(pictureless([0, 1]), about={"hook": hook, **about})


def test_the_record_of_the_hook_is_read_as_prepare_writes_it(tmp_path):
    (tmp_path / "a.pkl").touch()
    images = with_hook(describe(BlurBoxes(tmp_path, missing="leave_out")), missing_by_hook=3)
    line = told("against", blurring_of(images))
    assert line.startswith("against: boxes of vehicle, pedestrian, bicycle were averaged over 6 cells; it left out 3")
    assert "pictures without boxes were left out" in line
    assert "text on signs and houses" in line
    assert "boxes below 8 px" in line
    kept = told("x", blurring_of(with_hook(describe(BlurBoxes(tmp_path, missing="keep")))))
    assert "kept as they are, and how many is not recorded" in kept


def test_without_a_record_nothing_is_said_to_be_hidden():
    assert blurring_of(pictureless([0])) == {}
    assert told("against", {}).endswith("faces, plates and text are as they were when the set was made.")


def test_what_another_hook_hides_is_not_known():
    line = told("x", blurring_of(with_hook({"name": "my_hooks.Mask\x1b[31m", "settings": {}})))
    assert "passed my_hooks.Mask" in line
    assert "not known here" in line
    assert line.isprintable()


def test_records_of_strangers_end_in_words():
    for hook in (
        3,
        {"name": 4},
        {"settings": [1]},
        {"name": "roadstill.privacy.BlurBoxes", "settings": {"classes": 3}},
    ):
        assert told("x", blurring_of(with_hook(hook, missing_by_hook="many"))).isprintable()
