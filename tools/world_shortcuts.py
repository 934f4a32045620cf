"""Can the built-in world be solved by a shortcut? Prints the scores of models that see too little to drive.

    python tools/world_shortcuts.py runs/demo/sets

Three partial views: the mean colour of the picture, its lowest 15 rows, and the sky alone (the top 30 of 128 rows).
Each is learned by boosted trees and by logistic regression on the train part and measured on dev and test together.
Every figure should stay below 65 % balanced accuracy; the exit code is 1 if one does not.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from roadstill.imagesets import ImageSet, open_imageset

LIMIT = 0.65


def views(images: ImageSet) -> dict[str, np.ndarray]:
    """Returns the features of each view, ``[n, d]``."""
    pixels = images.pixels()
    rows = images.size_px * 15 // 128
    return {
        "mean colour": np.stack([picture.reshape(-1, 3).mean(0) for picture in pixels]),
        "lowest rows": np.stack([small(picture[-rows:], 32, 4) for picture in pixels]),
        "sky": np.stack([small(picture[: 2 * rows], 32, 8) for picture in pixels]),
    }


def small(part: np.ndarray, width: int, height: int) -> np.ndarray:
    """Returns a strip of a picture as a short vector."""
    return np.asarray(Image.fromarray(part).resize((width, height), Image.Resampling.BOX), np.float32).ravel()


def main(folder: str) -> int:
    train = open_imageset(Path(folder) / "train")
    held = [open_imageset(Path(folder) / part) for part in ("dev", "test")]
    labels = np.concatenate([part.labels for part in held])
    seen, unseen = views(train), [views(part) for part in held]
    worst = 0.0
    for view, features in seen.items():
        others = np.concatenate([part[view] for part in unseen])
        for model in (
            HistGradientBoostingClassifier(random_state=0),
            make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)),
        ):
            guess = model.fit(features, train.labels).predict(others)
            score = balanced_accuracy_score(labels, guess)
            worst = max(worst, score)
            name = type(model).__name__ if not hasattr(model, "steps") else "LogisticRegression"
            print(f"{view:<12} {name:<32} {100 * score:5.1f} %")
    print(f"{len(train)} train images, {len(labels)} unseen; limit {100 * LIMIT:.0f} %")
    return int(worst >= LIMIT)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
