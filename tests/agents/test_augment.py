"""What happens to a batch: each change by hand, and that everything hangs on the seed alone."""

import math

import pytest
import torch

from roadstill.agents import augment
from roadstill.agents.augment import cutmix, draws, dsa, flip_crop, siamese

CHANGES = [augment.colour, augment.crop, augment.cutout, augment.flip, augment.scale, augment.rotate]


def batch(images=16, side=8, seed=0):
    return torch.randn(images, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("change", [*CHANGES, dsa, flip_crop])
def test_the_seed_decides(change):
    pictures = batch()
    one, same, other = (change(pictures, draws(seed)) for seed in (0, 0, 1))
    assert one.shape == pictures.shape
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("change", [augment.crop, augment.cutout, augment.flip, augment.scale, augment.rotate])
def test_every_picture_is_changed_by_itself(change):
    found = change(torch.ones(64, 3, 8, 8).cumsum(3), draws(0))
    assert len({tuple(picture.flatten().tolist()) for picture in found}) > 1


def test_a_shift_moves_by_at_most_an_eighth_and_fills_with_zero():
    pictures = torch.zeros(200, 1, 8, 8)
    pictures[:, :, 4, 4] = 1
    places = augment.crop(pictures, draws(0)).nonzero()[:, 2:]
    assert len(places) == 200
    assert set(map(tuple, places.tolist())) == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_cutout_takes_a_square_of_half_the_side_that_may_hang_over():
    lost = (augment.cutout(torch.ones(500, 1, 8, 8), draws(0)) == 0).sum((1, 2, 3))
    assert lost.max() == 16
    assert 4 <= lost.min() < 16


def test_flips_are_one_half_and_whole():
    pictures = batch(1000, 4)
    flipped = augment.flip(pictures, draws(0))
    turned = (flipped == pictures.flip(3)).all(3).all(2).all(1)
    assert 430 < turned.sum() < 570
    assert torch.equal(flipped[~turned], pictures[~turned])


def test_colour_keeps_grey_grey_and_moves_brightness_by_at_most_one_half():
    grey = torch.full((500, 3, 4, 4), 0.3)
    found = augment.colour(grey, draws(0))
    moved = found.mean((1, 2, 3)) - 0.3
    assert torch.allclose(found, found[:, :1, :1, :1].expand_as(found), atol=1e-6)
    assert -0.5 <= moved.min() < -0.45
    assert 0.45 < moved.max() <= 0.5


def test_a_turn_is_at_most_fifteen_degrees():
    side = 33
    pictures = torch.zeros(300, 1, side, side)
    pictures[:, :, 16, 30] = 1  # 14 to the right of the middle
    found = augment.rotate(pictures, draws(0))[:, 0]
    rows = torch.arange(side, dtype=torch.float)
    mass = found.sum((1, 2))
    height = (found.sum(2) * (rows - 16)).sum(1) / mass
    across = (found.sum(1) * (rows - 16)).sum(1) / mass
    degrees = torch.atan2(height, across).rad2deg().abs()
    assert 13 < degrees.max() < 15.5


def test_scales_lie_between_the_two_limits():
    side = 65
    pictures = torch.zeros(300, 1, side, side)
    pictures[:, :, 32, 52] = 1  # 20 to the right of the middle
    found = augment.scale(pictures, draws(0))[:, 0]
    across = (found.sum(1) * (torch.arange(side) - 32.0)).sum(1) / found.sum((1, 2))
    assert 20 / 1.2 - 1 < across.min() < 18
    assert 22 < across.max() < 20 * 1.2 + 1


def test_dsa_takes_one_of_six_for_the_whole_batch():
    pictures = batch(4)
    found = set()
    for seed in range(60):
        generator = draws(seed)
        which = int(torch.randint(6, (), generator=generator))
        assert torch.equal(dsa(pictures, draws(seed)), CHANGES[which](pictures, generator))
        found.add(which)
    assert found == set(range(6))


@pytest.mark.parametrize("seed", range(12))
def test_siamese_changes_all_pictures_of_both_batches_alike(seed):
    picture = batch(1)
    real, synthetic = siamese(picture.expand(5, -1, -1, -1), seed), siamese(picture.expand(2, -1, -1, -1), seed)
    for each in (*real, *synthetic):
        torch.testing.assert_close(each, real[0])


def test_siamese_takes_all_six_and_mirrors_only_where_it_may():
    picture = batch(1)
    assert not all(torch.equal(siamese(picture, seed), picture) for seed in range(40))
    seen = [torch.equal(siamese(picture, seed), picture.flip(3)) for seed in range(80)]
    assert any(seen)
    assert not any(torch.equal(siamese(picture, seed, mirrors=False), picture.flip(3)) for seed in range(80))
    found = {tuple(siamese(picture, seed).flatten().tolist()) for seed in range(40)}
    assert len(found) > 20


@pytest.mark.parametrize("change", CHANGES)
def test_shared_changes_are_those_of_a_single_picture_and_have_a_gradient(change):
    pictures = batch(4).requires_grad_(True)
    found = change(pictures, draws(3), shared=True)
    torch.testing.assert_close(found[2:3], change(pictures[2:3], draws(3)))
    found.square().sum().backward()
    assert pictures.grad.isfinite().all()
    assert (pictures.grad.flatten(1).abs().sum(1) > 0).all()


def test_cutmix_shares_are_areas():
    pictures = torch.arange(32.0).view(32, 1, 1, 1).expand(32, 1, 16, 16)
    shares = []
    for seed in range(300):
        mixed = cutmix(pictures, draws(seed))
        own = (mixed.pictures == pictures).flatten(1).float().mean(1)
        moved = mixed.partner != torch.arange(32)
        assert torch.allclose(own[moved], torch.tensor(mixed.share))
        foreign = mixed.pictures[moved] != pictures[moved]
        assert torch.equal(mixed.pictures[moved][foreign], pictures[mixed.partner][moved][foreign])
        shares.append(mixed.share)
    assert min(shares) < 0.25
    assert max(shares) > 0.99
    assert math.isclose(sum(shares) / 300, 0.65, abs_tol=0.05)  # half the area, less what hangs over


def test_cutmix_mixes_its_share_of_the_steps():
    mixed = [cutmix(batch(2, 4), draws(seed), 0.5) is not None for seed in range(400)]
    assert 160 < sum(mixed) < 240
    assert all(cutmix(batch(2, 4), draws(seed), 0.0) is None for seed in range(20))
