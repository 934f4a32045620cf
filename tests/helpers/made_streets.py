"""Made-up drives along streets: frames of a drive resemble each other, and all share sky, road and houses."""

import numpy as np
import torch
from PIL import Image, ImageDraw

from roadstill.imagesets import ImageSetWriter, open_imageset
from roadstill.imagesets.values import folded, to_uint8


def street(seed, at, px):
    """A frame uint8 [px, px, 3] of the street of this number, ``at`` from 0 to 1 along it."""
    rng = np.random.default_rng([7, seed])
    sky, road = rng.integers(120, 230, 3), int(rng.integers(50, 110))
    picture = Image.new("RGB", (px, px), tuple(sky.tolist()))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, px * 0.55, px, px), fill=tuple(rng.integers(60, 160, 3).tolist()))
    draw.polygon([(px * 0.45, px * 0.55), (px * 0.55, px * 0.55), (px, px), (0, px)], fill=(road, road, road))
    for _ in range(14):  # houses, trees and vehicles, the far ones first
        depth, side = rng.uniform(0.25, 1.0), rng.choice([-1, 1])
        size = (0.08 + 0.5 * at) * depth * rng.uniform(0.4, 1.3)
        x = 0.5 + side * (0.08 + (0.12 + 0.5 * at) * depth)
        box = [x - size / 3, 0.56 - size * rng.uniform(0.3, 1.0), x + size / 3, 0.56 + size / 4]
        draw.rectangle([px * each for each in box], fill=tuple(rng.integers(0, 256, 3).tolist()))
    noise = np.random.default_rng([8, seed, round(1000 * at)]).normal(0, 3, (px, px, 3))
    return np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)


def streets(folder, drives, frames, *, px=32, places=None, **about):
    """An image set of drives (numbers) with so many frames each, every half a second.

    A drive leads along the street of its number, or, a little later, that of ``places``; ``about`` goes into the set's
    record.
    """
    with ImageSetWriter(folder, ("not_brake", "brake"), px) as writer:
        for order, drive in enumerate(drives):
            place = drive if places is None else places[order]
            for frame in range(frames):
                facts = {
                    "token": f"{drive}-{frame}", "log": f"log-{drive}", "drive": f"drive-{drive}",
                    "timestamp_us": 10**9 * drive + 500_000 * frame, "location": f"town-{place % 3}",
                }  # fmt: skip
                writer.add(street(place, (frame + 0.2 * (place != drive)) / frames, px), frame % 2, facts)
        writer.about.update(about)
    return open_imageset(folder)


def pictures(folder, made, px=32):
    """An image set of pictures uint8 [n, px, px, 3], of which nothing is known."""
    with ImageSetWriter(folder, ("not_brake", "brake"), px) as writer:
        for row, picture in enumerate(made):
            writer.add(picture, row % 2, {})
    return open_imageset(folder)


def grids(folder, made):
    """A distilled set whose pictures are grids of 2 x 2 patches, each one of the pictures uint8 [4 n, px, px, 3]."""
    whole = folded(torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2) / 255, 2)
    px = whole.shape[2]
    with ImageSetWriter(folder, ("not_brake", "brake"), px) as writer:
        for row, picture in enumerate(to_uint8(whole)):
            writer.add(picture, row % 2, {})
        writer.values = {"pictures": whole}
        writer.about["recipe"] = {"patches": 2}
    return open_imageset(folder)


def changed(picture, how, rng):
    """A copy that is noisy, brighter, tinted, mirrored, shifted, cropped, or several of these."""
    px = len(picture)
    image = Image.fromarray(picture)
    if how in ("cropped", "all"):
        cut = px / 16
        image = image.resize((px, px), Image.Resampling.BICUBIC, box=(cut * 0.5, cut, px - cut * 1.5, px - cut))
    values = np.asarray(image).astype(np.float64)
    if how in ("brighter", "all"):
        values = 0.8 * values + 35
    if how == "tinted":
        values = values + np.array([25, 0, -25])
    if how in ("noisy", "all"):
        values = values + rng.normal(0, 10, values.shape)
    if how in ("mirrored", "all"):
        values = values[:, ::-1]
    if how == "shifted":
        step = px // 16
        values = np.pad(values, ((step, 0), (0, step), (0, 0)), mode="edge")[:px, step:]
    return np.clip(values, 0, 255).round().astype(np.uint8)


CHANGES = ("as it is", "noisy", "brighter", "tinted", "mirrored", "shifted", "cropped", "all")
