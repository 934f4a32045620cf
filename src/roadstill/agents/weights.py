"""Reading state dicts from untrusted files: tensors only, never code."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from roadstill.errors import UserError


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict from a ``.safetensors`` or torch file.

    Raises:
        UserError: missing, damaged, or with anything but tensors in it.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; it should be a file with network weights")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read as network weights: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(
            f"{path} is not a plain state dict (name -> tensor); save one with torch.save(model.state_dict(), ...)"
        )
    return dict(state)
