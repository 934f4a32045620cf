"""Metrics of one agent on one image set. All figures are fractions, never percent."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from roadstill.agents.quantities import QUANTITIES
from roadstill.errors import UserError
from roadstill.evaluation.leaks import caveat_of
from roadstill.imagesets import ImageSet
from roadstill.runs import same_classes

_BATCH = 64
BINS = 15
_NO_SCORES = ("labels", "probabilities", "caveat", "brakes", "misses", "unit", "accels_mps2", "mean_errors")
_FIFTHS = 5
HARD_BRAKE_MPS2 = -3.0


@runtime_checkable
class Predictor(Protocol):
    """Anything that turns pictures into probabilities, an agent of ours or not."""

    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities ``[n, k]`` of pictures ``[n, s, s, 3]``."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """One agent on one image set.

    Attributes:
        n: number of images.
        accuracy: share of images whose most probable class is right.
        balanced_accuracy: mean of the class accuracies, free of the class shares.
        class_accuracy: accuracy by class name.
        auroc: area under the ROC curve (mean of one against the rest for more than two classes).
        ece: expected calibration error of the most probable class, 15 bins of equal width.
        confusion: counts ``[true][predicted]``.
        majority_class: most frequent class.
        majority_accuracy: accuracy of always answering it, the value to beat.
        class_names: names of the classes in label order.
        images: digest of the set.
        labels: labels int64 ``[n]``.
        probabilities: probabilities float32 ``[n, k]``.
        caveat: what has to be said with the figures, of a training set that leaks; mostly empty.
        brakes: number of classes, counted from the last, that brake; 0 if the set does not tell, or has two classes.
        misses: by how much an agent that predicts numbers misses each, ``[n, d]``, and None for one of classes.
        unit: unit of the misses.
        accels_mps2: true and answered acceleration of each, ``[n, 2]``; None for an agent of classes, and of runs that
            were kept before this was.
        mean_errors: mean absolute and root mean square error of always answering the images' mean, the value to beat.
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    class_accuracy: dict[str, float]
    auroc: float
    ece: float
    confusion: list[list[int]]
    majority_class: str
    majority_accuracy: float
    class_names: tuple[str, ...]
    images: str
    labels: NDArray[np.int64] = field(repr=False)
    probabilities: NDArray[np.float32] = field(repr=False)
    caveat: str = ""
    brakes: int = 0
    misses: NDArray[np.float32] | None = field(default=None, repr=False)
    unit: str = ""
    accels_mps2: NDArray[np.float32] | None = field(default=None, repr=False)
    mean_errors: tuple[float, float] | None = None

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each image's most probable class is right."""
        return self.probabilities.argmax(1) == self.labels

    @property
    def errors(self) -> dict[str, float]:
        """Mean absolute (``mae``) and root mean square (``rmse``) of the misses; empty for an agent of classes."""
        if self.misses is None:
            return {}
        mae, rmse = _errors(self.misses)
        return {"mae": mae, "rmse": rmse}

    @property
    def mae_by_fifth(self) -> list[float] | None:
        """Mean absolute error in each fifth of the true accelerations, hardest braking first; None without them."""
        if self.misses is None or self.accels_mps2 is None or len(self.misses) < _FIFTHS:
            return None
        order = self.accels_mps2[:, 0].argsort(kind="stable")
        return [float(np.abs(self.misses[rows]).mean()) for rows in np.array_split(order, _FIFTHS)]

    @property
    def hard_brake_recall(self) -> float | None:
        """Share of the frames below -3 m/s2 for which such an acceleration is answered; None if there are none."""
        if self.accels_mps2 is None:
            return None
        true, answered = (self.accels_mps2 < HARD_BRAKE_MPS2).T
        return float(answered[true].mean()) if true.any() else None

    @property
    def brake_recall(self) -> float | None:
        """Share of the frames of all brakes for which any brake is answered; None if `brakes` is 0."""
        return self._braking(slice(-self.brakes, None)) if self.brakes else None

    @property
    def brake_false_alarm_rate(self) -> float | None:
        """Share of the other frames for which any brake is answered; None if `brakes` is 0."""
        return self._braking(slice(None, -self.brakes)) if self.brakes else None

    def _braking(self, rows: slice) -> float:
        true = np.array(self.confusion)[rows]
        return float(true[:, -self.brakes :].sum() / true.sum())

    def scores(self) -> dict[str, Any]:
        """Everything but the arrays per image and the caveat, with what braking classes and numbers make of it."""
        found = {name: value for name, value in vars(self).items() if name not in _NO_SCORES}
        if self.brakes:
            found |= {name: getattr(self, name) for name in ("brakes", "brake_recall", "brake_false_alarm_rate")}
        if self.errors:
            more = {name: getattr(self, name) for name in ("mean_errors", "mae_by_fifth", "hard_brake_recall")}
            found |= {
                **self.errors,
                "unit": self.unit,
                **{name: told for name, told in more.items() if told is not None},
            }
        return found


def score(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], class_names: Sequence[str], *, images: str = "",
    brakes: int = 0,
) -> Evaluation:  # fmt: skip
    """All figures from probabilities ``[n, k]`` and labels ``[n]``.

    Raises:
        UserError: a class without an image (balanced accuracy and AUROC would be undefined), values that are not
            probabilities, or as many braking classes as there are classes.
    """
    k = len(class_names)
    if not 0 <= brakes < k:
        raise UserError(f"{brakes} of {k} classes brake; at least one should not")
    if probabilities.shape != (len(labels), k) or not np.isfinite(probabilities).all():
        raise UserError(
            f"an agent must return finite probabilities [{len(labels)}, {k}], not {list(probabilities.shape)}"
        )
    if np.abs(probabilities.sum(1) - 1).max(initial=0) > 1e-3 or probabilities.min(initial=0) < 0:
        raise UserError("an agent's probabilities must be at least 0 and sum to 1 for each image")
    counts = np.bincount(labels, minlength=k)
    if not counts.all():
        raise UserError(
            f"no image of class {class_names[int(counts.argmin())]!r} to evaluate on; take a larger or other split"
        )
    predicted = probabilities.argmax(1)
    confusion = np.bincount(labels * k + predicted, minlength=k * k).reshape(k, k)
    recalls = confusion.diagonal() / counts
    one_vs_rest = [auroc(labels == label, probabilities[:, label]) for label in range(k)]
    return Evaluation(
        n=len(labels),
        accuracy=float(confusion.trace() / len(labels)),
        balanced_accuracy=float(recalls.mean()),
        class_accuracy=dict(zip(class_names, recalls.tolist(), strict=True)),
        auroc=one_vs_rest[1] if k == 2 else float(np.mean(one_vs_rest)),
        ece=calibration_error(probabilities.max(1), predicted == labels),
        confusion=confusion.tolist(),
        majority_class=class_names[int(counts.argmax())],
        majority_accuracy=float(counts.max() / len(labels)),
        class_names=tuple(class_names),
        images=images,
        labels=labels,
        probabilities=probabilities,
        brakes=brakes,
    )


def _errors(misses: NDArray[np.float32]) -> tuple[float, float]:
    """Mean absolute and root mean square."""
    return float(np.abs(misses).mean()), float(np.sqrt((misses**2).mean()))


def auroc(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Chance that a positive scores above a negative, ties counted half (Mann-Whitney)."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    above = mean_rank[inverse][positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))


def calibration_error(confidence: NDArray[np.floating], correct: NDArray[np.bool_], *, bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy over bins of equal width, weighted by their images."""
    gaps = np.bincount(_bin_of(confidence, bins), weights=confidence.astype(np.float64) - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of about the same confidence: how sure they were, and how often they were right.

    Attributes:
        answers: number of answers in the bin.
        confidence: their mean probability of the answered class.
        accuracy: share of them that is right.
    """

    answers: int
    confidence: float
    accuracy: float


def reliability(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], *, bins: int = BINS
) -> list[ReliabilityBin]:
    """The bins of `calibration_error` that have an answer, least confident first."""
    place = _bin_of(confidence, bins)
    counts = np.bincount(place, minlength=bins)
    sure, right = (np.bincount(place, weights=each, minlength=bins) for each in (confidence, correct))
    return [
        ReliabilityBin(int(counts[each]), float(sure[each] / counts[each]), float(right[each] / counts[each]))
        for each in np.flatnonzero(counts)
    ]


def _bin_of(confidence: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def check_fits(agent: Predictor, images: ImageSet) -> None:
    """Refuses an agent of other classes or of pictures of another size, as far as it tells them.

    Raises:
        UserError: names both.
    """
    names = getattr(agent, "class_names", images.class_names)
    same_classes(names, images.class_names, of="the agent", to=images.root)
    check_size = getattr(agent, "check_size", None)
    if check_size is not None:
        check_size(images.size_px)


def evaluate(agent: Predictor, images: ImageSet) -> Evaluation:
    """Scores an agent on dev, or on a test set from `open_test`.

    Raises:
        UserError: a test set that is not from `open_test`, or one of which the agent has seen something, see
            `roadstill.evaluation.leaks`; other classes than the agent's; a class without an image.
    """
    is_test = images.about.get("split") == "test"
    config = getattr(agent, "config", None)
    quantity = QUANTITIES.get(getattr(config, "target", "class"))
    if is_test and "test_opening" not in images.about:
        raise UserError(f"{images.root} is the test part; take it from open_test(...), so that the opening is recorded")
    check_fits(agent, images)
    caveat = caveat_of(agent, images) if is_test else ""
    whole = getattr(agent, "predict_set", None)
    if whole is not None:
        probabilities = whole(images)
    else:
        probabilities = np.concatenate([agent.predict(pixels) for _, pixels in images.batches(_BATCH)])
    found = score(np.asarray(probabilities, np.float32), images.labels, images.class_names, images=images.digest,
                  brakes=images.brakes)  # fmt: skip
    if quantity is not None:
        values, true = agent.values_set(images), quantity.of(images)  # type: ignore[attr-defined]
        accels = np.stack([quantity.accel_mps2(true), quantity.accel_mps2(values)], 1).astype(np.float32)
        always = _errors(quantity.misses(np.broadcast_to(true.mean(0), true.shape), true))
        found = replace(found, misses=quantity.misses(values, true), unit=quantity.unit, accels_mps2=accels,
                        mean_errors=always)  # fmt: skip
    return replace(found, caveat=caveat)
