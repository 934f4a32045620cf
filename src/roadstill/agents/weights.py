"""Reading state dicts from untrusted files: tensors only, never code."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from roadstill.errors import UserError
from roadstill.runs.kinds import file_not_wanted
from roadstill.weights.torch_file import read_torch_file


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict from a ``.safetensors`` or torch file.

    Raises:
        UserError: missing, damaged, or with anything but tensors in it.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; it should be a file with network weights")
    if path.suffix != ".safetensors":
        state = read_torch_file(path)
    elif told := file_not_wanted(path, "a safetensors file"):
        raise UserError(f"{path} cannot be read as network weights: {told}")
    else:
        try:
            state = load_file(path)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read as network weights: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(
            f"{path} is not a plain state dict (name -> tensor); save one with torch.save(model.state_dict(), ...)"
        )
    return dict(state)
