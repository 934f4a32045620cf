from collections import Counter

import numpy as np
import pytest

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.selection import PerDriveRandom, Random, Selector, select


def facts_only(drives, labels):
    """A set whose pictures do not exist: selection from facts must not open any."""
    n = len(labels)
    return ImageSet(
        root="nowhere",
        class_names=("not_brake", "brake"),
        files=tuple(f"{i}.png" for i in range(n)),
        labels=np.asarray(labels, np.int64),
        facts=[{"drive": drive, "log": f"{drive}-{i % 2}"} for i, drive in enumerate(drives)],
        size_px=8,
        digest="d",
    )


def big(n=1000):
    rng = np.random.default_rng(0)
    # One drive holds most frames, as a long day does.
    return facts_only([f"d{i}" for i in rng.choice(20, n, p=[0.81] + [0.01] * 19)], rng.integers(0, 2, n))


@pytest.mark.parametrize("method", [Random(), PerDriveRandom()])
def test_equal_classes_no_image_twice_and_the_seed_decides(method):
    images = big()
    assert isinstance(method, Selector)
    first, again, other = (select(images, method, per_class=10, seed=seed) for seed in (0, 0, 1))
    assert first.counts() == {"not_brake": 10, "brake": 10}
    assert len(set(first.files)) == 20
    assert first.files == again.files
    assert first.digest == again.digest != other.digest
    assert set(first.files) != set(other.files)
    assert first.about["per_class"] == 10
    assert first.about["method"]["type"] == type(method).__name__


def test_random_reaches_every_image_equally_often():
    images = facts_only(["d"] * 20, [0] * 10 + [1] * 10)
    seen = Counter(file for seed in range(400) for file in select(images, Random(), per_class=2, seed=seed).files)
    assert len(seen) == 20
    assert max(seen.values()) < 120  # expected 80, sd 8
    assert min(seen.values()) > 45


def test_per_drive_spreads_over_drives_and_falls_back_on_what_is_left():
    images = big()
    spread = select(images, PerDriveRandom(), per_class=10, seed=0)
    for label in (0, 1):
        drives = [fact["drive"] for fact, its in zip(spread.facts, spread.labels, strict=True) if its == label]
        assert len(set(drives)) == 10
    few = facts_only(["a"] * 8 + ["b"] * 2 + ["a"] * 6, [0] * 10 + [1] * 6)
    chosen = select(few, PerDriveRandom(), per_class=6, seed=0)
    drives = [fact["drive"] for fact, label in zip(chosen.facts, chosen.labels, strict=True) if label == 0]
    assert Counter(drives) == {"a": 4, "b": 2}


def test_per_drive_leaves_out_every_drive_now_and_then():
    images = facts_only([f"d{i % 5}" for i in range(20)], [0, 1] * 10)
    missed = set()
    for seed in range(60):
        chosen = select(images, PerDriveRandom(), per_class=4, seed=seed)
        missed |= {f"d{i}" for i in range(5)} - {fact["drive"] for fact in chosen.facts[:4]}
    assert missed == {f"d{i}" for i in range(5)}


def test_too_few_images_and_missing_facts_are_the_users_to_mend():
    images = facts_only(["a"] * 5, [0, 0, 0, 0, 1])
    with pytest.raises(UserError, match="'brake' has 1"):
        select(images, Random(), per_class=2, seed=0)
    with pytest.raises(UserError, match="no image has the fact 'town'"):
        select(images, PerDriveRandom(by="town"), per_class=1, seed=0)
    with pytest.raises(UserError, match="at least 1"):
        select(images, Random(), per_class=0, seed=0)


def test_many_rows_and_drives_take_no_long():
    n = 200_000
    images = facts_only([f"d{i % 500}" for i in range(n)], np.arange(n) % 2)
    assert len(select(images, PerDriveRandom(), per_class=500, seed=0)) == 1000
