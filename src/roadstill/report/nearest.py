"""The real frame that each made picture looks most like, by pixels: cheap enough for the time of the report.

Pictures shrunk to 16 x 16 pixels are compared by their cosine around the mean of the real frames. That finds copies and
scenes of the same layout, light and colours; `roadstill describe` compares in a network's features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from roadstill.evaluation.neighbours import nearest
from roadstill.imagesets import ImageSet
from roadstill.runs import seed_of
from roadstill.selection import PixelFeatures

MOST_FRAMES = 20_000  # about 20 s to read
_MOST_PAIRS = 500  # real frames whose own nearest ones are searched, to know what is near


@dataclass(frozen=True)
class Neighbour:
    """The real frame nearest to a picture.

    Attributes:
        row: its row in the set of real frames.
        distance: cosine distance, 0 to 2.
        is_close: whether it is nearer than 95 % of the real frames are to a frame of another log (to any other one,
            where no log is known): 5 % of further real frames would be, but most copies.
    """

    row: int
    distance: float
    is_close: bool


class RealFrames:
    """The frames of the training part, or a fixed draw if there are very many.

    Attributes:
        images: the training part.
        rows: rows that are searched.
    """

    def __init__(self, images: ImageSet) -> None:
        self.images, self.rows = images, np.arange(len(images))
        if len(images) > MOST_FRAMES:
            draw = np.random.default_rng(seed_of("nearest", len(images)))
            self.rows = np.sort(draw.choice(len(images), MOST_FRAMES, replace=False))
        self._known = {fact.get("digest") for fact in images.facts}

    # Not before a made picture asks: a run of picked frames has none, and its report need not read all frames.
    @cached_property
    def _features(self) -> NDArray[np.float32]:
        return PixelFeatures()(self.images, self.rows)

    @cached_property
    def _centre(self) -> NDArray[np.float32]:
        centre: NDArray[np.float32] = self._features.mean(0)
        return centre

    @cached_property
    def _close(self) -> float:
        logs = [str(self.images.facts[row].get("log", row)) for row in self.rows.tolist()]
        groups = np.unique(logs, return_inverse=True)[1]
        if len(set(groups.tolist())) < 2:
            groups = np.arange(len(groups))
        if len(groups) < 2:
            return -1.0
        draw = np.random.default_rng(seed_of("close", len(groups)))
        some = np.sort(draw.permutation(len(groups))[:_MOST_PAIRS])
        _, distances = nearest(self._features[some], self._features, centre=self._centre, groups=(groups[some], groups))
        return float(np.quantile(distances, 0.05))

    def is_frame(self, images: ImageSet, row: int) -> bool:
        """Whether a picture is itself a frame of the training part."""
        return images.facts[row].get("digest") in self._known

    def of(self, images: ImageSet, rows: Sequence[int]) -> list[Neighbour]:
        """The real frame nearest to each of some pictures of the same size."""
        if not rows or not len(self.rows):
            return []
        made = PixelFeatures()(images, np.asarray(rows))
        places, distances = nearest(made, self._features, centre=self._centre)
        return [
            Neighbour(int(self.rows[place]), float(distance), bool(distance < self._close))
            for place, distance in zip(places, distances, strict=True)
        ]
