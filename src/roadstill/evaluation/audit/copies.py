"""Which pictures of a set are copies of real frames, more surely than frames of other drives would seem to be.

How near a picture lies to its nearest frame says little: a dull scene is near to many. Asked is how much nearer that
frame is than the nearest ones of the next ten drives (after Carlini et al. 2023, "Extracting training data from
diffusion models", but by drive, since the neighbours of a copied frame are the frames before and after it). In each
view real frames, compared with other drives than their own, turn this ratio into a chance; the smallest chance of all
views is turned into one in the same way, so that looking in several views raises no false alarms. Somepalli et al. 2023
search for copies in the features of one network; those of two and aligned pixels miss less.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError
from roadstill.evaluation.audit.chances import chances, least_chance, share_interval
from roadstill.evaluation.audit.samples import Real, Sample
from roadstill.evaluation.audit.search import OTHERS, Near, Question, nearest_frames
from roadstill.evaluation.audit.views import View
from roadstill.imagesets import ImageSet

_LISTED = 5
_MADE = "set"


@dataclass(frozen=True)
class Nearest:
    """The training frame nearest to a picture in one view.

    Attributes:
        row: row of the frame.
        file: file of the frame.
        distance: cosine distance to it, 0 to 2.
        ratio: that distance as a share of the mean distance to the nearest frames of the next drives; where there are
            none, the distance.
        chance: chance that a real frame of a further drive has no larger ratio, bounded from above.
    """

    row: int
    file: str
    distance: float
    ratio: float
    chance: float


@dataclass(frozen=True)
class Suspect:
    """A picture and its nearest training frame in each view.

    Attributes:
        row: row of the picture.
        file: file of the picture, and which of the patches in it, where these are pictures.
        chance: chance that a real frame of a further drive seems to be a copy as much, bounded from above.
        flagged: whether that is at most the share of false alarms.
        view: view in which it seems so most.
        near: its nearest frame, by view.
    """

    row: int
    file: str
    chance: float
    flagged: bool
    view: str
    near: dict[str, Nearest]


@dataclass(frozen=True)
class Checked:
    """Real frames that were compared as the set's pictures are, each with other drives than its own.

    Attributes:
        frames: number of frames.
        groups: number of their drives.
        flagged: share of them that is flagged, each drive counting once.
        interval: its 95 % interval, see `share_interval`.
        left_out: see `Sample`.
        first: the most suspicious of them, as `Suspect`.
    """

    frames: int
    groups: int
    flagged: float
    interval: tuple[float, float]
    left_out: int
    first: list[Suspect]


@dataclass(frozen=True)
class Copies:
    """The pictures of a set, and real frames beside them.

    Attributes:
        by: what counts once, see `Real`.
        false_alarms: share of real frames of other drives that may be flagged.
        pictures: all pictures of the set, the most suspicious first.
        checked: real frames, by the name of their part.
        usual: mean distances of the samples' frames to the next drives, by the name of their part, ``[n, v]``: how
            near to others each lies by itself.
    """

    by: str
    false_alarms: float
    pictures: list[Suspect]
    checked: dict[str, Checked]
    usual: dict[str, NDArray[np.float64]]

    @property
    def flagged(self) -> int:
        """Number of the set's pictures that are flagged."""
        return sum(picture.flagged for picture in self.pictures)

    def as_record(self) -> dict[str, Any]:
        """A plain mapping, for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "usual"}


def require_groups(real: Real, false_alarms: float) -> None:
    """Refuses too few drives for the share of false alarms, before any work.

    Raises:
        UserError: names how many are needed.
    """
    if not is_bounded(real, false_alarms):
        count = _standard_groups(real)
        lowest = np.ceil(1000 * least_chance(count)) / 1000
        raise UserError(
            f"real frames of {count} {real.by}s cannot bound false alarms at {false_alarms:g}, which takes "
            f"{int(np.ceil(1 / false_alarms - 1 - 1e-9))}; name frames of more drives with --heldout, or set "
            f"--false_alarms {lowest:g}" + (" or --cluster_by log" if real.by == "drive" else "")
        )


def is_bounded(real: Real, false_alarms: float) -> bool:
    """Whether the frames that set the threshold are of drives enough for the share of false alarms."""
    return least_chance(_standard_groups(real)) <= false_alarms


def _standard_groups(real: Real) -> int:
    return len(np.unique(np.concatenate([sample.groups for sample in _standard(real)] or [np.empty(0, np.int64)])))


def require_alike(real: ImageSet, *others: ImageSet) -> None:
    """Refuses pictures that cannot be compared, before any work.

    Raises:
        UserError: a set without images, or of another size.
    """
    for images in others:
        if not len(images):
            raise UserError(f"{images.root} has no images")
        if images.size_px != real.size_px:
            raise UserError(
                f"{images.root} has pictures of {images.size_px} px, but {real.root} of {real.size_px}; prepare both "
                "alike"
            )


def find_copies(
    made: ImageSet,
    real: Real,
    views: Sequence[View],
    *,
    false_alarms: float = 0.05,
    further: Sequence[Sample] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> Copies:
    """Compares each picture of a set with the training frames.

    Args:
        made: set to audit, of pictures as large as the frames.
        real: training frames and samples.
        views: ways to compare, of different names.
        false_alarms: share of real frames of other drives that may be flagged.
        further: further frames that are compared as well, of other drives than the training frames.
        watch: function that is called with the number of training frames that were compared, and of all.

    Raises:
        UserError: pictures of another size, an empty set, too few drives, a damaged picture.
    """
    require_groups(real, false_alarms)
    require_alike(real.images, made, *(sample.images for sample in (*real.samples, *further)))
    samples = [*real.samples, *further]
    questions = [Question(made, np.arange(len(made)), np.full(len(made), -1))]
    questions += [Question(sample.images, sample.rows, _own(sample, real)) for sample in samples]
    # As many further drives for all: a training frame's own drive does not count, so that one less is left for it.
    others = max(0, min(OTHERS, real.num_groups - 2))
    found = nearest_frames(views, real.images, real.groups, questions, others=others, watch=watch)
    near = dict(zip((_MADE, *(sample.name for sample in samples)), found, strict=True))
    scale = _Scale([(near[sample.name], sample.groups) for sample in _standard(real)])

    def suspects(question: Question, name: str, groups: NDArray[np.int64]) -> list[Suspect]:
        return _suspects(question, near[name], scale, groups, views, real.images, false_alarms)

    checked = {
        sample.name: _checked(suspects(question, sample.name, sample.groups), sample.groups, sample.left_out)
        for question, sample in zip(questions[1:], samples, strict=True)
        if np.isfinite(near[sample.name].distance).all()
    }
    pictures = sorted(suspects(questions[0], _MADE, questions[0].own), key=_order)
    usual = {sample.name: near[sample.name].others for sample in samples}
    return Copies(real.by, false_alarms, pictures, checked, usual)


def near_duplicates(sample: Sample, real: Real, views: Sequence[View], *, false_alarms: float = 0.05) -> Checked:
    """Compares some frames of one part with all of another, as `find_copies` compares a set's pictures.

    Args:
        sample: frames of the one part.
        real: the other part, and samples of it.
        views: ways to compare, of different names.
        false_alarms: share of real frames of other drives that may be flagged.

    Raises:
        UserError: as `find_copies`.
    """
    found = find_copies(sample.images.subset(sample.rows), real, views, false_alarms=false_alarms).pictures
    places = [frame.row for frame in found]
    frames = [replace(frame, row=int(sample.rows[place])) for frame, place in zip(found, places, strict=True)]
    return _checked(frames, sample.groups[places])


def _checked(frames: Sequence[Suspect], groups: NDArray[np.int64], left_out: int = 0) -> Checked:
    """What became of real frames of these groups, ``[len(frames)]``."""
    share, interval = share_interval(np.array([frame.flagged for frame in frames]), groups)
    first = sorted(frames, key=_order)[:_LISTED]
    return Checked(len(frames), len(np.unique(groups)), share, interval, left_out, first)


def _standard(real: Real) -> list[Sample]:
    """The samples that set the threshold: frames of the only drive have no other ones to be compared with."""
    return [sample for sample in real.samples if sample is real.held_out or real.num_groups > 1]


def _own(sample: Sample, real: Real) -> NDArray[np.int64]:
    return np.where(sample.groups < real.num_groups, sample.groups, -1)


def _order(suspect: Suspect) -> tuple[float, float]:
    return suspect.chance, suspect.near[suspect.view].ratio


def ratios_of(near: Near) -> NDArray[np.float64]:
    """Distance to the nearest frame as a share of that to the next drives, ``[n, v]``; 1 where all are 0."""
    alike = near.others <= 1e-9
    found = near.distance / np.where(alike | np.isnan(near.others), 1, near.others)
    return np.where(alike, 1.0, found)


class _Scale:
    """What turns ratios into chances: real frames of other drives than those that they are compared with.

    Args:
        reference: nearest frames and groups of real frames.
    """

    def __init__(self, reference: Sequence[tuple[Near, NDArray[np.int64]]]) -> None:
        self.ratios = np.concatenate([ratios_of(near) for near, _ in reference])
        self.groups = np.concatenate([groups for _, groups in reference])
        self.least = self.by_view(self.ratios, self.groups).min(1)

    def by_view(self, ratios: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.float64]:
        """The chance of each ratio in its view, ``[n, v]``."""
        views = range(ratios.shape[1])
        return np.stack([chances(ratios[:, view], self.ratios[:, view], self.groups, own) for view in views], 1)

    def over_views(self, found: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.float64]:
        """The chance that the smallest of a picture's chances is so small, ``[n]``."""
        return chances(found.min(1), self.least, self.groups, own)


def _suspects(
    question: Question,
    near: Near,
    scale: _Scale,
    own: NDArray[np.int64],
    views: Sequence[View],
    real: ImageSet,
    false_alarms: float,
) -> list[Suspect]:
    ratios = ratios_of(near)
    by_view = scale.by_view(ratios, own)
    over_all = scale.over_views(by_view, own)
    # Several views may tell the same chance: then the smallest ratio is shown.
    most = np.lexsort((ratios, by_view), axis=1)[:, 0]
    return [
        Suspect(
            int(row),
            _name(question.images, row),
            float(over_all[place]),
            bool(over_all[place] <= false_alarms),
            views[most[place]].name,
            {
                view.name: Nearest(
                    int(near.rows[place, column]),
                    real.files[near.rows[place, column]],
                    float(near.distance[place, column]),
                    float(ratios[place, column]),
                    float(by_view[place, column]),
                )
                for column, view in enumerate(views)
            },
        )
        for place, row in enumerate(question.rows)
    ]


def _name(images: ImageSet, row: int) -> str:
    patches = None if images.values is None else images.values.places
    return images.files[row] + ("" if patches is None else f", patch {patches[row] + 1}")
