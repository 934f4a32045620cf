"""What a generator makes of real frames: those that it learned by heart it restores better than others."""

import numpy as np
import torch
from numpy.typing import NDArray

from roadstill.codecs import Codec, from_pixels
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.runs import same_classes, seed_of
from roadstill.runs.progress import track

SHARES = (0.1, 0.2, 0.3, 0.5)
"""Places in the chain of noise: below, every picture is restored, above, none is."""
_NOISES, _BATCH = 2, 16


@torch.no_grad()
def restoring_scores(
    denoiser: LabelledDenoiser, codec: Codec, images: ImageSet, rows: NDArray[np.int64], *, seed: int = 0
) -> NDArray[np.float64]:
    """Minus the mean log error of a generator's clean estimates ``[len(rows)]``; higher for frames that it knows.

    The loss as a score (Yeom et al. 2018; for diffusion models Matsumoto et al. 2023, Carlini et al. 2023). Every frame
    meets the same noises, two at each of four levels, so that frames differ and not their noise. Attacks that train
    shadow models (LiRA) find more; this is a lower bound of what can be found.

    Args:
        denoiser: the generator.
        codec: codec of its latents.
        images: real frames of its classes.
        rows: rows that are scored.
        seed: seed of the noises.

    Raises:
        UserError: as `require_generator`.
    """
    require_generator(denoiser, codec, images)
    shape = codec.latent_shape(images.size_px)
    generator = torch.Generator().manual_seed(seed_of("audit", seed))
    noises = {share: torch.randn((_NOISES, *shape), generator=generator) for share in SHARES}
    found = np.empty(len(rows))
    for start in track(range(0, len(rows), _BATCH), "batches of pictures"):
        part = rows[start : start + _BATCH]
        pixels = from_pixels(torch.from_numpy(images.pixels(part))).to(codec.device)
        clean, label = codec.encode(pixels).mean, torch.from_numpy(images.labels[part])
        levels = []
        for share, several in noises.items():
            errors = [
                denoiser.residual(clean, label, share=share, noise=noise.expand(len(part), *shape))
                .square()
                .flatten(1)
                .mean(1)
                for noise in several
            ]
            levels.append(torch.stack(errors).mean(0).clamp(min=1e-20).log())
        found[start : start + len(part)] = -torch.stack(levels).mean(0).double().numpy()
    return found


def require_generator(denoiser: LabelledDenoiser, codec: Codec, images: ImageSet) -> None:
    """Refuses a generator that cannot restore these pictures, before any work.

    Raises:
        UserError: another codec, other classes, pictures of another size, or a generator of few steps.
    """
    origin = denoiser.origin
    if origin.distilled is not None:
        raise UserError("a generator of few steps tells nothing of single noise levels; name the one it came from")
    if origin.codec not in (None, "untrained", codec.digest) and codec.digest != "untrained":
        raise UserError(
            f"the generator was trained on latents of codec {origin.codec}, but this codec is {codec.digest}"
        )
    if origin.class_names:
        same_classes(images.class_names, origin.class_names, of=images.root, to="the generator")
    shape = codec.latent_shape(images.size_px)
    if shape != denoiser.latent_shape:
        raise UserError(
            f"{images.root} has latents of {shape}, but the generator makes {denoiser.latent_shape}; name the pictures "
            "and the codec that it was trained with"
        )
