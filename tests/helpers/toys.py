"""Image sets without pictures, whose features, probabilities and facts are given as arrays."""

from pathlib import Path

import numpy as np

from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset


def pictureless(labels, *, classes=None, facts=None, digest="d"):
    labels = np.asarray(labels, np.int64)
    count = classes or int(labels.max()) + 1
    return ImageSet(
        root=Path("nowhere"),
        class_names=tuple(f"class{label}" for label in range(count)),
        files=tuple(f"{row}.png" for row in range(len(labels))),
        labels=labels,
        facts=facts or [{} for _ in labels],
        size_px=8,
        digest=digest,
    )


def of(array):
    """Features that are rows of an array."""
    array = np.asarray(array, np.float32)
    return lambda images, rows: array[rows]


def pick_one(method, features_or_rows, count, *, seed=0):
    """What a method chooses of one class, as a list of rows."""
    images = pictureless([0] * features_or_rows)
    if hasattr(method, "choose_all"):
        rows = [np.arange(features_or_rows)]
        return method.choose_all(images, rows, count=count, rngs=[np.random.default_rng(seed)])[0].tolist()
    return method.choose(images, np.arange(features_or_rows), count=count, rng=np.random.default_rng(seed)).tolist()


def greys(folder, values, labels, size_px=8):
    """Grey pictures on disk."""
    with ImageSetWriter(folder, tuple(f"class{label}" for label in range(max(labels) + 1)), size_px) as writer:
        for value, label in zip(values, labels, strict=True):
            writer.add(np.full((size_px, size_px, 3), value, np.uint8), label, {"token": f"t{value}"})
    return open_imageset(folder)
