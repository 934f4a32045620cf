"""What the forward process leaves of a picture at growing t, under two schedules (thesis figure 3.5)."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from roadstill.codecs import Codec, from_pixels, to_pixels
from roadstill.denoisers.diffusion import add_noise
from roadstill.images import encode_png
from roadstill.imagesets import ImageSet
from roadstill.runs import atomic_path, write_json
from roadstill.schedules import NoiseSchedule, linear, spoon_cosine

TIMES = (0, 50, 100, 150, 200)


def draw_noising(images: ImageSet, codec: Codec, folder: Path, *, times: Sequence[int] = TIMES, seed: int = 0) -> None:
    """Writes ``noising_<schedule>.png`` (tiles in a row) for linear, Scos^2 and Scos^6, and ``noising.json``.

    The picture is that of the hardest braking, or the first if none records an acceleration; the noise is the same
    everywhere, so tiles differ by schedule alone. Each tile is decoded from the noised
    latent divided by its signal share: what the network would have to see through.
    """
    hardest = int(np.argmin([fact.get("accel_mps2", 0.0) for fact in images.facts]))
    clean = codec.encode(from_pixels(torch.from_numpy(images.pixels([hardest])))).mean
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, betas in (("linear", linear()), ("spoon2", spoon_cosine(2)), ("spoon6", spoon_cosine(6))):
        schedule = NoiseSchedule.of(betas)
        abar = [float(schedule.alpha_bar[t]) for t in times]
        tiles = [_tile(codec, schedule, clean, noise, t) for t in times]
        with atomic_path(folder / f"noising_{name}.png") as path:
            path.write_bytes(encode_png(np.concatenate(tiles, axis=1)))
        snr_db = [10 * math.log10(share / (1 - share)) for share in abar]
        rows.append({"schedule": name, "t": list(times), "abar": abar, "snr_db": snr_db})
    write_json(folder / "noising.json", {"rows": rows})


def _tile(codec: Codec, schedule: NoiseSchedule, clean: Tensor, noise: Tensor, t: int) -> np.ndarray:
    step = torch.tensor([t])
    noisy = add_noise(schedule, clean, step, noise) if t else clean
    with torch.no_grad():
        return to_pixels(codec.decode(noisy / float(schedule.alpha_bar[t]) ** 0.5 if t else noisy))[0].numpy()
