"""Clusters of the ego's motion: k-means on facts from the logs, without opening a picture (evaluation 7)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.selection.base import Facts

_FEW = 20_000  # rows up to which all of them move the centres in each step


@dataclass(frozen=True)
class Dynamics:
    """One frame per cluster of motion: k-means with as many clusters as frames requested, nearest frame to each.

    A frame's motion is its speed, acceleration, command (one column each) and time since its drive began, each
    standardised over the class. Larger clusters choose first; no drive gives more than its quota.

    Attributes:
        quota: most frames of one drive in a class; by default twice the even share, or more if needed.
    """

    quota: int | None = None

    def choose(
        self, images: Facts, rows: NDArray[np.int64], *, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """See `Selector`; the seed decides the start of k-means.

        Raises:
            UserError: the rows do not have the facts, or the quota leaves too few rows.
        """
        facts, drive = motion(images, rows)
        quota = _quota(np.bincount(drive), count, self.quota)
        centres, order = _centres(facts, count, int(rng.integers(2**31)))
        square = np.einsum("nd,nd->n", facts, facts)
        used = np.zeros(drive.max() + 1, np.int64)
        barred = np.zeros(len(rows), np.bool_)
        picked = np.empty(count, np.int64)
        for step in range(count):
            distance = square - 2 * (facts @ centres[order[step % len(order)]])
            distance[barred] = np.inf
            picked[step] = best = int(np.argmin(distance))
            barred[best] = True
            used[drive[best]] += 1
            if used[drive[best]] == quota:
                barred |= drive == drive[best]
        return rows[picked]


def motion(images: Facts, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Standardised facts of the rows ``[len(rows), 3 + commands]``, and a number for each one's drive.

    Raises:
        UserError: a fact is missing.
    """
    _, drive = np.unique(np.asarray(images.column("drive")), return_inverse=True)
    time = np.asarray(images.column("timestamp_us"), np.float64)
    first = np.full(drive.max() + 1, np.inf)
    np.minimum.at(first, drive, time)
    numbers = [np.asarray(images.column(name), np.float64)[rows] for name in ("speed_mps", "accel_mps2")]
    _, command = np.unique(np.asarray(images.column("command"))[rows], return_inverse=True)
    facts = np.column_stack([*numbers, (time - first[drive])[rows], np.eye(command.max() + 1)[command]])
    if not np.isfinite(facts).all():
        raise UserError("some frames have no speed, acceleration or time; make the set with `roadstill prepare`")
    std = facts.std(0)
    facts = (facts - facts.mean(0)) / np.where(std > 1e-9, std, 1.0)
    _, own_drive = np.unique(drive[rows], return_inverse=True)
    return facts.astype(np.float32), own_drive


def _quota(sizes: NDArray[np.int64], count: int, wanted: int | None) -> int:
    """Most frames of one drive."""
    quota = wanted or -(-2 * count // len(sizes))
    while np.minimum(sizes, quota).sum() < count:
        if wanted:
            raise UserError(
                f"{len(sizes)} drives with at most {wanted} frames each hold fewer than the {count} that were "
                "requested; raise the quota or lower per_class"
            )
        quota += 1
    return quota


def _centres(facts: NDArray[np.float32], count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Centres ``[k, d]``, and their order, the largest cluster first."""
    from sklearn.cluster import KMeans, MiniBatchKMeans

    if len(facts) <= _FEW:
        clusters = min(count, len(np.unique(facts, axis=0)))
        found = KMeans(clusters, n_init=1, random_state=seed).fit(facts)
    else:
        found = MiniBatchKMeans(count, n_init=1, batch_size=4096, max_iter=10, random_state=seed).fit(facts)
    sizes = np.bincount(found.labels_, minlength=len(found.cluster_centers_))
    return found.cluster_centers_.astype(np.float32), np.argsort(-sizes, kind="stable")
