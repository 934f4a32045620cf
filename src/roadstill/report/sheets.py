"""Pictures for the report: small JPEG copies as data URIs, limited in number to keep the page small."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from roadstill.images import read_image
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.report.records import NoisingRow
from roadstill.runs import seed_of

TILES_PER_CLASS = 10
MAX_SHEETS = 12  # 12 sheets of 20 tiles stay under about 2 MB
THUMB_PX = 144


@dataclass(frozen=True)
class Tile:
    """One picture: data URI, side length in pixels, text alternative, caption (may be empty)."""

    uri: str
    size_px: int
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Sheet:
    """One set's pictures: a row of tiles per class, with the total number of its images."""

    title: str
    note: str
    rows: Sequence[tuple[str, int, Sequence[Tile]]]


def jpeg_uri(image: Image.Image, longest_px: int = THUMB_PX) -> str:
    """The picture, at most ``longest_px`` wide or high, as a JPEG data URI."""
    small = image.convert("RGB")
    small.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=84, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def class_sheet(images: ImageSet, title: str, note: str, *, draw: bool = False) -> Sheet:
    """The first tiles of each class, the last label first (brake before not brake).

    Args:
        images: any image set.
        title: name of the set on the page.
        note: one line on its origin.
        draw: whether to take a fixed random draw instead of the first ones (for large real sets).
    """
    rows = []
    for label in reversed(range(images.num_classes)):
        members = np.flatnonzero(images.labels == label)
        shown = members
        if draw:
            shown = np.random.default_rng(seed_of("report", title, label)).permutation(members)
        name = images.class_names[label].replace("_", " ")
        tiles = [_tile(images, int(index), f"{title}, {name}") for index in shown[:TILES_PER_CLASS]]
        rows.append((name, len(members), tiles))
    return Sheet(title, note, rows)


def _tile(images: ImageSet, index: int, name: str) -> Tile:
    image = Image.fromarray(images.pixels([index])[0])
    motion = _motion(images.facts[index])
    return Tile(jpeg_uri(image), min(THUMB_PX, images.size_px), f"{name}{', ' + motion if motion else ''}", motion)


def _motion(facts: Mapping[str, Any]) -> str:
    speed, accel = facts.get("speed_mps"), facts.get("accel_mps2")
    if not isinstance(speed, (int, float)) or not isinstance(accel, (int, float)):
        return ""
    return f"{speed:.1f}\u00a0m/s, {accel:+.1f}\u00a0m/s²".replace("-", "−")


def arm_folders(run: Path) -> dict[str, tuple[str, Path]]:
    """Arm name -> (seed, folder) of the lowest seed on disk, from ``arms/`` and ``select/``."""
    found: dict[str, tuple[str, Path]] = {}
    places = [(path.parent.parent.name, path.parent.name, path.parent) for path in run.glob("arms/*/seed*/set.json")]
    for path in run.glob("select/*-seed*/set.json"):
        arm, _, seed = path.parent.name.rpartition("-")
        places.append((arm, seed, path.parent))
    for arm, seed, folder in sorted(places, key=lambda place: (place[0], _number(place[1]), place[1])):
        found.setdefault(arm, (seed.removeprefix("seed").lstrip("-") or "0", folder))
    return found


def _number(text: str) -> int:
    digits = re.search(r"\d+", text)
    return int(digits.group()) if digits else 0


def contact_sheets(run: Path, labels: Mapping[str, str]) -> list[Sheet]:
    """A sheet of real frames, then one per arm in the order of ``labels`` (arms missing there come last)."""
    sheets = []
    if (run / "sets" / "train" / "set.json").is_file():
        real = open_imageset(run / "sets" / "train")
        sheets.append(class_sheet(real, "Training part", f"a fixed draw from {len(real)} images", draw=True))
    folders = arm_folders(run)
    order = [arm for arm in labels if arm in folders] + [arm for arm in folders if arm not in labels]
    for arm in order[: MAX_SHEETS - len(sheets)]:
        seed, folder = folders[arm]
        images = open_imageset(folder)
        sheets.append(class_sheet(images, labels.get(arm, arm), f"{_origin(images)}, set seed {seed}"))
    return sheets


def _origin(images: ImageSet) -> str:
    """The origin in words: generated pictures (perhaps from real frames), frames of the data, or a mix."""
    made = sum("guidance" in facts for facts in images.facts)
    strengths = {facts["strength"] for facts in images.facts if "strength" in facts}
    if made == 0:
        origin = "frames of the training part"
    elif made < len(images):
        origin = "real frames and generated images"
    else:
        origin = "generated"
        if strengths:
            origin += f" from real frames noised by {max(strengths):.0%} of the chain"
    method = images.about.get("method")
    return origin + (", chosen by a teacher" if isinstance(method, Mapping) and "teacher" in method else "")


def noising_rows(run: Path, rows: Sequence[NoisingRow]) -> list[tuple[str, Sequence[Tile]]]:
    """The strips ``figures/noising_<schedule>.png`` cut into their tiles, each captioned with t and SNR."""
    strips: list[tuple[str, Sequence[Tile]]] = []
    for row in rows:
        path = run / "figures" / f"noising_{row.schedule}.png"
        strip, count = read_image(path), len(row.t)
        width = strip.width // count
        tiles = []
        for place, (t, abar, snr_db) in enumerate(zip(row.t, row.abar, row.snr_db, strict=True)):
            tile = strip.crop((place * width, 0, (place + 1) * width, strip.height))
            ratio = f"{snr_db:.1f}\u00a0dB" if t else "no noise"
            caption = f"t\u00a0=\u00a0{t}: {ratio}"
            alt = f"image noised by schedule {row.schedule} at step {t}, signal share {abar:.4f}, {ratio}"
            tiles.append(Tile(jpeg_uri(tile, 200), 200, alt, caption))
        strips.append((re.sub(r"^spoon(\d+)$", r"spoon-cosine, power \1", row.schedule), tiles))
    return strips
