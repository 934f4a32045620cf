"""Real crops that a teacher finds typical, whole or stitched into new pictures: RDED (Sun et al. 2024)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.runs import seed_of
from roadstill.selection.base import record
from roadstill.selection.features import finite_rows
from roadstill.selection.uncertainty import Predict, nats

_BATCH = 64


@dataclass(frozen=True)
class Rded:
    """Takes the best random crop of each candidate by the teacher's loss, and the best of those.

    Attributes:
        predict: teacher's probabilities, see `Predict`; crops are judged at the size of the pictures. The teacher must
            have been trained on the train part alone.
        factor: 1 for one crop per picture, 2 for four stitched half-size crops, which breaks the layout of a scene.
        crops: random square crops per candidate, of 8 to 100 % of its area.
        pool: candidates per class, drawn at random, raised to the number of crops needed; at most the whole class.
        teacher: description of the teacher in records.
    """

    predict: Predict = field(repr=False)
    factor: int = 1
    crops: int = 5
    pool: int = 300
    teacher: str = ""

    def __post_init__(self) -> None:
        if self.factor not in (1, 2) or min(self.crops, self.pool) < 1:
            raise UserError(f"factor {self.factor} must be 1 or 2, crops {self.crops} and pool {self.pool} at least 1")

    def make(self, images: ImageSet, *, per_class: int, seed: int, out: Path) -> ImageSet:
        """See `Maker`; every picture records its crops: source, box in pixels and the teacher's loss in nats."""
        patches = self.factor**2
        if per_class < 1:
            raise UserError(f"per_class is {per_class}; it must be at least 1")
        if images.size_px % self.factor:
            raise UserError(
                f"{images.root}: pictures of {images.size_px} px cannot be halved; prepare them with an even size"
            )
        with ImageSetWriter(out, images.class_names, images.size_px) as writer:
            for label, name in enumerate(images.class_names):
                rows = np.flatnonzero(images.labels == label)
                rng = np.random.default_rng(seed_of("rded", seed, label))
                rows = rows[rng.permutation(len(rows))[: max(self.pool, per_class * patches)]]
                if len(rows) < per_class * patches:
                    raise UserError(
                        f"{images.root}: {per_class} images of {patches} crops per class need {per_class * patches} "
                        f"candidates, but class {name!r} has {len(rows)}; lower per_class"
                    )
                boxes, losses = self._best_crops(images, rows, label, rng)
                order = np.lexsort((rng.random(len(rows)), losses))[: per_class * patches]
                for picture in order.reshape(per_class, patches):
                    pixels, facts = self._stitched(images, rows[picture], boxes[picture], losses[picture])
                    writer.add(pixels, label, facts)
            writer.about.update({**images.about, **record(images, self, per_class=per_class, seed=seed)})
        return open_imageset(out)

    def _best_crops(
        self, images: ImageSet, rows: NDArray[np.int64], label: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Box ``[n, 3]`` (left, top, side) and loss ``[n]`` of each image's crop with the teacher's lowest loss."""
        boxes = random_boxes(len(rows), self.crops, images.size_px, rng)
        losses = np.empty((len(rows), self.crops))
        step = max(1, _BATCH // self.crops)
        for start in range(0, len(rows), step):
            part = slice(start, min(start + step, len(rows)))
            pictures = images.pixels(rows[part])
            cut = [
                _cut(picture, box, images.size_px)
                for picture, its in zip(pictures, boxes[part], strict=True)
                for box in its
            ]
            found = finite_rows(
                self.predict(np.stack(cut)), images, np.repeat(rows[part], self.crops), "teacher's probabilities"
            )
            losses[part] = nats(found[:, label]).reshape(-1, self.crops)
        best = losses.argmin(1)
        every = np.arange(len(rows))
        return boxes[every, best], losses[every, best]

    def _stitched(
        self, images: ImageSet, rows: NDArray[np.int64], boxes: NDArray[np.int64], losses: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """One picture ``[s, s, 3]`` of its crops, row by row, and its facts with their sources."""
        side = images.size_px // self.factor
        parts = [_cut(images.pixels([int(row)])[0], box, side) for row, box in zip(rows, boxes, strict=True)]
        lines = [np.concatenate(parts[at : at + self.factor], axis=1) for at in range(0, len(parts), self.factor)]
        crops = [
            {"source": images.files[int(row)], "box_px": box.tolist(), "loss": round(float(loss), 6)}
            for row, box, loss in zip(rows, boxes, losses, strict=True)
        ]
        shared = images.facts[int(rows[0])] if self.factor == 1 else {}
        return np.concatenate(lines), {**shared, "crops": crops}


def rded(images: ImageSet, predict: Predict, *, per_class: int, seed: int, out: Path, factor: int = 1) -> ImageSet:
    """Makes a set by `Rded` with its usual numbers of crops and candidates; errors as `Rded.make`."""
    return Rded(predict, factor).make(images, per_class=per_class, seed=seed, out=out)


def random_boxes(count: int, crops: int, size_px: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Squares (left, top, side) ``[count, crops, 3]`` inside a picture, of 8 to 100 % of its area, uniformly."""
    side = np.rint(size_px * np.sqrt(rng.uniform(0.08, 1.0, (count, crops)))).astype(np.int64).clip(1, size_px)
    left, top = (rng.integers(0, size_px - side + 1) for _ in range(2))
    return np.stack([left, top, side], axis=-1)


def _cut(picture: NDArray[np.uint8], box: NDArray[np.int64], side_px: int) -> NDArray[np.uint8]:
    left, top, side = (int(each) for each in box)
    whole = Image.fromarray(picture)
    return np.asarray(
        whole.resize((side_px, side_px), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    )
