"""Muon (Jordan et al. 2024) for the matrices of a network and AdamW for the rest of it, as one optimiser.

PyTorch's own Muon takes matrices alone and computes in bfloat16, which on processors without instructions for it is a
hundred times as slow as single precision.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

# Of the quintic iteration, chosen by Jordan et al. for its slope at zero; singular values end between 0.7 and 1.2.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_MOMENTUM = 0.95
_BETAS, _EPS = (0.9, 0.999), 1e-8


def matrices_of(network: nn.Module) -> list[Tensor]:
    """Weights ``[out, in]`` of the linear layers that learn; tables of embeddings are none."""
    found = {id(m.weight): m.weight for m in network.modules() if isinstance(m, nn.Linear) and m.weight.requires_grad}
    return [weight for weight in found.values() if weight.ndim == 2]


def orthogonalised(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthogonal rows or columns, roughly, by a Newton-Schulz iteration; shape and type stay.

    Singular values become about 1, where they were not zero.
    """
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).float()
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Moves each matrix by its orthogonalised momentum, everything else as AdamW does.

    A step of a matrix has a root mean square of about the learning rate, as AdamW's first steps have.

    Args:
        weights: all parameters that learn, in any order; state is kept in it.
        matrices: those of them that are moved by Muon; see `matrices_of`.
        lr: learning rate.
        weight_decay: decoupled weight decay, of both kinds.
    """

    def __init__(
        self, weights: Iterable[Tensor], matrices: Iterable[Tensor], *, lr: float, weight_decay: float = 0.0
    ) -> None:
        self._matrices = {id(matrix) for matrix in matrices}
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step; a closure is not called."""
        for group in self.param_groups:
            learning = [weight for weight in group["params"] if weight.grad is not None]
            for weight in learning:
                if id(weight) in self._matrices:
                    self._move(weight, group)
            self._move_rest([weight for weight in learning if id(weight) not in self._matrices], group)

    def _move(self, matrix: Tensor, group: dict[str, Any]) -> None:
        """One step of one matrix, with Nesterov's momentum."""
        state, gradient = self.state[matrix], matrix.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        step = orthogonalised(gradient.lerp(momentum, _MOMENTUM))
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        matrix.add_(step, alpha=-group["lr"] * max(matrix.shape) ** 0.5)

    def _move_rest(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """One step of AdamW."""
        states = [self.state[weight] for weight in weights]
        for weight, state in zip(weights, states, strict=True):
            if not state:
                state |= {name: torch.zeros_like(weight) for name in ("exp_avg", "exp_avg_sq")}
                state["step"] = torch.zeros((), dtype=torch.float32, device=weight.device)
        adamw(
            weights,
            [weight.grad for weight in weights if weight.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=_EPS,
            maximize=False,
        )
