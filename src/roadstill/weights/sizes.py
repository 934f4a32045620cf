"""How large a network may be: its sizes come from strangers' files, which must hold as many numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from roadstill.errors import UserError
from roadstill.weights.tensors import Shapes

MOST_NUMBERS = 2**31
"""Parameters of a network that no file bounds; the largest that this package names, DiT-XL, has 0.7 billion."""
_MOST_TENSORS = 10_000  # Stable Diffusion XL's network has 1,680


class _TooLarge(Exception):
    pass


@contextmanager
def without_weights(where: str, held: Shapes | None = None) -> Iterator[None]:
    """Builds the networks of its block on the meta device, where they need no memory, up to a limit.

    The limit is about twice what a file holds: a head that is made anew and tables that are computed have room.
    Building stops at it, so that a depth of a million takes no time either.

    Args:
        where: file that names the sizes, for the message.
        held: shapes of the tensors that the network will get, if they are known.

    Raises:
        UserError: a network beyond the limit.
    """
    numbers = MOST_NUMBERS if held is None else sum(prod(shape) for shape in held.values())
    most_numbers = MOST_NUMBERS if held is None else 2 * numbers + 2**24
    most_tensors = _MOST_TENSORS if held is None else min(2 * len(held) + 64, _MOST_TENSORS)
    counted = [0, 0]

    def count(module: nn.Module, name: str, parameter: Tensor | None) -> None:
        if parameter is not None:
            counted[0] += 1
            counted[1] += parameter.numel()
        if counted[0] > most_tensors or counted[1] > most_numbers:
            raise _TooLarge

    handle = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            yield
    except _TooLarge:
        limit = f"the {numbers:,} numbers in {len(held)} tensors that it holds" if held is not None else f"{numbers:,}"
        raise UserError(
            f"{where}: its sizes are those of a network of more parameters than {limit}; make them smaller, or fetch "
            "the file again"
        ) from None
    finally:
        handle.remove()
