"""Contact sheets of the report: pictures of each arm, made ones beside the real frame that they look most like."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roadstill.images import read_image
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.report.captions import Tile, jpeg_uri
from roadstill.report.lens import Lens, tiles_of
from roadstill.report.records import NoisingRow
from roadstill.runs import seed_of
from roadstill.runs.progress import track

TILES_PER_CLASS = 10
_MOST_TILES = 40  # of a sheet, so that sets of many classes get fewer of each
MAX_SHEETS = 12  # 12 sheets of 20 pictures, each with a real frame beside it, stay under about 5 MB

# Facts that only made pictures have, and how these came to be.
_MADE = {"guidance": "generated", "crops": "cut out of training frames", "method": "distilled"}


@dataclass(frozen=True)
class Sheet:
    """One set's pictures.

    Attributes:
        title: name of the set on the page.
        note: one line on its origin.
        folder: its folder, relative to the run's.
        rows: name of each class, number of its images, and the tiles that are shown.
    """

    title: str
    note: str
    folder: str
    rows: Sequence[tuple[str, int, Sequence[Tile]]]

    @property
    def paired(self) -> bool:
        """Whether pictures stand beside real frames."""
        return any(tile.near for _, _, tiles in self.rows for tile in tiles)


def class_sheet(
    images: ImageSet,
    title: str,
    note: str,
    folder: str = "",
    *,
    draw: bool = False,
    lens: Lens = Lens(),  # noqa: B008
) -> Sheet:
    """The first tiles of each class, the last label first (brake before not brake).

    Args:
        images: any image set.
        title: name of the set on the page.
        note: one line on its origin.
        folder: its folder, relative to the run's.
        draw: whether to take a fixed random draw instead of the first ones (for large real sets).
        lens: what made pictures are held against, and who scores them.
    """
    rows, each = [], min(TILES_PER_CLASS, max(1, _MOST_TILES // images.num_classes))
    for label in reversed(range(images.num_classes)[:_MOST_TILES]):
        members = np.flatnonzero(images.labels == label)
        shown = members
        if draw:
            shown = np.random.default_rng(seed_of("report", title, label)).permutation(members)
        name = images.class_names[label].replace("_", " ")
        tiles = tiles_of(images, [int(row) for row in shown[:each]], title, lens)
        rows.append((name, len(members), tiles))
    return Sheet(title, note, folder, rows)


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


def contact_sheets(run: Path, labels: Mapping[str, str], lens: Lens = Lens()) -> tuple[list[Sheet], int]:  # noqa: B008
    """A sheet of real frames, then one per arm in the order of ``labels`` (arms missing there come last).

    Of an arm of several budgets the smallest is shown that fills a sheet. The second value is the number of sets that
    are left out, since the page would grow too large.
    """
    sheets = []
    if (run / "sets" / "train" / "set.json").is_file():
        real = open_imageset(run / "sets" / "train")
        note = f"a fixed draw from {len(real)} images"
        sheets.append(class_sheet(real, "Training part", note, "sets/train", draw=True, lens=Lens(scores=lens.scores)))
    folders = _one_budget(arm_folders(run))
    order = [arm for arm in labels if arm in folders] + [arm for arm in folders if arm not in labels]
    shown = order[: MAX_SHEETS - len(sheets)]
    for arm in track(shown, "sheets of pictures"):
        seed, folder, budget = folders[arm]
        images, title = open_imageset(folder), labels.get(arm, arm)
        note = f"{_origin(images)}, set seed {seed}" + (f", {budget} images per class" if budget else "")
        sheets.append(class_sheet(images, title, note, folder.relative_to(run).as_posix(), lens=lens))
    return sheets, len(order) - len(shown)


def _one_budget(folders: Mapping[str, tuple[str, Path]]) -> dict[str, tuple[str, Path, str]]:
    """Seed, folder and budget of each arm: the smallest budget that fills a sheet, or the largest."""
    budgets: dict[str, list[tuple[int, str]]] = {}
    for name in folders:
        arm, _, budget = name.partition("@")
        budgets.setdefault(arm, []).append((_number(budget), name))
    found = {}
    for arm, its in budgets.items():
        its.sort()
        _, name = next((each for each in its if each[0] >= TILES_PER_CLASS), its[-1])
        found[arm] = (*folders[name], name.partition("@")[2])
    return found


def _origin(images: ImageSet) -> str:
    """The origin in words: made pictures (perhaps from real frames), frames of the data, or a mix."""
    made = sum(any(key in facts for key in _MADE) for facts in images.facts)
    strengths = {facts["strength"] for facts in images.facts if "strength" in facts}
    if made == 0:
        origin = "frames of the training part"
    elif made < len(images):
        origin = "real frames and generated images"
    else:
        origin = next(word for key, word in _MADE.items() if key in images.facts[0])
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
            tiles.append(Tile(jpeg_uri(tile, 200), 200, alt, caption, (("schedule", row.schedule), ("step", str(t)))))
        strips.append((re.sub(r"^spoon(\d+)$", r"spoon-cosine, power \1", row.schedule), tiles))
    return strips
