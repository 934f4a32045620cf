"""The vehicle's own status as an agent's input, and the network that sees nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from roadstill.agents.staged import StagedNetwork
from roadstill.errors import UserError
from roadstill.frames import COMMANDS
from roadstill.imagesets import ImageSet

WIDTH = 1 + len(COMMANDS)
_SPEED_MPS = 10.0  # counts as one


def status_rows(speed_mps: Sequence[float], command: Sequence[str]) -> NDArray[np.float32]:
    """Speeds and driving commands as a network takes them, ``[n, 5]``. Accelerations are not among them: labels are."""
    rows = np.zeros((len(speed_mps), WIDTH), np.float32)
    rows[:, 0] = np.asarray(speed_mps, np.float32) / _SPEED_MPS
    for row, name in enumerate(command):
        rows[row, 1 + COMMANDS.index(name)] = 1.0
    return rows


def status_of(images: ImageSet) -> NDArray[np.float32]:
    """The status of every picture, ``[n, 5]``.

    Raises:
        UserError: a picture without a speed or with a command that is none.
    """
    speeds, commands = [], []
    for row, facts in enumerate(images.facts):
        speed, command = facts.get("speed_mps"), facts.get("command")
        if not isinstance(speed, (int, float)) or not np.isfinite(speed) or command not in COMMANDS:
            raise UserError(
                f"{images.root}, {images.files[row]}: it has no speed_mps and command, which ego looks at; take frames "
                "of an index, or set ego false"
            )
        speeds.append(float(speed))
        commands.append(str(command))
    return status_rows(speeds, commands)


class _Nothing(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.new_zeros(len(pictures), 1)


def blind(num_classes: int, weights: Path | None, *, trained: bool) -> StagedNetwork:
    """A network that sees nothing of the picture: with ``ego`` it decides by the status alone.

    Raises:
        UserError: weights were given.
    """
    if weights is not None:
        raise UserError(f"the agent network blind starts from random weights; leave out weights ({weights})")
    return StagedNetwork(
        [_Nothing()], features=1, num_classes=num_classes, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25),
        origin="random weights", pretrained=True,
    )  # fmt: skip
