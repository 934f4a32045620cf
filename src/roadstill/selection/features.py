"""Feature networks of selectors: one signature, a cache, and the cheapest features, the pixels themselves.

An agent's backbone is `Agent.features`, a generator's middle block `roadstill.selection.middle.MiddleFeatures`.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.runs import same_classes

Features: TypeAlias = Callable[[ImageSet, NDArray[np.int64]], NDArray[np.float32]]
"""Features ``[len(rows), d]`` of the named images of a set."""


def features_of(features: Features, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Features ``[len(rows), d]`` as every selector takes them: checked.

    Raises:
        UserError: another shape, or numbers that are not finite; names the image.
    """
    return finite_rows(features(images, rows), images, rows, "features")


def finite_rows(found: Any, images: ImageSet, rows: NDArray[np.int64], what: str) -> NDArray[np.float32]:
    """Numbers ``[len(rows), d]`` of the named images as float32.

    Raises:
        UserError: another shape, or numbers that are not finite; names the image.
    """
    with np.errstate(over="ignore"):
        values = np.asarray(found, np.float32)
    if values.ndim != 2 or len(values) != len(rows) or not values.shape[1]:
        raise UserError(f"{images.root}: {what} of {len(rows)} images have the shape {values.shape}, not [n, d]")
    # No array of the same size: NaN and infinity show in a row's smallest or largest number.
    wrong = np.flatnonzero(~(np.isfinite(values.min(1)) & np.isfinite(values.max(1))))
    if len(wrong):
        row = int(rows[wrong[0]])
        others = f" and those of {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise UserError(
            f"{images.root}: the {what} of image {row} ({images.files[row]}){others} are not finite; leave the image "
            "out, or use another teacher or other features"
        )
    return values


class CachedFeatures:
    """Features that are computed once per image; those of the most recently used sets are kept.

    Args:
        features: feature network that computes them.
        sets: number of sets that are kept; a set of 10,000 images and 512 features takes 20 MB.
        what: what they are, for messages.
    """

    def __init__(self, features: Features, sets: int = 4, what: str = "features") -> None:
        self.features, self.sets, self.what = features, sets, what
        self._kept: OrderedDict[str, tuple[NDArray[np.bool_], NDArray[np.float32]]] = OrderedDict()

    def __call__(self, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Features`."""
        known, values = self._kept.pop(images.digest, (np.zeros(len(images), np.bool_), np.empty((0, 0), np.float32)))
        new = rows[~known[rows]]
        if len(new):
            found = finite_rows(self.features(images, new), images, new, self.what)
            if not len(values):
                values = np.zeros((len(images), found.shape[1]), np.float32)
            values[new], known[new] = found, True
        self._kept[images.digest] = known, values
        while len(self._kept) > self.sets:
            self._kept.popitem(last=False)
        return values[rows]


class PixelFeatures:
    """The picture itself, shrunk by box averages: no network, no weights.

    Args:
        side_px: side of the shrunk picture; the features are its ``3 * side_px ** 2`` values in [0, 1].
    """

    def __init__(self, side_px: int = 16) -> None:
        self.side_px = side_px

    def __call__(self, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Features`."""
        size = (self.side_px, self.side_px)
        small = np.empty((len(rows), *size, 3), np.uint8)
        for place, row in enumerate(rows):  # one picture in memory at a time
            picture = Image.fromarray(images.pixels([int(row)])[0])
            small[place] = np.asarray(picture.resize(size, Image.Resampling.BOX))
        return (small.reshape(len(rows), -1) / 255).astype(np.float32)


def own_and_known(
    features: Features, images: ImageSet, rows: NDArray[np.int64], reference: ImageSet | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features of the candidates ``[n, d]``, and of the class that they should represent ``[m, d]``.

    The class is that of the candidates themselves, or the same class of a reference (real frames, say, when the
    candidates are generated).
    """
    own = features_of(features, images, rows)
    if reference is None:
        return own, own
    same_classes(reference.class_names, images.class_names, of=reference.root, to=images.root)
    label = int(images.labels[rows[0]])
    return own, features_of(features, reference, np.flatnonzero(reference.labels == label))


def unit(features: NDArray[Any]) -> NDArray[Any]:
    """Rows ``[n, d]`` scaled to length one, so that their products are cosines; a row of zeros stays."""
    length = np.sqrt(np.einsum("nd,nd->n", features, features))
    return features / np.where(length > 0, length, 1).astype(features.dtype)[:, None]
