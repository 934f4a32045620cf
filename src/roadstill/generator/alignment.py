"""Representation alignment (REPA; Yu et al. 2025): a block's tokens tell what a trained network sees at their place.

A generator has to learn what objects there are before it can draw them; a classifier knows already. Its features, which
`encode` keeps with the latents, are predicted from the tokens of an inner block by a small network that is thrown away.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from roadstill.codecs.latents import LatentStore
from roadstill.errors import UserError
from roadstill.generator.config import FinetuneConfig
from roadstill.learning.loops import evenly, generator_of
from roadstill.networks.dit import DiT, initialise_linear

_WIDTH = 384  # of the small network's inner layer
_SEEN = 1024  # rows that tell mean and deviation of the features


class Alignment:
    """The term of a training, its small network, and the tokens of the last forward pass.

    Args:
        network: the DiT that learns.
        latents: latents with features.
        config: settings with the weight and the block.
        seed: seed of the small network's weights.

    Attributes:
        projector: the small network, from tokens to features.

    Raises:
        UserError: another kind of network, a block that it does not have, or latents without features.
    """

    def __init__(self, network: nn.Module, latents: LatentStore, config: FinetuneConfig, seed: int) -> None:
        block = config.alignment.block
        if not isinstance(network, DiT):
            raise UserError(f"alignment is for a DiT, and this is a {type(network).__name__}; set alignment.weight 0")
        if not 1 <= block <= network.depth:
            raise UserError(f"alignment.block is {block}; this DiT has blocks 1 to {network.depth}")
        if latents.features is None:
            raise UserError(f"{latents.root} holds no features to align with; encode the set with --align")
        self.latents, self.weight = latents, config.alignment.weight
        self.side = network.input_size // network.patch_size
        width = latents.features[0]
        self.projector: Any = nn.Sequential(nn.Linear(network.hidden_size, _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, width))
        initialise_linear(self.projector, generator_of("alignment", seed))
        seen = latents.kept_features(evenly(np.arange(len(latents)), _SEEN)).transpose(0, 1).flatten(1)
        self.mean, self.std = seen.mean(1).view(-1, 1, 1), seen.std(1).clamp_min(1e-6).view(-1, 1, 1)
        self._tokens: Tensor | None = None
        network.blocks[block - 1].register_forward_hook(self._note)

    def _note(self, module: nn.Module, given: Any, tokens: Tensor) -> None:
        self._tokens = tokens

    def term(self, rows: NDArray[np.int64]) -> Tensor:
        """Weighted 1 - cosine of the features of rows ``[b]`` and what their tokens tell, a mean over places."""
        tokens = self._tokens
        assert tokens is not None
        features = (self.latents.kept_features(rows) - self.mean) / self.std
        if features.shape[2] != self.side:
            features = F.interpolate(features, (self.side, self.side), mode="bilinear", antialias=True)
        wanted = features.flatten(2).transpose(1, 2).to(tokens.device)
        found = self.projector(tokens.float())
        return self.weight * (1 - F.cosine_similarity(found, wanted, dim=2)).mean()
