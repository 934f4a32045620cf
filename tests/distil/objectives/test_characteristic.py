"""Characteristic functions: a distance that is 0 for equal samples only."""

import torch

from roadstill.distil.objectives.characteristic import characteristic_distance


def test_equal_samples_have_no_distance_and_others_have():
    generator = torch.Generator().manual_seed(0)
    ours, frequencies = torch.randn((20, 5), generator=generator), torch.randn((64, 5), generator=generator)
    assert float(characteristic_distance(ours, ours.flip(0), frequencies)) < 1e-4
    near, far = (characteristic_distance(ours, ours + shift, frequencies) for shift in (0.1, 1.0))
    assert 0 < near < far


def test_it_is_the_published_formula():
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn((7, 3), generator=generator).double(), torch.randn((9, 3), generator=generator).double()
    w = torch.randn((11, 3), generator=generator).double()
    psi, phi = (torch.exp(1j * (each @ w.T)).mean(0) for each in (a, b))
    amplitude = (psi.abs() - phi.abs()) ** 2
    phase = 2 * (psi.abs() * phi.abs() - (psi * phi.conj()).real)
    torch.testing.assert_close(characteristic_distance(a, b, w), (0.5 * amplitude + 0.5 * phase).sqrt().mean())
