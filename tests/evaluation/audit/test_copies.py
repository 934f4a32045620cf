"""Planted copies are found, and real frames of other drives are hardly ever taken for some."""

import numpy as np
import pytest
from made_streets import CHANGES, changed, grids, pictures, street, streets

from roadstill.errors import UserError
from roadstill.evaluation.audit.copies import (
    _Scale,
    find_copies,
    is_bounded,
    near_duplicates,
    ratios_of,
    require_groups,
)
from roadstill.evaluation.audit.samples import further_sample, real_frames
from roadstill.evaluation.audit.search import Near
from roadstill.evaluation.audit.views import PixelView
from roadstill.selection.features import unit

VIEWS = [PixelView()]
OLD = 100


def places(drives):
    """Streets of held-out drives: two of them lead along streets of the training frames."""
    return [drive if drive % 16 else drive % OLD for drive in drives]


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return streets(tmp_path_factory.mktemp("copies") / "train", range(32), 4)


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    drives = range(OLD, OLD + 32)
    return streets(tmp_path_factory.mktemp("copies") / "dev", drives, 4, places=places(drives))


@pytest.fixture(scope="module")
def real(train, dev):
    return real_frames(train, dev, frames=64)


def test_of_twenty_planted_copies_nineteen_are_found_at_five_percent_of_false_alarms(train, real, tmp_path):
    rng = np.random.default_rng(0)
    rows = [4 * drive + drive % 4 for drive in range(20)]
    copies = [changed(train.pixels([row])[0], CHANGES[place % 8], rng) for place, row in enumerate(rows)]
    further = [street(1000 + number, number / 40, 32) for number in range(40)]
    made = pictures(tmp_path / "made", [*copies, *further])
    found = find_copies(made, real, VIEWS)
    flagged = {picture.file: picture.near["pixels"].row for picture in found.pictures if picture.flagged}
    planted = {made.files[place]: row for place, row in enumerate(rows)}
    assert len(planted.keys() & flagged.keys()) >= 19
    assert len(flagged.keys() - planted.keys()) <= 2  # 5 % of the others
    assert sum(flagged[file] == planted[file] for file in planted.keys() & flagged.keys()) >= 19
    assert found.flagged == len(flagged)
    assert [picture.flagged for picture in found.pictures] == [True] * len(flagged) + [False] * (60 - len(flagged))
    shares = [checked.flagged for checked in found.checked.values()]  # of as many drives each
    assert 0 < np.mean(shares) <= 0.05
    assert all(each.interval[0] <= each.flagged <= each.interval[1] for each in found.checked.values())


def test_patches_are_compared_one_by_one(train, real, tmp_path):
    others = [street(1000 + number, 0.5, 32) for number in range(7)]
    made = grids(tmp_path / "made", [*others[:5], train.pixels([9])[0], *others[5:]])
    (first, *rest) = find_copies(made.unfolded(), real, VIEWS).pictures
    assert (first.file, first.row, first.near["pixels"].row) == (f"{made.files[1]}, patch 2", 5, 9)
    assert [first.flagged, *(each.flagged for each in rest)] == [True] + 7 * [False]


def test_frames_of_one_part_are_compared_with_another(train, dev, tmp_path):
    rng = np.random.default_rng(2)
    leaked = [changed(dev.pixels([4 * row])[0], "noisy", rng) for row in (3, 5, 6)]
    test = pictures(tmp_path / "test", [street(2000, 0.6, 32), *leaked])
    among = real_frames(dev, frames=64)
    found = near_duplicates(further_sample("test", test, among, frames=100, seed=0), among, VIEWS)
    assert (found.flagged, found.frames, found.groups) == (0.75, 4, 4)
    assert sorted((each.row, each.near["pixels"].row) for each in found.first[:3]) == [(1, 12), (2, 20), (3, 24)]
    assert is_bounded(among, 0.05)
    assert not is_bounded(real_frames(dev.subset(range(8))), 0.05)


def test_pictures_that_are_frames_have_the_least_chance_there_is(train, real):
    found = find_copies(train.subset(range(0, 24, 4)), real, VIEWS)
    assert [picture.chance for picture in found.pictures] == pytest.approx([1 / 65] * 6)
    assert max(picture.near["pixels"].distance for picture in found.pictures) < 1e-6


def test_a_ratio_compares_the_nearest_drive_with_the_next_ten(train, real, tmp_path):
    made = pictures(tmp_path / "made", [street(1000, 0.4, 32)])
    found = find_copies(made, real, VIEWS).pictures[0].near["pixels"]
    frames, variants = VIEWS[0].frames(train.pixels()), VIEWS[0].variants(VIEWS[0].kept(made.pixels()))[0]
    frames, variants = (unit(each - VIEWS[0].frames(train.pixels()).mean(0)) for each in (frames, variants))
    of_drives = np.sort((1 - variants @ frames.T).min(0).reshape(32, 4).min(1))
    assert found.distance == pytest.approx(of_drives[0], rel=1e-3)
    assert found.ratio == pytest.approx(of_drives[0] / of_drives[1:11].mean(), rel=1e-3)


def test_near_duplicates_in_another_part_show_as_too_many_alarms(train, real, tmp_path):
    rng = np.random.default_rng(1)
    leaked = [changed(train.pixels([4 * row + 3])[0], "noisy", rng) for row in range(15)]
    test = pictures(tmp_path / "test", [*leaked, *(street(2000 + n, 0.6, 32) for n in range(15))])
    sample = further_sample("test", test, real, frames=100, seed=0)
    made = pictures(tmp_path / "made", [street(3000, 0.5, 32)])
    found = find_copies(made, real, VIEWS, further=[sample]).checked
    assert found["test"].flagged >= 0.5
    assert found["test"].interval[0] > 0.05
    assert {each.file for each in found["test"].first} <= set(test.files[:15])
    assert found["heldout"].interval[0] <= 0.05


def test_one_drive_with_many_frames_near_a_known_street_does_not_loosen_the_threshold(train, tmp_path):
    """Were frames counted, a quarter of the reference would lie nearer than any copy that was changed."""
    dev = streets(tmp_path / "dev", range(OLD, OLD + 31), 2)
    with_stop = streets(tmp_path / "stop", [*range(OLD, OLD + 31), 500], 2, places=[*range(OLD, OLD + 31), 3])
    stopped = with_stop.subset([*range(62), *[62, 63] * 10])
    made = pictures(tmp_path / "made", [street(1000 + n, n / 20, 32) for n in range(20)])
    chances = [
        {each.file: each.chance for each in find_copies(made, real_frames(train, part, frames=200), VIEWS).pictures}
        for part in (dev, stopped)
    ]
    assert max(abs(chances[0][file] - chances[1][file]) for file in made.files) < 0.03


def test_too_few_drives_are_refused_with_the_way_out(train, dev, tmp_path):
    few = real_frames(train.subset(range(16)), dev.subset(range(8)))
    says = (
        r"real frames of 6 drives cannot bound false alarms at 0\.05, which takes 19; name frames of more drives with "
        r"--heldout, or set --false_alarms 0\.143 or --cluster_by log"
    )
    with pytest.raises(UserError, match=says):
        require_groups(few, 0.05)
    require_groups(few, 0.143)
    one = real_frames(train.subset(range(4)))
    with pytest.raises(UserError, match="real frames of 0 drives"):
        require_groups(one, 0.5)


def test_frames_of_a_single_drive_are_judged_by_held_out_ones(train, dev, tmp_path):
    real = real_frames(train.subset(range(4)), dev)
    made = pictures(tmp_path / "made", [changed(train.pixels([2])[0], "noisy", np.random.default_rng(0)),
                                        street(1000, 0.5, 32)])  # fmt: skip
    found = find_copies(made, real, VIEWS)
    assert [picture.flagged for picture in found.pictures] == [True, False]
    assert list(found.checked) == ["heldout"]
    nearest = found.pictures[0].near["pixels"]
    assert nearest.ratio == nearest.distance  # there is no further drive


def test_pictures_of_another_size_and_empty_sets_are_refused(train, real, tmp_path):
    with pytest.raises(UserError, match=r"has pictures of 16 px, but .*train of 32; prepare both alike"):
        find_copies(streets(tmp_path / "small", [1], 1, px=16), real, VIEWS)
    with pytest.raises(UserError, match="has no images"):
        find_copies(train.subset([]), real, VIEWS)


def test_chances_of_reference_frames_leave_out_their_own_drives():
    ratios = np.array([[0.1, 0.5], [0.2, 0.4], [0.3, 0.3]])
    near = Near(np.zeros((3, 2), np.int64), ratios, np.ones((3, 2)))
    scale = _Scale([(near, np.arange(3))])
    by_view = scale.by_view(ratios, np.arange(3))
    np.testing.assert_allclose(by_view, [[1 / 3, 1], [2 / 3, 2 / 3], [1, 1 / 3]])
    np.testing.assert_allclose(scale.least, [1 / 3, 2 / 3, 1 / 3])
    further = scale.by_view(np.array([[0.05, 0.6]]), np.array([-1]))
    np.testing.assert_allclose(further, [[1 / 4, 1]])
    np.testing.assert_allclose(scale.over_views(further, np.array([-1])), [1 / 4])
    np.testing.assert_allclose(scale.over_views(by_view, np.arange(3)), [2 / 3, 1, 2 / 3])


def test_looking_in_three_views_raises_no_more_false_alarms_than_one():
    rng, hits, runs = np.random.default_rng(0), 0, 400
    for _ in range(runs):
        groups = np.repeat(np.arange(31), 3)
        shared, own = rng.normal(size=(31, 3)), rng.normal(size=(93, 3))
        ratios = np.exp(shared[groups] + 0.3 * own + 0.5 * shared[groups][:, :1])
        near = Near(np.zeros((93, 3), np.int64), ratios, np.ones((93, 3)))
        scale = _Scale([(near.part(0, 90), groups[:90])])
        nobody = np.array([-1])
        hits += scale.over_views(scale.by_view(ratios[90:91], nobody), nobody)[0] <= 0.1
    assert 0.04 < hits / runs < 0.13


def test_ratios():
    near = Near(np.zeros((3, 1), np.int64), np.array([[0.2], [0.0], [0.3]]), np.array([[0.4], [0.0], [np.nan]]))
    assert ratios_of(near)[:, 0].tolist() == [0.5, 1.0, 0.3]
