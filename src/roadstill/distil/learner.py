"""Networks as functions of their weights: what second-order objectives differentiate.

A network's trainable weights are one flat vector, so that a step of training is a function from vector to vector.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from roadstill.agents.instance_norm import InstanceNorm
from roadstill.agents.staged import StagedNetwork

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Learner:
    """A network whose weights are given anew in every call.

    Attributes:
        network: the network, in training mode; its frozen stages stay as they are.
        loss: scalar of outputs ``[b, k]`` and targets ``[b, k]``.
    """

    network: StagedNetwork
    loss: Loss
    names: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.names = [name for name, each in self.network.named_parameters() if each.requires_grad]

    @cached_property
    def shapes(self) -> list[torch.Size]:
        """Shape of each trainable weight."""
        own = dict(self.network.named_parameters())
        return [own[name].shape for name in self.names]

    def flat(self) -> Tensor:
        """A copy of the trainable weights, ``[p]``."""
        own = dict(self.network.named_parameters())
        return torch.cat([own[name].detach().reshape(-1) for name in self.names])

    def weights(self, flat: Tensor) -> dict[str, Tensor]:
        """The weights of a flat vector by name, views of it."""
        parts = flat.split([shape.numel() for shape in self.shapes])
        return {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}

    def put(self, flat: Tensor) -> None:
        """Copies a flat vector into the network."""
        own = dict(self.network.named_parameters())
        with torch.no_grad():
            for name, value in self.weights(flat).items():
                own[name].copy_(value)

    def outputs(self, flat: Tensor, pictures: Tensor) -> Tensor:
        """Outputs ``[b, k]`` for prepared pictures ``[b, 3, s, s]``."""
        found: Tensor = functional_call(self.network, self.weights(flat), (pictures,))
        return found

    def learn(self, optimiser: torch.optim.Optimizer, pictures: Tensor, targets: Tensor) -> None:
        """One step of an optimiser of the network's own weights on prepared pictures ``[b, 3, s, s]``, in parts."""
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        optimiser.zero_grad()
        for rows in self.network.parts(pictures):
            share = len(pictures[rows]) / len(pictures)
            (self.loss(self.network(pictures[rows]), targets[rows]) * share).backward()
        optimiser.step()

    def gradient(self, flat: Tensor, pictures: Tensor, targets: Tensor, *, twice: bool) -> Tensor:
        """Gradient ``[p]`` of the mean loss with respect to the weights.

        Args:
            flat: weights; those that need a gradient keep it if ``twice``.
            pictures: prepared pictures ``[b, 3, s, s]``.
            targets: probabilities or numbers ``[b, k]``.
            twice: whether the gradient itself is differentiated later. Otherwise few pictures go through at a time.
        """
        at = flat if twice and flat.requires_grad else flat.detach().requires_grad_(True)
        with torch.enable_grad():
            if twice:
                with differentiable_twice(self.network):
                    return torch.autograd.grad(self.loss(self.outputs(at, pictures), targets), at, create_graph=True)[0]
            found = torch.zeros_like(at)
            for rows in self.network.parts(pictures):
                loss = self.loss(self.outputs(at, pictures[rows]), targets[rows])
                share = len(pictures[rows]) / len(pictures)
                found += share * torch.autograd.grad(loss, at)[0]
        return found


@contextmanager
def differentiable_twice(network: torch.nn.Module) -> Iterator[None]:
    """Within the block, norms compute by PyTorch's own operations, whose gradients have gradients."""
    norms = [module for module in network.modules() if isinstance(module, InstanceNorm)]
    for norm in norms:
        norm.plain = True
    try:
        yield
    finally:
        for norm in norms:
            norm.plain = False


def loss_for(target: str) -> Loss:
    """The loss that agents of a target are trained with: cross-entropy of probabilities, or Huber's loss of numbers."""
    return F.cross_entropy if target == "class" else F.smooth_l1_loss


@dataclass(frozen=True)
class Moved:
    """Gradients of a scalar of the last weights of an unrolled training.

    Attributes:
        state: with respect to the first state, one tensor per part of it.
        inputs: with respect to each step's inputs.
        settings: with respect to what all steps share, such as a learning rate.
    """

    state: tuple[Tensor, ...]
    inputs: list[tuple[Tensor, ...]]
    settings: tuple[Tensor, ...]


def gathered(batches: Sequence[Tensor], gradients: Sequence[Sequence[Tensor]], whole: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of the steps' inputs as those of what the steps drew them from.

    Args:
        batches: rows of each step.
        gradients: of each step, with respect to what it was given, in the order of ``whole``.
        whole: pictures and targets that rows were drawn from.
    """
    sums = [torch.zeros_like(each) for each in whole]
    for rows, given in zip(batches, gradients, strict=True):
        for total, part in zip(sums, given, strict=False):
            total.index_add_(0, rows, part)
    return sums


Step: TypeAlias = Callable[[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]], tuple[Tensor, ...]]


def roll_out(
    step: Step, state: Sequence[Tensor], inputs: Sequence[Sequence[Tensor]], settings: Sequence[Tensor],
    pulled: Callable[[tuple[Tensor, ...]], Sequence[Tensor]],
) -> tuple[tuple[Tensor, ...], Moved]:  # fmt: skip
    """Takes the steps of a training and differentiates back through all of them, holding one step's graph at a time.

    The states on the way are kept, each step is computed once more on the way back: the gradient is exact, and memory
    grows by one state a step, whatever a step's graph takes.

    Args:
        step: the next state from a state, a step's inputs and the shared settings; differentiable.
        state: first state.
        inputs: inputs of each step, such as pictures and targets.
        settings: what all steps share.
        pulled: gradient of the scalar with respect to each part of the last state.

    Returns:
        The last state, and the gradients.
    """
    states = [tuple(part.detach() for part in state)]
    shared = tuple(each.detach() for each in settings)
    for given in inputs:
        with torch.no_grad():
            states.append(tuple(part.detach() for part in step(states[-1], tuple(given), shared)))
    back = tuple(pulled(states[-1]))
    found: list[tuple[Tensor, ...]] = []
    total = tuple(torch.zeros_like(each) for each in shared)
    for at, given in zip(reversed(states[:-1]), reversed(inputs), strict=True):
        leaves = [part.detach().requires_grad_(True) for part in (*at, *given, *shared)]
        ends = len(at), len(at) + len(given)
        with torch.enable_grad():
            after = step(tuple(leaves[: ends[0]]), tuple(leaves[ends[0] : ends[1]]), tuple(leaves[ends[1] :]))
        # What is not moved by a step, as the number of steps in Adam, has no gradient.
        moved = [(part, its) for part, its in zip(after, back, strict=True) if part.requires_grad]
        grads = torch.autograd.grad(
            [part for part, _ in moved], leaves, [its for _, its in moved], allow_unused=True, materialize_grads=True
        )
        back, total = grads[: ends[0]], tuple(a + b for a, b in zip(total, grads[ends[1] :], strict=True))
        found.append(tuple(grads[ends[0] : ends[1]]))
    return states[-1], Moved(back, found[::-1], total)
