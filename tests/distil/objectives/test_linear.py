"""What refinement matches: the objectives against their definitions, networks alike."""

import torch
from torch.nn import functional as F

from roadstill.distil.objectives.linear import LinearGradients, balanced, head_gradients, objective_of
from roadstill.distil.seeing import ridge_fit


def test_head_gradients_are_those_of_the_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(7, 5, generator=generator), torch.tensor([0, 1, 2, 2, 1, 0, 0])
    heads = torch.randn(2, 3, 5, generator=generator)
    found = head_gradients(features, F.one_hot(labels, 3), heads)
    for index in range(2):
        weight, bias = heads[index].clone().requires_grad_(True), torch.zeros(3, requires_grad=True)
        F.cross_entropy(features @ weight.T + bias, labels).backward()
        torch.testing.assert_close(found[index, :15], weight.grad.flatten())
        torch.testing.assert_close(found[index, 15:], bias.grad * features.norm(dim=1).mean())


def test_the_ridge_error_is_that_of_the_normal_equations():
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(6, 3, generator=generator), torch.randn(50, 3, generator=generator)
    labels, their_labels = torch.arange(6) % 2, (theirs[:, 0] > 0).long()
    config = LinearGradients(gradients=0.0, regression=1.0, ridge=0.1)
    targets, wanted = F.one_hot(labels, 2), F.one_hot(their_labels, 2)
    found = objective_of(ours, targets, theirs, wanted, torch.zeros(1, 2, 3), config)
    spread = (theirs - theirs.mean(0)).square().sum(1).mean().sqrt()
    a, b = (torch.cat([(x - theirs.mean(0)) / spread, torch.ones(len(x), 1)], 1) for x in (ours, theirs))
    penalty = 0.1 * float((a * a).sum(1).mean())
    weights = torch.linalg.solve(a.T @ a + penalty * torch.eye(4), a.T @ (2.0 * F.one_hot(labels, 2) - 1))
    torch.testing.assert_close(found, (b @ weights - (2.0 * F.one_hot(their_labels, 2) - 1)).square().mean())


def test_the_ridge_fit_of_many_examples_says_their_class():
    features = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    labels = (features[:, 0] > 0).long() + (features[:, 0] > 1).long()
    found = ridge_fit(features[:100], F.one_hot(labels[:100], 3), features[100:], features, 0.01)
    assert found.shape == (100, 3)
    assert (found[:, 0] > found[:, 2]).eq(labels[100:] < 2)[labels[100:] != 1].float().mean() > 0.9


def test_no_network_outweighs_the_others():
    one, other = torch.randn(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = balanced([one, 1000 * other])
    cosines = [float(F.cosine_similarity(found.flatten(), each.flatten(), dim=0)) for each in (one, other)]
    assert min(cosines) > 0.6, cosines
    assert balanced([one]) is one
    assert balanced([one, 0 * one]).isfinite().all()
