"""Whether one can tell from a set, or from a generator, which frames it was made from: membership inference.

What counts is how many members are found while hardly any other frame is taken for one (Carlini et al. 2022,
"Membership inference attacks from first principles"), not the average over all frames: a few that can be named are a
leak.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadstill.codecs import Codec
from roadstill.denoisers.labelled import LabelledDenoiser
from roadstill.evaluation.audit.chances import clopper_pearson
from roadstill.evaluation.audit.losses import restoring_scores
from roadstill.evaluation.audit.samples import Real
from roadstill.evaluation.audit.search import Question, centres_of, nearest_frames
from roadstill.evaluation.audit.views import View
from roadstill.imagesets import ImageSet

FALSE_SHARE = 0.01
_DRAWS = 1000


@dataclass(frozen=True)
class Attack:
    """How well a score tells frames that a set was made from (members) from others.

    Attributes:
        name: what is attacked, and by what.
        members: number of members.
        member_groups: number of their drives.
        others: number of other frames.
        other_groups: number of their drives.
        false_share: share of other frames that may be taken for members.
        found: share of the members that are found at that share.
        interval: 95 % interval of ``found``: the percentiles of 1,000 bootstrap draws of drives, of both sides.
        frame_interval: the same by Clopper and Pearson, as if frames were independent and the limit known; too narrow.
        auc: chance that a member has a higher score than another frame; 0.5 is a guess.
        auc_interval: 95 % interval of ``auc``, as ``interval``.
    """

    name: str
    members: int
    member_groups: int
    others: int
    other_groups: int
    false_share: float
    found: float
    interval: tuple[float, float]
    frame_interval: tuple[float, float]
    auc: float
    auc_interval: tuple[float, float]

    @property
    def coarse(self) -> bool:
        """Whether fewer than ten other frames make up the share that may be taken for members."""
        return self.others * self.false_share < 10


def attacks_on_set(
    made: ImageSet, real: Real, views: Sequence[View], usual: Mapping[str, NDArray[np.float64]]
) -> list[Attack]:
    """One attack a view: a frame counts as a member the more, the nearer the set's nearest picture lies to it.

    The distance is taken as a share of what is usual for the frame (after GAN-Leaks, Chen et al. 2020), or dull scenes,
    near to everything, would look like members.

    Args:
        made: the set.
        real: members, and frames that were held out.
        views: ways to compare.
        usual: distances of the frames to other drives, see `Copies`.
    """
    centres = centres_of(views, real.images)
    questions = [Question(each.images, each.rows, np.full(len(each.rows), -1)) for each in real.samples]
    near = nearest_frames(views, made, np.arange(len(made)), questions, others=0, centres=centres)
    scores = np.concatenate([
        -each.distance / np.maximum(np.nan_to_num(usual[sample.name], nan=1.0), 1e-9)
        for each, sample in zip(near, real.samples, strict=True)
    ])  # fmt: skip
    return [_attack(f"the set, by {view.name}", scores[:, column], real) for column, view in enumerate(views)]


def attack_on_generator(denoiser: LabelledDenoiser, codec: Codec, real: Real, *, seed: int = 0) -> Attack:
    """A frame counts as a member the more, the better the generator restores it; see `restoring_scores`."""
    scores = [restoring_scores(denoiser, codec, each.images, each.rows, seed=seed) for each in real.samples]
    return _attack("the generator, by its loss", np.concatenate(scores), real)


def _attack(name: str, scores: NDArray[np.float64], real: Real) -> Attack:
    is_member = np.concatenate([np.full(len(each.rows), each is not real.held_out) for each in real.samples])
    return attack(name, scores, is_member, np.concatenate([each.groups for each in real.samples]))


def attack(
    name: str,
    scores: NDArray[np.float64],
    is_member: NDArray[np.bool_],
    groups: NDArray[np.int64],
    *,
    false_share: float = FALSE_SHARE,
    seed: int = 0,
) -> Attack:
    """Measures an attack.

    Args:
        name: name of the attack.
        scores: higher for what is taken for a member, ``[n]``.
        is_member: whether each frame is one, ``[n]``; there must be some of both.
        groups: drive of each, none of both kinds, ``[n]``.
        false_share: share of other frames that may be taken for members.
        seed: seed of the bootstrap.
    """
    sides = [np.unique(groups[is_member == side]) for side in (True, False)]
    order = np.argsort(-scores, kind="stable")
    # Frames of one score are taken for members together or not at all.
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    member, group = is_member[order], groups[order]
    found, auc = _measured(member, last, np.ones(len(order)), false_share)
    rng, drawn = np.random.default_rng(seed), np.empty((_DRAWS, 2))
    for draw in drawn:
        counts = np.zeros(1 + groups.max())
        for names in sides:
            counts[names] = rng.multinomial(len(names), np.full(len(names), 1 / len(names)))
        draw[:] = _measured(member, last, counts[group], false_share)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    members = int(is_member.sum())
    return Attack(
        name, members, len(sides[0]), len(scores) - members, len(sides[1]), false_share,
        found, (float(low[0]), float(high[0])), clopper_pearson(round(found * members), members),
        auc, (float(low[1]), float(high[1])),
    )  # fmt: skip


def _measured(
    member: NDArray[np.bool_], last: NDArray[np.int64], weights: NDArray[np.float64], false_share: float
) -> tuple[float, float]:
    """Share of members found at that share of others, and the area under the curve.

    Args:
        member: whether each frame is one, the highest score first, ``[n]``.
        last: place of the last frame of each score.
        weights: how often each frame counts, ``[n]``.
        false_share: share of others that may be taken for members.
    """
    true, false = (
        np.append(0.0, np.cumsum(weights * side)[last]) / (weights * side).sum() for side in (member, ~member)
    )
    area = float((np.diff(false) * (true[1:] + true[:-1])).sum()) / 2
    return float(true[false <= false_share + 1e-9].max()), area
