"""What a loss term must be: any function of this form; a Module if it has a memory."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Criterion(Protocol):
    """One scalar term of the loss."""

    def __call__(self, estimate: Tensor, clean: Tensor, label: Tensor) -> Tensor:
        """Estimates and clean latents ``[b, c, h, w]``, labels ``[b]`` -> scalar to be minimised."""
        ...
