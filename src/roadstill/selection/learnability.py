"""Learnability in increments, the selection half of LGD (arXiv 2604.00519): images that can be learnt, not noise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.selection.uncertainty import Predict, cross_entropy

Student = Callable[[ImageSet, int], Predict]
"""Trains a student on a set with a seed and returns its `Predict`."""


@dataclass(frozen=True)
class Learnability:
    """Grows the set in increments by ``loss of the current student - 0.5 * loss of the teacher``.

    Each slot takes the best of a few random candidates, so that an increment is not full of one kind. The first
    increment has no student yet: its loss is the same for all images, and the teacher alone decides.

    Attributes:
        predict: teacher's probabilities, see `Predict`; the teacher must have been trained on the train part alone.
        student: trainer of students, see `Student`; called before each increment except the first.
        increments: number of increments, over which the images are spread evenly.
        candidates: random images per slot.
        teacher_weight: weight of the teacher's loss.
        teacher: description of the teacher in records.
    """

    predict: Predict = field(repr=False)
    student: Student = field(repr=False)
    increments: int = 5
    candidates: int = 3
    teacher_weight: float = 0.5
    teacher: str = ""

    def __post_init__(self) -> None:
        if min(self.increments, self.candidates) < 1:
            raise UserError(f"increments {self.increments} and candidates {self.candidates} must be at least 1")

    def choose_all(
        self,
        images: ImageSet,
        rows: Sequence[NDArray[np.int64]],
        *,
        count: int,
        rngs: Sequence[np.random.Generator],
    ) -> list[NDArray[np.int64]]:
        """See `JointSelector`."""
        known = [cross_entropy(self.predict, images, its) for its in rows]
        left = [np.arange(len(its)) for its in rows]
        chosen: list[NDArray[np.int64]] = [np.empty(0, np.int64) for _ in rows]
        for number, slots in enumerate(np.array_split(np.arange(count), min(self.increments, count))):
            student = None
            if number:
                so_far = np.concatenate([its[picked] for its, picked in zip(rows, chosen, strict=True)])
                student = self.student(images.subset(so_far), int(rngs[0].integers(2**31)))
            for label, its in enumerate(rows):
                drawn = rngs[label].permutation(left[label])[: self.candidates * len(slots)]
                score = -self.teacher_weight * known[label][drawn]
                if student is not None:
                    score += cross_entropy(student, images, its[drawn])
                places = np.array_split(np.arange(len(drawn)), len(slots))
                picked = drawn[[place[np.argmax(score[place])] for place in places]]
                left[label] = np.setdiff1d(left[label], picked)
                chosen[label] = np.concatenate([chosen[label], picked])
        return [its[picked] for its, picked in zip(rows, chosen, strict=True)]
