"""What pictures are to a network: whitening and its inverse."""

import pytest
import torch

from roadstill.distil.spaces import Space, whitening_of
from roadstill.errors import UserError


def pictures(count=400, px=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.randn((count, 3, 1, 1), generator=generator) + 0.3 * torch.randn(
        (count, 3, px, px), generator=generator
    )
    return 0.5 + 0.1 * smooth


def test_whitened_pixels_are_uncorrelated_and_come_back():
    known = pictures()
    found = whitening_of(known.split(50), regularisation=0.0)
    white = found.enter(known).flatten(1).double()
    covariance = (white - white.mean(0)).T @ (white - white.mean(0)) / (len(white) - 1)
    torch.testing.assert_close(covariance, torch.eye(48).double(), rtol=0, atol=1e-2)
    torch.testing.assert_close(found.leave(found.enter(known)), known, rtol=0, atol=1e-5)


@pytest.mark.parametrize("relative", [False, True])
def test_the_matrix_is_that_of_the_definition(relative):
    known = pictures().flatten(1).double()
    centred = known - known.mean(0)
    covariance = centred.T @ centred / (len(known) - 1)
    added = 0.1 * (covariance.trace() / 48 if relative else 1.0)
    values, vectors = torch.linalg.eigh(covariance)
    wanted = vectors @ torch.diag((values + added).rsqrt()) @ vectors.T
    found = whitening_of([pictures()], relative=relative)
    torch.testing.assert_close(found.matrix.double(), wanted, rtol=1e-4, atol=1e-4)


def test_spaces_lead_there_and_back():
    known = pictures(8)
    for space in (Space((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)), Space((), (), whitening_of([pictures()]))):
        torch.testing.assert_close(space.leave(space.enter(known)), known, rtol=0, atol=1e-5)


def test_a_matrix_of_large_pictures_is_refused():
    with pytest.raises(UserError, match="needs a matrix of 12,675 rows"):
        whitening_of([torch.zeros(2, 3, 65, 65)])
