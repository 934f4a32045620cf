"""Features of an agent place by place, for generators that are aligned with what it sees."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roadstill.agents.agent import Agent
from roadstill.agents.features import prepare_pixels
from roadstill.errors import UserError

_REDUCTION = 16  # pixels per place, along one side: that of a DiT's tokens at 8 pixels per latent and patches of 2


class GridFeatures:
    """The last features of an agent's stages that still have a place for every 16 x 16 pixels.

    Args:
        agent: a trained agent.

    Raises:
        UserError: an agent whose stages have none.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent, self.digest, side = agent, agent.digest, agent.config.image_px or agent.size_px
        self._stages, x = 0, torch.zeros(1, 3, side, side, device=agent.network.head.weight.device)
        with torch.no_grad():
            for number, stage in enumerate(agent.network.stages, 1):
                x = stage(x)
                if x.ndim == 4 and x.shape[2] == -(-side // _REDUCTION):
                    self._stages = number
        if not self._stages:
            raise UserError(
                f"the agent's network {agent.config.network} has no stage with a place for every {_REDUCTION} pixels; "
                "give one of another network"
            )

    @torch.no_grad()
    def of(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Features ``[b, c, s / 16, s / 16]`` of pictures ``[b, s, s, 3]``."""
        self.agent.check_size(pixels.shape[1])
        network, found = self.agent.network, []
        for part in torch.from_numpy(pixels).split(8):
            x = prepare_pixels(network, part.to(network.head.weight.device), self.agent.config.image_px)
            for stage in network.stages[: self._stages]:
                x = stage(x)
            found.append(x)
        return torch.cat(found)
