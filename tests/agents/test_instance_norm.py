"""The written-out norm against PyTorch's own operations: values, gradients, memory orders, half precision."""

import pytest
import torch
from torch import nn

from roadstill.agents.instance_norm import InstanceNorm


def norm_and_input(channels=6, side=8, *, active=True, pool=2, seed=0, images=3):
    generator = torch.Generator().manual_seed(seed)
    norm = InstanceNorm(channels, active=active, pool=pool)
    with torch.no_grad():
        norm.weight.uniform_(-1, 2, generator=generator)
        norm.bias.normal_(generator=generator)
    x = 3 * torch.randn(images, channels, side, side, generator=generator) + 5
    return norm, x


def gradients(work, norm, x):
    x = x.clone().requires_grad_()
    out = work(x)
    wanted = torch.randn(out.shape, generator=torch.Generator().manual_seed(9))
    return [out.detach(), *torch.autograd.grad(out, [x, norm.weight, norm.bias], wanted.to(out.dtype))]


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("active", "pool", "side"), [(True, 2, 8), (True, 1, 8), (False, 1, 5), (False, 2, 9)])
def test_values_and_gradients_are_those_of_group_norm(active, pool, side, order):
    norm, x = norm_and_input(active=active, pool=pool, side=side)
    x = x.contiguous(memory_format=order)
    for ours, theirs in zip(gradients(norm, norm, x), gradients(norm.plainly, norm, x), strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_buffers_that_are_used_again_change_nothing_that_was_returned():
    norm, x = norm_and_input(pool=1, active=False)
    first = gradients(norm, norm, x)
    kept = [value.clone() for value in first]
    gradients(norm, norm, 7 * x[:2] - 1)
    assert all(torch.equal(one, other) for one, other in zip(first, kept, strict=True))


def test_two_norms_in_a_row_do_not_disturb_each_other():
    first, x = norm_and_input()
    second, _ = norm_and_input(pool=1, seed=1)
    both = nn.Sequential(first, nn.Conv2d(6, 6, 3, padding=1), second)
    wanted = second.plainly(both[1](first.plainly(x)))
    torch.testing.assert_close(both(x), wanted, atol=1e-5, rtol=1e-4)
    ours = torch.autograd.grad(both(x).square().sum(), first.weight)
    theirs = torch.autograd.grad(wanted.square().sum(), first.weight)
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)


def test_half_precision_goes_in_and_out_and_single_precision_lies_between():
    norm, x = norm_and_input()
    half = gradients(norm, norm, x.bfloat16())
    assert [value.dtype for value in half] == [torch.bfloat16, torch.bfloat16, torch.float32, torch.float32]
    for ours, theirs in zip(half, gradients(norm, norm, x.bfloat16().float()), strict=True):
        torch.testing.assert_close(ours.float(), theirs, atol=0.05, rtol=0.02)


def test_a_second_derivative_is_refused_and_not_wrong():
    norm, x = norm_and_input()
    x.requires_grad_()
    (first,) = torch.autograd.grad(norm(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        first.sum().backward()
