"""Reading state dicts from untrusted files: tensors only, never code."""

from pathlib import Path

from torch import Tensor

from roadstill.errors import UserError
from roadstill.weights.tensors import open_tensors, require_intact
from roadstill.weights.torch_file import read_torch_file


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict from a ``.safetensors`` or torch file.

    Raises:
        UserError: missing, damaged, with anything but tensors in it, or with numbers that are not finite.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; it should be a file with network weights")
    if path.suffix == ".safetensors":
        return open_tensors(path, "a file with network weights").tensors()
    state = read_torch_file(path)
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UserError(
            f"{path} is not a plain state dict (name -> tensor); save one with torch.save(model.state_dict(), ...)"
        )
    require_intact(state, path)
    return dict(state)
