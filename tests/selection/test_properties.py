"""What holds for every selector: sizes, no image twice, the seed decides, ties, too few images, many classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import pictureless

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.names import trusting
from roadstill.selection import S3, SELECTORS, check_settings, make_selector, makes_pictures, needs, select
from roadstill.selection.base import describe
from roadstill.selection.distinct import around_mean, distinct

CHOOSERS = [name for name in SELECTORS if not makes_pictures(name)] + ["distinct:random", "distinct:s3"]


class Made(ImageSet):
    """A set whose "pictures" are the numbers of its images."""

    def pixels(self, indices=None):
        rows = np.arange(len(self)) if indices is None else np.asarray(indices)
        numbers = np.array([int(self.files[int(row)].removesuffix(".png")) for row in rows])
        return np.broadcast_to(numbers[:, None, None, None], (len(rows), 8, 8, 3))

    def subset(self, indices, **about):
        made = super().subset(indices, **about)
        return Made(**vars(made))


def tools_of(values, probabilities, turns):
    """Everything that a selector may need; values ``[n, d]``, probabilities ``[n, k]``, turns ``[n]``."""

    def predict(pixels):
        return probabilities[pixels[:, 0, 0, 0]]

    return {
        "features": lambda: lambda images, rows: values[rows],
        "predict": lambda: predict,
        "student": lambda: lambda images, seed: predict,
        "forgetting": lambda: lambda images: turns,
        "teacher": lambda: "made",
    }


@st.composite
def problems(draw):
    """Labels, few values (so that there are ties), and how many are asked for."""
    classes = draw(st.sampled_from([1, 2, 3, 10]))
    per_class = draw(st.integers(1, 4))
    sizes = [per_class + draw(st.integers(0, 12)) for _ in range(classes)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = rng.permutation(np.repeat(np.arange(classes), sizes))
    levels = draw(st.integers(1, 4))
    n = len(labels)
    values = rng.integers(0, levels, (n, 3)).astype(np.float32)
    # Near-duplicates go by the cosine; a column of its own for each keeps enough of them apart.
    values = np.concatenate([values, 5 * np.eye(n, dtype=np.float32)], axis=1) if draw(st.booleans()) else values
    probabilities = rng.integers(1, 1 + levels, (n, max(classes, 2))).astype(np.float32)
    probabilities[np.arange(n), labels] += 9  # the teacher is right
    probabilities /= probabilities.sum(1, keepdims=True)
    facts = [
        {
            "drive": f"d{rng.integers(4)}",
            "log": "l",
            "timestamp_us": int(rng.integers(3)),
            "speed_mps": float(rng.integers(levels)),
            "accel_mps2": 0.0,
            "command": "straight",
        }
        for _ in range(n)
    ]
    made = Made(**vars(pictureless(labels, classes=classes, facts=facts)))
    return made, per_class, tools_of(values, probabilities, rng.integers(0, levels, n)), values


@pytest.mark.parametrize("name", CHOOSERS)
@settings(max_examples=25)
@given(problem=problems(), seed=st.integers(0, 5))
def test_sizes_no_image_twice_and_the_seed_decides(name, problem, seed):
    images, per_class, tools, values = problem
    if name.startswith("distinct"):
        members = [values[images.labels == label] for label in range(images.num_classes)]
        if any(len(distinct(around_mean(its), 0.9)) < per_class for its in members):
            with pytest.raises(UserError, match="without near-duplicates"):
                select(images, make_selector(name, tools), per_class=per_class, seed=seed)
            return
    first, again = (select(images, make_selector(name, tools), per_class=per_class, seed=seed) for _ in range(2))
    assert first.counts() == dict.fromkeys(images.class_names, per_class)
    assert len(set(first.files)) == per_class * len(images.class_names)
    assert first.files == again.files
    assert first.digest == again.digest
    assert first.about["method"]["type"]


@pytest.mark.parametrize("name", CHOOSERS)
def test_all_equal_images_are_picked_once_each(name):
    n = 12
    facts = [
        {"drive": "d", "log": "l", "timestamp_us": 0, "speed_mps": 1.0, "accel_mps2": 0.0, "command": "left"}
    ] * n  # fmt: skip
    images = Made(**vars(pictureless(np.arange(n) % 2, facts=facts)))
    tools = tools_of(np.ones((n, 4), np.float32), np.full((n, 2), 0.5, np.float32), np.zeros(n, np.int64))
    if name.startswith("distinct"):
        with pytest.raises(UserError, match="of 6 images of a class 1 are left"):
            select(images, make_selector(name, tools), per_class=4, seed=0)
        return
    chosen = select(images, make_selector(name, tools), per_class=4, seed=0)
    assert len(set(chosen.files)) == 8


@pytest.mark.parametrize("name", CHOOSERS)
def test_fewer_images_than_asked_for_are_the_users_to_mend(name):
    images = Made(**vars(pictureless([0, 0, 0, 1])))
    tools = tools_of(np.eye(4, dtype=np.float32), np.full((4, 2), 0.5, np.float32), np.zeros(4, np.int64))
    with pytest.raises(UserError, match="'class1' has 1"):
        select(images, make_selector(name, tools), per_class=2, seed=0)


@pytest.mark.parametrize("name", [*SELECTORS, "distinct:medoids"])
def test_what_a_selector_needs_is_asked_for_by_name(name):
    wanted = needs(name)
    for missing in wanted:
        tools = {each: (lambda: None) for each in wanted - {missing}}
        with pytest.raises(UserError, match=missing):
            make_selector(name, tools)


def test_names_that_are_none():
    for name in ("best", "distinct:best", "distinct"):
        with pytest.raises(UserError, match="is unknown; choose one of random"):
            needs(name)
    for name in ("no_module.Best", "roadstill.errors"):
        with pytest.raises(UserError, match="importing it runs its code, so add --trust"):
            needs(name)
        with trusting(), pytest.raises(UserError, match=r"is unknown.*; choose one of random"):
            needs(name)
    with pytest.raises(UserError, match="'much' is not a number"):
        needs("distinct:much:random")
    assert make_selector("distinct:0.5:random", {"features": lambda: None}).threshold == 0.5
    with trusting(), pytest.raises(UserError, match="must have a method choose"):
        make_selector("pathlib.PurePath", {})
    with pytest.raises(UserError, match="must have a method choose"):
        make_selector("distinct:rded", {"predict": lambda: None, "features": lambda: None})


@pytest.mark.usefixtures("trusted")
def test_a_selector_of_ones_own_gets_what_its_constructor_names():
    assert needs("own_selectors.ByFeatures") == {"features"}
    made = make_selector("own_selectors.ByFeatures", {"features": lambda: lambda _, rows: -rows[:, None]})
    assert select(pictureless([0] * 5), made, per_class=2, seed=0).files == ("4.png", "3.png")


@pytest.mark.usefixtures("trusted")
def test_settings_are_keyword_arguments_of_the_constructor():
    tools = {"features": lambda: lambda _, rows: rows[:, None]}
    made = make_selector("own_selectors.ByFeatures", tools, {"largest": True})
    assert select(pictureless([0] * 5), made, per_class=2, seed=0).files == ("4.png", "3.png")
    assert describe(made) == {"type": "ByFeatures", "column": 0, "largest": True}
    inner = make_selector("distinct:0.5:s3", tools, {"groups": 7}).method
    assert inner == S3(inner.features, groups=7)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("random", {"share": 1}, "has no setting 'share'; it takes no settings"),
        ("s3", {"groups": "many"}, "groups is 'many', not int; it takes groups, near, far"),
        ("s3", {"groups": True}, "groups is True, not int; it takes groups, near, far"),
        ("distinct:s3", {"near": [1]}, r"near is \[1\], not float; it takes groups, near, far"),
        ("dynamics", {"quota": "2"}, "quota is '2', not int | None; it takes quota"),
        ("s3", {"groups": 0}, "groups is 0; it must be at least 1; it takes groups, near, far"),
        (
            "s3",
            {"near": float("nan")},
            "near is nan; it must be at least -1e+30 and at most 1e+30; it takes groups, near, far",
        ),
        (
            "s3",
            {"groups": 10**9},
            "groups is 1000000000; it must be a whole number, at least 1 and at most 1,000,000.*",
        ),
        ("s3", {"features": None}, "has no setting 'features'; it takes groups, near, far"),
        ("rded_stitched", {"factor": 1}, "has no setting 'factor'; it takes crops, pool"),
        ("own_selectors.AtShare", None, "needs the setting share; it takes share"),
        ("own_selectors.AtShare", {"share": "half"}, "share is 'half', not float; it takes share"),
        ("own_selectors.ByFeatures", {"largest": 1}, "largest is 1, not bool; it takes column, largest"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(name, settings, says):
    with pytest.raises(
        UserError, match=f"^selector '{name}':? {says.replace('|', chr(92) + '|').replace('+', chr(92) + '+')}$"
    ):
        check_settings(name, settings)


@pytest.mark.usefixtures("trusted")
def test_what_a_constructor_refuses_is_one_line_too():
    check_settings("own_selectors.AtShare", {"share": 3})  # a user's class is made only when it is wanted
    with pytest.raises(UserError, match=r"^selector 'own_selectors.AtShare': share is 3; it is from 0 to 1; it takes"):
        make_selector("own_selectors.AtShare", {}, {"share": 3})


@pytest.mark.usefixtures("trusted")
def test_annotations_as_text_are_annotations():
    with pytest.raises(UserError, match="limit is 'x', not float; it takes limit"):
        check_settings("own_selectors.Typed", {"limit": "x"})


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("raises", "KeyError: 'speed'"),
        ("few", "picked 1 images, not 2"),
        ("twice", "picked an image twice"),
        ("beyond", "picked from another class"),
    ],
)
def test_a_selector_of_ones_own_that_fails_is_one_line(how, says):
    made = make_selector("own_selectors.Faulty", {}, {"how": how})
    with pytest.raises(UserError, match=f"^selector own_selectors.Faulty failed: {says}$"):
        select(pictureless([0] * 5), made, per_class=2, seed=0)
