"""Kernel regression: the closed form against wide networks, and interpolation."""

import math

import torch

from roadstill.learning.kernels import regress, tangent_kernel


def test_the_kernel_is_that_of_wide_networks():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((4, 6), generator=generator, dtype=torch.float64)
    width, bias, draws = 1500, 0.1, 6
    total, features = torch.zeros(4, 4).double(), torch.zeros(4, 4).double()
    for _ in range(draws):
        sizes = [(6, width), (width, width), (width, 1)]
        weights = [torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_(True) for size in sizes]
        biases = [torch.randn(size[1], generator=generator, dtype=torch.float64).requires_grad_(True) for size in sizes]
        hidden = x
        for layer, (weight, shift) in enumerate(zip(weights, biases, strict=True)):
            hidden = math.sqrt(2 / weight.shape[0]) * hidden @ weight + bias * shift
            hidden = hidden.relu() if layer < 2 else hidden
        rows = []
        for output in hidden[:, 0]:
            grads = torch.autograd.grad(output, [*weights, *biases], retain_graph=True)
            rows.append(torch.cat([each.flatten() for each in grads]))
        jacobian = torch.stack(rows)
        total += jacobian @ jacobian.T / draws
        features += torch.outer(hidden[:, 0].detach(), hidden[:, 0].detach()) / draws
    found = tangent_kernel(x, x, depth=2, bias=bias)
    torch.testing.assert_close(found, total, rtol=0.08, atol=0.2)
    assert (tangent_kernel(x, x, depth=2, bias=bias, kind="nngp") < found).all()


def test_one_hidden_layer_by_hand():
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    # Inputs of length 1 in two dimensions: each pre-activation has variance 1, and the two are independent.
    nngp = tangent_kernel(x, x, depth=1, bias=0.0, kind="nngp")
    torch.testing.assert_close(
        nngp, torch.tensor([[1.0, 1 / math.pi], [1 / math.pi, 1.0]]).double(), rtol=1e-6, atol=1e-6
    )
    ntk = tangent_kernel(x, x, depth=1, bias=0.0)
    torch.testing.assert_close(ntk[0, 1], nngp[0, 1] + 0.0 * 0.5, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ntk[0, 0], torch.tensor(2.0).double(), rtol=1e-6, atol=1e-6)


def test_regression_on_itself_interpolates_and_gradients_are_finite():
    x = torch.randn((6, 5), generator=torch.Generator().manual_seed(1)).requires_grad_(True)
    y = torch.eye(6)[:, :3]
    kernel = tangent_kernel(x, x)
    torch.testing.assert_close(regress(kernel, kernel, y, 1e-10), y.double(), rtol=0, atol=1e-4)
    found = regress(kernel, tangent_kernel(x.detach() + 0.1, x), y)
    (gradient,) = torch.autograd.grad(found.square().sum(), x)
    assert gradient.isfinite().all()
    assert gradient.any()
