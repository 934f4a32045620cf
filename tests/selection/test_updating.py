"""An updated set against one that is picked anew from all frames: equal or as good, with fewer changes."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from toys import pictureless

from roadstill.errors import UserError
from roadstill.selection import (
    S3,
    Confident,
    Distinct,
    Dynamics,
    FacilityLocation,
    Herding,
    KCenter,
    Medoids,
    Minimax,
    MomentGroup,
    PerDriveRandom,
    Random,
    make_selector,
    select,
)
from roadstill.selection.costs import cost_of
from roadstill.selection.recorded import made_by
from roadstill.selection.uncertainty import RememberingTeacher
from roadstill.selection.updating import ANEW, CHANCE, EXCHANGED, RANKED, update


def features(images, rows):
    return np.array([images.facts[int(row)]["x"] for row in rows], np.float32)


def frames(count, *, seed, shift=0.0, classes=2, digest=None):
    """Frames whose features are facts: a cloud for each class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    cloud = rng.normal(size=(count, 6)) + 3 * labels[:, None] + shift
    facts = [
        {
            "x": cloud[row].tolist(), "token": f"{seed}-{row}", "drive": f"d{seed}-{row // 8}", "command": "left",
            "timestamp_us": 500_000 * row, "speed_mps": float(cloud[row, 0]), "accel_mps2": float(cloud[row, 1]),
        }
        for row in range(count)
    ]  # fmt: skip
    return pictureless(labels, facts=facts, digest=digest or f"{seed:016x}")


def tokens(images):
    return {fact["token"] for fact in images.facts}


COSTLY = [Herding, KCenter, Medoids, FacilityLocation, Minimax, MomentGroup, S3]


def updated(method, old, new, *, per_class=8, seed=1, **settings):
    picked = select(old, method, per_class=per_class, seed=seed)
    tools = {"features": lambda: features, "teacher": lambda: ""}
    made = made_by(picked)
    assert type(make_selector(made.name, tools | {"predict": lambda: None}, made.settings)) is type(method)
    return picked, update(picked, new, made, method, **settings)


@pytest.mark.parametrize("kind", COSTLY)
@pytest.mark.parametrize("complete", [True, False])
def test_it_is_as_good_as_picking_anew_among_the_same_and_changes_no_more(kind, complete):
    old, new = frames(120, seed=0), frames(60, seed=1, shift=1.5)
    picked, found = updated(kind(features), old, new, before=[old] if complete else [])
    assert found.images.counts() == picked.counts()
    for each in found.classes:
        assert each.after <= min(each.before, each.anew + 0.01 * abs(each.before)) + 1e-9 or each.why == ANEW
        assert each.after <= each.anew + 0.01 * abs(each.before) + 1e-9
        assert len(each.changes) <= 8
        assert each.why in (EXCHANGED, ANEW, RANKED)
    gone, came = tokens(picked) - tokens(found.images), tokens(found.images) - tokens(picked)
    assert gone == {change.out for each in found.classes for change in each.changes}
    assert came == {change.came for each in found.classes for change in each.changes}
    assert found.changed == len(came)


@pytest.mark.parametrize("kind", [Herding, Medoids, MomentGroup])
def test_with_all_frames_it_reaches_the_quality_of_picking_anew_from_all(kind):
    """By the selector's own cost on all frames, which the set as it was misses by much."""
    old, new = frames(120, seed=0), frames(120, seed=1, shift=1.5)
    method = kind(features)
    picked, found = updated(method, old, new, before=[old])
    for each in found.classes:
        assert each.anew < 0.9 * each.before
        assert each.after <= each.anew + 0.01 * each.before
    # Without the old frames each old picture stands for its share of them; measured on all frames this is near.
    _, blind = updated(method, old, new)
    whole = pictureless(np.concatenate([old.labels, new.labels]), facts=[*old.facts, *new.facts], digest="whole")
    place = {fact["token"]: row for row, fact in enumerate(whole.facts)}
    for label in range(2):
        rows = np.flatnonzero(whole.labels == label)
        cost = cost_of(method, whole, rows, [], np.random.default_rng(0))

        def on_all(images, label=label, rows=rows, cost=cost):
            mine = [place[fact["token"]] for fact, its in zip(images.facts, images.labels, strict=True) if its == label]
            return cost(np.searchsorted(rows, np.sort(mine)))

        assert on_all(found.images) <= on_all(picked)
        assert on_all(blind.images) < on_all(picked)


def test_an_old_set_is_not_forgotten_for_many_new_frames():
    """Weights keep the old frames' share: 1,000 frames behind 8 pictures outweigh 100 new ones."""
    old, new = frames(2000, seed=0, classes=1), frames(100, seed=1, shift=4.0, classes=1)
    _, found = updated(Herding(features), old, new)
    mean = np.mean([fact["x"] for fact in found.images.facts])
    assert abs(mean - 4.0 * 100 / 2100) < 0.25


@pytest.mark.parametrize("complete", [True, False])
def test_ranking_by_a_teacher_equals_picking_anew_from_all(complete):
    def sure(images, rows):
        """The teacher's probabilities of both classes, by the first feature."""
        first = 1 / (1 + np.exp(-features(images, rows)[:, 0]))
        return np.stack([first, 1 - first], 1)

    teacher = RememberingTeacher(lambda pixels: pixels)
    teacher.of_set = sure
    method = Confident(teacher)
    old, new = frames(120, seed=0), frames(60, seed=1, shift=0.3)
    picked = select(old, method, per_class=8, seed=1)
    found = update(picked, new, made_by(picked), method, before=[old] if complete else [])
    whole = pictureless(np.concatenate([old.labels, new.labels]), facts=[*old.facts, *new.facts], digest="whole")
    assert tokens(found.images) == tokens(select(whole, method, per_class=8, seed=1))
    assert 0 < found.changed < 16
    assert {each.why for each in found.classes} == {RANKED}


def test_random_sets_are_reservoirs_in_which_every_frame_has_the_same_chance():
    old, new = frames(30, seed=0, classes=1), frames(20, seed=1, classes=1)
    counts = Counter(
        token for seed in range(600) for token in tokens(updated(Random(), old, new, per_class=10, seed=seed)[1].images)
    )
    assert len(counts) == 50
    assert min(counts.values()) > 120 - 5 * 9.8  # 600 draws of 10 among 50: expected 120, deviation 9.8
    assert max(counts.values()) < 120 + 5 * 9.8
    first, again = (updated(Random(), old, new, per_class=10)[1] for _ in range(2))
    assert tokens(first.images) == tokens(again.images)
    assert {each.why for each in first.classes} == {CHANCE}


def test_a_second_update_knows_all_that_came_before():
    old, new, newer = frames(30, seed=0, classes=1), frames(20, seed=1, classes=1), frames(50, seed=2, classes=1)
    came = []
    for seed in range(300):
        _, once = updated(Random(), old, new, per_class=10, seed=seed)
        twice = update(once.images, newer, made_by(once.images), Random())
        came.append(len(tokens(twice.images) & tokens(newer)))
    assert twice.images.about["selected_among"] == [100]
    assert twice.images.about["updated"]["with"] == [new.digest, newer.digest]
    assert abs(np.mean(came) - 5) < 0.4  # half of all frames are the newest


def test_spreading_over_drives_brings_new_drives():
    old, new = frames(64, seed=0, classes=1), frames(64, seed=1, classes=1)
    _, found = updated(PerDriveRandom(), old, new)
    assert len({fact["drive"] for fact in found.images.facts}) >= 7


def test_motion_is_covered_anew():
    old, new = frames(64, seed=0), frames(64, seed=1, shift=2.0)
    _, found = updated(Dynamics(), old, new)
    assert all(each.after <= each.before for each in found.classes)


def test_near_copies_of_old_pictures_do_not_come():
    old = frames(40, seed=0, classes=1)
    facts = [{**fact, "token": f"copy-{fact['token']}"} for fact in old.facts]
    new = pictureless(old.labels, facts=facts, digest="c" * 16)
    picked, found = updated(Distinct(Random(), features), old, new, per_class=10)
    whole = [each.new for each in found.classes]
    assert whole[0] <= 30
    copied = {change.came.removeprefix("copy-") for each in found.classes for change in each.changes}
    assert not copied & tokens(picked)


def test_nothing_changes_where_nothing_is_gained():
    old = frames(120, seed=0)
    far = [{**fact, "token": f"far-{row}", "x": [90.0] * 6} for row, fact in enumerate(frames(4, seed=1).facts)]
    new = pictureless([0, 1, 0, 1], facts=far, digest="e" * 16)
    _, found = updated(MomentGroup(features), old, new, before=[old], min_gain=0.9)
    assert found.changed == 0


def test_classes_without_new_frames_stay():
    old, new = frames(120, seed=0), frames(60, seed=1, shift=1.5)
    only = replace(new, labels=np.zeros(60, np.int64))
    picked, found = updated(Herding(features), old, only)
    assert not found.classes[1].changes
    assert found.classes[0].changes
    assert found.images.counts() == picked.counts()


def test_frames_that_are_known_already_are_left_out():
    old = frames(40, seed=0)
    with pytest.raises(UserError, match="holds no frame that is not known already"):
        updated(Herding(features), old, old, before=[old])
    picked = select(old, Random(), per_class=8, seed=1)
    again = update(picked, old, made_by(picked), Random())
    assert sum(each.new for each in again.classes) == 40 - 16


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"min_gain": 1.0}, "min_gain is 1; it must be at least 0 and below 1"),
        ({"before": ["other"]}, "is none of the sets that .* was selected from; leave it out"),
    ],
)
def test_what_does_not_fit_is_refused(settings, says):
    old, new = frames(40, seed=0), frames(40, seed=1)
    before = [frames(40, seed=5) for _ in settings.pop("before", [])]
    with pytest.raises(UserError, match=says):
        updated(Herding(features), old, new, before=before, **settings)


def test_a_set_that_does_not_say_among_how_many_needs_them_named():
    old, new = frames(40, seed=0), frames(40, seed=1)
    picked = select(old, Random(), per_class=8, seed=1)
    bare = replace(picked, about={key: value for key, value in picked.about.items() if key != "selected_among"})
    with pytest.raises(UserError, match=r"as before 0.2; name them with --before"):
        update(bare, new, made_by(bare), Random())
    named = update(bare, new, made_by(bare), Random(), before=[old])
    assert tokens(named.images) == tokens(update(picked, new, made_by(picked), Random()).images)
