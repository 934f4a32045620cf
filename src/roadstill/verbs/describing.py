"""The verb describe: figures of whole sets of pictures against real frames."""

from pathlib import Path
from typing import TYPE_CHECKING

from roadstill.errors import UserError
from roadstill.runs import holding, scratch_folder, write_json
from roadstill.verbs.given import as_set, require_figures

if TYPE_CHECKING:
    from roadstill.evaluation.describe import ClassFigures, RealFrames, SetFigures
    from roadstill.imagesets import ImageSet

_HEAD = (
    "set", "class", "pictures", "real", "FID", "KID", "precision", "recall", "density", "coverage",
    "nearest", "too near", "as asked", "confidence",
)  # fmt: skip

_NETWORK = "efficientnet-lite0"


@holding()
def describe(
    what: list[Path],
    *,
    real: Path | None = None,
    agent: Path | None = None,
    network: str | None = None,
    pairs: int = 5,
    seed: int = 0,
    out: Path | None = None,
) -> str:
    """Describes sets of pictures, such as generated ones, against real frames: FID, KID, overlap, copies.

    Args:
        what: image sets, or folders of class folders; each is compared with the real frames.
        real: image set of real frames, such as the train part; never the test part.
        agent: agent made by train, such as one trained on all real frames: it reads the pictures, and distances are
            taken in its features.
        network: network in whose features distances are taken instead, with the weights that it comes with;
            efficientnet-lite0 if no agent is given.
        pairs: number of pictures to list with their nearest real frame, for each set.
        seed: seed of the subsets that the spread of KID is computed on.
        out: file to write all figures to, as JSON.
    """
    from roadstill.agents import open_agent
    from roadstill.agents.features import FeatureCache
    from roadstill.evaluation.describe import RealFrames, as_record, feature_network

    if out:
        require_figures(out, {"features"}, "description of sets")
    if pairs < 0:
        raise UserError(f"pairs is {pairs}; it must be at least 0")
    if not what:
        raise UserError("name one or more image sets to describe; see roadstill describe --help")
    if real is None:
        raise UserError(
            f"name the real frames that {', '.join(map(str, what))} are compared with: --real work/sets/train"
        )
    frames = _not_test(real)
    reader = None if agent is None else open_agent(agent, cache=FeatureCache(0))
    source = reader if reader is not None and network is None else feature_network(network or _NETWORK, frames)
    found = {}
    with scratch_folder() as folder:
        opened = [_not_test(as_set(path, real, folder)) for path in what]
        reference = RealFrames(source, frames)
        for path, images in zip(what, opened, strict=True):
            found[path] = reference.describe(images, reader=reader, pairs=pairs, seed=seed)
    if out:
        write_json(out, as_record(reference, found))
    return _table(reference, found)


def _not_test(path: Path) -> "ImageSet":
    """A set that is no test part: what is looked at here stands in no ledger.

    Raises:
        UserError: no such set, or the test part.
    """
    from roadstill.imagesets import open_imageset

    images = open_imageset(path)
    if images.about.get("split") == "test":
        raise UserError(
            f"{path} is the test part, which only evaluate, compare and audit open; take the train or dev part"
        )
    return images


def _table(real: "RealFrames", found: "dict[Path, SetFigures]") -> str:
    """A row for each class of each set, without columns that are empty throughout, and what to know beside it."""
    rows = [list(_HEAD)]
    rows += [_row(path, name, figures) for path, its in found.items() for name, figures in its.classes.items()]
    used = [column for column in range(len(_HEAD)) if any(row[column] for row in rows[1:])]
    widths = {column: max(len(row[column]) for row in rows) for column in used}
    lines = ["  ".join(row[column].ljust(widths[column]) for column in used).rstrip() for row in rows]
    return "\n".join([*lines, *_notes(real, found)])


def _row(path: Path, name: str, figures: "ClassFigures") -> list[str]:
    over, spread = figures.overlap, figures.kernel_sd
    return [
        str(path),
        name,
        f"{figures.pictures:,}",
        f"{figures.real_frames:,}",
        _number(figures.frechet, ".4g"),
        _number(figures.kernel, ".4g") + ("" if spread is None else f" ± {spread:.2g}"),
        *(_number(value, ".3f") for value in (over.precision, over.recall, over.density, over.coverage)),
        _ends(figures.nearest),
        _percent(figures.nearer_than_real),
        _percent(figures.read_as_asked),
        _number(figures.confidence, ".3f"),
    ]


def _notes(real: "RealFrames", found: "dict[Path, SetFigures]") -> list[str]:
    number = real.features.shape[1]
    lines = [
        f"Distances in {number:,} features of {real.agent.config.network} ({real.agent.network.origin}); figures in "
        "other features, or of sets of other sizes, are not comparable."
    ]
    if any(each.rank < number for its in found.values() for each in its.classes.values()):
        lines.append(
            f"FID is too high where there are no more than {number:,} pictures. KID is unbiased; its ± is the standard "
            "deviation over 50 subsets of half of the smaller set, at most 500 pictures."
        )
    others = {"frame": "another frame", "other_log": "a frame of another log"}
    lines += [
        f"Real frames to {others[name]}, smallest / median cosine distance: {_ends(its)}; 5 % are below "
        f"{its['0.05']:.3f}"
        for name, its in real.nearest.items()
    ]
    lines += [
        f"{path}: {its.shared:,} of its pictures are frames of {real.images.root} and were left out there"
        for path, its in found.items()
        if its.shared
    ]
    lines += [
        f"{path}: {pair['file']} is {pair['cosine_distance']:.3f} from {pair['real_file']}"
        for path, its in found.items()
        for pair in its.pairs
    ]
    return lines


def _ends(quantiles: "dict[str, float]") -> str:
    return f"{quantiles['0']:.3f} / {quantiles['0.5']:.3f}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
