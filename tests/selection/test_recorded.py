from dataclasses import replace

import pytest
from made import picture_set

from roadstill.errors import UserError
from roadstill.selection import SELECTORS, Distinct, make_selector, makes_pictures, select
from roadstill.selection.recorded import made_by

TOOLS = {
    "features": lambda: lambda images, rows: images.pixels(rows).reshape(len(rows), -1).astype("float32"),
    "predict": lambda: lambda pixels: [],
    "student": lambda: lambda images, seed: None,
    "forgetting": lambda: lambda images: [],
    "teacher": lambda: "0123456789abcdef, pixels",
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return picture_set(tmp_path_factory.mktemp("made") / "set", 8)


@pytest.mark.parametrize("name", [name for name in SELECTORS if not makes_pictures(name)])
@pytest.mark.parametrize("before", ["", "distinct:0.8:"])
def test_every_selector_is_found_again_by_its_record(images, name, before):
    method = make_selector(before + name, TOOLS)
    from roadstill.selection.base import record

    recorded = replace(images, about=record(images, method, per_class=4, seed=7))
    made = made_by(recorded)
    again = make_selector(made.name, TOOLS, made.settings)
    assert record(images, again, per_class=4, seed=7) == dict(recorded.about)
    assert (made.per_class, made.seed) == (4, 7)
    if before or "features" in vars(method):
        assert (made.teacher, made.features) == ("0123456789abcdef", "pixels")


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({}, "does not record by which selector it was made; select from all frames"),
        ({"method": "generated", "sampling": {}}, "made, not picked, .*encode, finetune, generate"),
        ({"refined": {}}, "made, not picked, .*then refine"),
        ({"distilled": {}}, "made, not picked, .*roadstill distil"),
        ({"method": {"type": "Mine"}, "per_class": 4, "seed": 0}, "picked by 'Mine', which is none of roadstill's"),
        (
            {"method": {"type": "Random"}, "per_class": 4, "seed": 0, "own_selector": "mine.Random"},
            "by a selector of your own, 'mine.Random'; select from all frames",
        ),
        ({"method": {"type": "Rded", "factor": 1}, "per_class": 4, "seed": 0}, "cut from frames; make it anew"),
        (
            {"method": {"type": "Random"}, "per_class": 3, "seed": 0},
            "records 3 images per class, but class 'not_brake'",
        ),
        ({"method": {"type": "PerDriveRandom", "by": 3}, "per_class": 4, "seed": 0}, "by is 3"),
    ],
)
def test_what_cannot_be_updated_is_refused_with_the_way_out(images, about, says):
    with pytest.raises(UserError, match=says):
        made_by(replace(images, about=about))


class Random:
    """A user's own, of the name of one of ours."""

    def choose(self, images, rows, *, count, rng):
        return rows[:count]


@pytest.mark.parametrize("method", [Random(), Distinct(Random(), TOOLS["features"]())])
def test_a_selector_of_your_own_is_not_taken_for_one_of_ours(images, method):
    made = select(images, method, per_class=2, seed=0)
    with pytest.raises(UserError, match=r"a selector of your own, '.*Random'"):
        made_by(made)


def test_a_selected_set_says_among_how_many_it_was_selected(images):
    made = select(images, make_selector("random", {}), per_class=2, seed=0)
    assert made.about["selected_among"] == [4, 4]
