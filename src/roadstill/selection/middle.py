"""Features from a generator: the tokens of its middle block, as training-free guidance reads them (method 8.11)."""

import numpy as np
import torch
from numpy.typing import NDArray

from roadstill.codecs import Codec, from_pixels
from roadstill.denoisers.diffusion import add_noise
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.denoisers.labelled import LabelledDenoiser, evaluating
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.networks.dit import DiT
from roadstill.runs.progress import track

_BATCH = 32


class MiddleFeatures:
    """The mean token after a DiT's middle block, for latents with a little noise and without a label.

    All pictures get the same noise, so that features depend on the picture alone and equal pictures have equal ones.

    Args:
        denoiser: generator whose network is a DiT that predicts noise.
        codec: codec of the latents that it was trained on.
        step: step of the noise schedule, from 0; the little noise of an early step is what the network gets at the end
            of sampling, when an image has nearly all of its content.
        seed: seed of the noise.

    Raises:
        UserError: another kind of network, or a step beyond the schedule.
    """

    def __init__(self, denoiser: LabelledDenoiser, codec: Codec, *, step: int = 50, seed: int = 0) -> None:
        network = denoiser.network
        if not isinstance(denoiser, DiTDenoiser) or not isinstance(network, DiT):
            raise UserError(
                "features of the middle block need a DiT that predicts noise; use an agent's features instead"
            )
        if not 0 <= step < len(denoiser.schedule):
            raise UserError(f"step is {step}; it must be from 0 to below the schedule's {len(denoiser.schedule)} steps")
        self.network, self.schedule, self.codec, self.step = network, denoiser.schedule, codec, step
        self.noise = torch.randn(denoiser.latent_shape, generator=torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def __call__(self, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Features`: ``[len(rows), hidden]``.

        Raises:
            UserError: pictures of another size than the generator was trained on.
        """
        shape = self.codec.latent_shape(images.size_px)
        if shape != tuple(self.noise.shape):
            raise UserError(
                f"{images.root}: latents of {images.size_px} px pictures are {shape}, but the generator takes "
                f"{tuple(self.noise.shape)}; prepare pictures of the size that it was trained with"
            )
        out = np.empty((len(rows), self.network.hidden_size), np.float32)
        with evaluating(self.network):
            for start in track(range(0, len(rows), _BATCH), "batches of pictures"):
                part = rows[start : start + _BATCH]
                out[start : start + len(part)] = self._tokens(images.pixels(part)).mean(1).float().cpu().numpy()
        return out

    def _tokens(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """Tokens ``[b, n, hidden]`` after the middle block for pictures uint8 ``[b, s, s, 3]``."""
        network, device = self.network, next(self.network.parameters()).device
        own = next(self.codec.parameters()).device
        clean = self.codec.encode(from_pixels(torch.from_numpy(pixels)).to(own)).mean.to(device)
        t = torch.full((len(clean),), self.step, device=device)
        noisy = add_noise(self.schedule, clean, t, self.noise.to(device).expand_as(clean))
        null = torch.full_like(t, network.num_classes)
        x = network.x_embedder(noisy) + network.pos_embed
        condition = network.t_embedder(self.schedule.timesteps.to(device)[t]) + network.y_embedder(null)
        for block in list(network.blocks)[: -(-network.depth // 2)]:
            x = block(x, condition)
        return x
