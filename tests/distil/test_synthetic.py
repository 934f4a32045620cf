"""The pictures that move."""

import pytest
import torch

from roadstill.codecs.pixels import PixelCodec
from roadstill.distil.moving import MovingLatents, MovingPixels
from roadstill.distil.spaces import Space
from roadstill.distil.synthetic import Pull, Synthetic
from roadstill.errors import UserError
from roadstill.imagesets.values import folded, unfolded

SPACE = Space((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def some(count=4, px=12, seed=0):
    return torch.rand((count, 3, px, px), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("px", "patches"), [(12, 2), (13, 2), (12, 3), (14, 3), (12, 1)])
def test_patches_become_pictures_row_by_row(px, patches):
    pictures = some(2, px)
    found = unfolded(pictures, patches)
    assert found.shape == (2 * patches**2, 3, px, px)
    side = px // patches
    corner = torch.nn.functional.interpolate(pictures[1:, :, :side, :side], (px, px), mode="bilinear")
    torch.testing.assert_close(found[patches**2], corner[0])
    assert folded(found, patches).shape == pictures.shape


def test_folding_keeps_smooth_pictures():
    ramp = torch.linspace(0, 1, 16).view(1, 1, 1, 16).expand(4, 3, 16, 16) * torch.tensor([1.0, 0.5, 0.2, 0.8]).view(
        4, 1, 1, 1
    )
    again = unfolded(folded(ramp, 2), 2)
    torch.testing.assert_close(again, ramp, rtol=0, atol=0.08)


@pytest.mark.parametrize("unit", [True, False])
def test_pixels_come_back_as_they_went(unit):
    pictures = some()
    moving = MovingPixels(pictures, SPACE, unit=unit)
    torch.testing.assert_close(moving.stored(), pictures, rtol=0, atol=1e-6)
    torch.testing.assert_close(moving.pictures([1, 3]), SPACE.enter(pictures[[1, 3]]), rtol=0, atol=1e-6)
    with torch.no_grad():
        moving.parameters["pixels"].add_(9)
    moving.settle()
    assert (float(moving.stored().max()) <= 1) == unit


def test_a_pull_reaches_the_parameters_batch_by_batch():
    pictures = some()
    raw = torch.zeros(4, 2, requires_grad=True)
    for size in (1, 3, 64):
        moving = MovingPixels(pictures, SPACE, unit=True, patches=2)
        small = Synthetic(moving, torch.tensor([0, 0, 1, 1]), raw, logits=True, batch_size=size)
        shown, targets = small.shown([1, 2, 3])
        assert (shown.shape, targets.shape) == ((12, 3, 12, 12), (12, 2))
        wanted = torch.randn(shown.shape, generator=torch.Generator().manual_seed(2))
        labels = torch.randn(targets.shape, generator=torch.Generator().manual_seed(3))
        raw.grad = None
        small.pull_back(Pull(wanted, labels, [1, 2, 3]))
        leaf, own = pictures.clone().requires_grad_(True), torch.zeros(4, 2, requires_grad=True)
        total = (SPACE.enter(unfolded(leaf[1:], 2)) * wanted).sum()
        total = total + (own[1:].softmax(1).repeat_interleave(4, 0) * labels).sum()
        total.backward()
        torch.testing.assert_close(moving.parameters["pixels"].grad, leaf.grad)
        torch.testing.assert_close(raw.grad, own.grad)
        assert not moving.parameters["pixels"].grad[0].any()
    with pytest.raises(UserError, match="not finite"):
        small.pull_back(Pull(torch.full_like(shown, float("nan")), None, [1, 2, 3]))


def test_latents_move_coarse_to_fine():
    pictures = some(2, 8)
    moving = MovingLatents(pictures, SPACE, PixelCodec(), levels=3)
    assert [value.shape[2] for value in moving.parameters.values()] == [2, 4, 8]
    torch.testing.assert_close(moving.stored(), pictures, rtol=0, atol=1e-5)
    assert moving.active(0, 10) == {"level0"}
    assert moving.active(4, 10) == {"level0", "level1"}
    assert moving.active(10, 10) == set(moving.parameters)
    assert list(moving.rates.values()) == [1.0, 0.5, 0.25]
