"""The verb audit: copies of real frames in a set, what tells of its origin, and what the parts share."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from roadstill.errors import UserError
from roadstill.runs import atomic_path, holding, require_folder, require_own, scratch_folder, write_json
from roadstill.runs.progress import counter
from roadstill.verbs.given import as_set

if TYPE_CHECKING:
    from collections.abc import Sequence

    from roadstill.codecs import Codec
    from roadstill.denoisers.labelled import LabelledDenoiser
    from roadstill.evaluation.audit.copies import Checked, Copies, Suspect
    from roadstill.evaluation.audit.membership import Attack
    from roadstill.evaluation.audit.samples import Real, Sample
    from roadstill.evaluation.audit.views import View
    from roadstill.imagesets import ImageSet

_NETWORK, _SMALLEST_PX = "efficientnet-lite0", 32
_RECORD, _SHEET = "audit.json", "suspects.png"
_PARTS = ("set", "against", "heldout", "test")


@holding()
def audit(
    images: Path,
    *,
    against: Path | None = None,
    heldout: Path | None = None,
    test: Path | None = None,
    test_pictures: bool = False,
    agent: Path | None = None,
    network: str | None = None,
    checkpoint: Path | None = None,
    which: Literal["ema", "trained"] = "ema",
    codec: Path | None = None,
    logs: Path | None = None,
    cluster_by: Literal["drive", "log"] = "drive",
    false_alarms: float = 0.05,
    frames: int = 1000,
    shown: int = 10,
    seed: int = 0,
    out: Path | None = None,
) -> str:
    """Audits a set: copies of real frames, membership inference, and what the parts share.

    Args:
        images: image set, such as a generated one, or a folder of class folders.
        against: image set of the real frames that it was made from, the train part; never the test part.
        heldout: image set of real frames that had no part in it, such as the dev part: more drives for the threshold,
            and the other side of membership inference.
        test: test part, of whose table it is told what it shares with the others; its pictures are not opened.
        test_pictures: whether near-duplicates of against and heldout are searched among the test part's pictures, too;
            this opens the test part, through its ledger.
        agent: agent made by train, in whose features pictures are compared.
        network: further network in whose features they are compared, with the weights that it comes with;
            efficientnet-lite0 if not given and the pictures have 32 px or more.
        checkpoint: generator of the set, for membership inference by its loss; needs heldout.
        which: weights of the checkpoint: its moving average, or its last ones.
        codec: codec of the generator; the one shipped with the package if not given.
        logs: folder of NAVSIM logs, whose poses tell how many frames were seen within 5 m of one of another part.
        cluster_by: unit that counts once when the threshold is set: all frames of a drive, or of a log.
        false_alarms: share of real frames of other drives that may be flagged.
        frames: most frames of each part that set the threshold, and that membership inference looks at.
        shown: number of pictures to list and to show, the most suspicious first; all that are flagged are listed.
        seed: seed of the choice of these frames, and of the noises that the generator meets.
        out: folder for all figures (audit.json) and a sheet of the pictures beside their nearest frames (suspects.png).
    """
    if against is None:
        raise UserError(f"name the real frames that {images} was made from: --against work/sets/train")
    _require_sense(heldout, test, test_pictures, checkpoint, codec)
    if out:
        require_own(out, _RECORD)
    from roadstill.evaluation.audit import words
    from roadstill.evaluation.audit.blurring import blurring_of
    from roadstill.evaluation.audit.copies import find_copies, require_alike, require_groups
    from roadstill.evaluation.audit.parts import meetings_of
    from roadstill.evaluation.audit.samples import real_frames
    from roadstill.verbs.telling import told

    train, dev = _part(against), None if heldout is None else _part(heldout)
    last = None if test is None else _test_part(test)
    real = real_frames(train, dev, by=cluster_by, frames=frames, seed=seed)
    require_groups(real, false_alarms)
    with scratch_folder() as folder:
        made = _part(as_set(images, against, folder))
        require_alike(train, *(part for part in (made, dev, last) if part is not None))
        generator = None if checkpoint is None else _generator(checkpoint, which, codec, made, real)
        views = _views(train, agent, network)
        parts = {name: each for name, each in zip(_PARTS, (made, train, dev, last), strict=True) if each is not None}
        meetings, problems = meetings_of(
            parts, None if logs is None else require_folder(logs, "a folder of log pickles")
        )
        looked = made.unfolded()
        further = [] if last is None or not test_pictures else [_opened(last, real, frames, seed, images)]
        copies = find_copies(looked, real, views, false_alarms=false_alarms, further=further, watch=counter("frames"))
        beside = None if dev is None or not further else real_frames(dev, by=cluster_by, frames=frames, seed=seed)
        between = None if beside is None else _between(further[0].images, beside, views, false_alarms, frames, seed)
        for sample in further:
            _note(sample, copies, between)
        attacks = _attacks(looked, real, views, copies, generator, seed)
        blurring = {name: blurring_of(part) for name, part in parts.items() if name != "set"}
        if out:
            record = {
                "sets": {name: {"path": str(part.root), "digest": part.digest} for name, part in parts.items()}
                | {"set": {"path": str(images), "digest": made.digest}},
                "settings": {
                    "by": real.by, "frames": frames, "seed": seed, "agent": agent and str(agent),
                    "checkpoint": generator and generator[0].origin.digest,
                },
                "views": [view.name for view in views],
                "flagged": copies.flagged,
                "copies": copies.as_record(),
                "test_beside_heldout": None if between is None else asdict(between),
                "membership": [asdict(each) for each in attacks],
                "parts": [asdict(each) for each in meetings],
                "blurring": blurring,
            }  # fmt: skip
            _write(out, record, copies.pictures[: max(shown, copies.flagged)], looked, train)
    lines = [
        *words.copy_lines(copies, shown),
        *words.between_lines(between, beside, false_alarms),
        *words.attack_lines(attacks, real.by),
        *words.meeting_lines(meetings, problems),
        *words.blurring_lines(blurring),
    ]
    return told(lines, partly=bool(problems), problems=problems)


def _require_sense(
    heldout: Path | None, test: Path | None, test_pictures: bool, checkpoint: Path | None, codec: Path | None
) -> None:
    """Refuses options that do not go together, before any work."""
    if checkpoint is not None and heldout is None:
        raise UserError(
            f"--checkpoint {checkpoint} is attacked with frames that it did not see; name some with --heldout"
        )
    if codec is not None and checkpoint is None:
        raise UserError(f"--codec {codec} belongs to a generator; name it with --checkpoint")
    if test_pictures and test is None:
        raise UserError("--test_pictures opens the test part; name it with --test")


def _part(path: Path) -> "ImageSet":
    """A set that is no test part: what is looked at here stands in no ledger.

    Raises:
        UserError: no such set, an empty one, or the test part.
    """
    from roadstill.imagesets import open_imageset

    images = open_imageset(path)
    if images.about.get("split") == "test":
        raise UserError(f"{path} is the test part; name it with --test, which reads its table alone")
    return images


def _test_part(path: Path) -> "ImageSet":
    """The test part, of which only the table is read.

    Raises:
        UserError: no such set, or another part.
    """
    from roadstill.imagesets import open_imageset

    images = open_imageset(path)
    if (split := images.about.get("split", "test")) != "test":
        raise UserError(f"{path} is the {split} part, not the test part")
    return images


def _opened(test: "ImageSet", real: "Real", frames: int, seed: int, images: Path) -> "Sample":
    """Some frames of the test part, which is opened through its ledger for them."""
    from roadstill.evaluation import LEDGER, open_test
    from roadstill.evaluation.audit.samples import further_sample

    what = f"audit {images}: near-duplicates of {real.images.root}"
    opened = open_test(test, ledger=test.root.parent / LEDGER, config={"against": real.images.digest}, what=what)
    return further_sample("test", opened, real, frames=frames, seed=seed)


def _between(
    test: "ImageSet", beside: "Real", views: "Sequence[View]", false_alarms: float, frames: int, seed: int
) -> "Checked | None":
    """What became of some frames of the test part beside held-out ones; None where these are of too few drives."""
    from roadstill.evaluation.audit.copies import is_bounded, near_duplicates
    from roadstill.evaluation.audit.samples import further_sample

    if not is_bounded(beside, false_alarms):
        return None
    sample = further_sample("test", test, beside, frames=frames, seed=seed)
    return near_duplicates(sample, beside, views, false_alarms=false_alarms)


def _note(sample: "Sample", copies: "Copies", between: "Checked | None") -> None:
    """Adds what was found to the ledger."""
    from roadstill.evaluation import LEDGER, note_outcome

    outcome = {"near_duplicates": round(copies.checked[sample.name].flagged, 6)}
    if between is not None:
        outcome["near_duplicates_of_heldout"] = round(between.flagged, 6)
    note_outcome(sample.images, ledger=sample.images.root.parent / LEDGER, outcome=outcome)


def _views(train: "ImageSet", agent: Path | None, network: str | None) -> "list[View]":
    """Ways to compare: the agent's features, another network's, pixels."""
    from roadstill.agents import open_agent
    from roadstill.agents.features import FeatureCache
    from roadstill.evaluation.audit.views import NetworkView, PixelView
    from roadstill.evaluation.describe import feature_network
    from roadstill.evaluation.metrics import check_fits

    views: list[View] = []
    if agent is not None:
        reader = open_agent(agent, cache=FeatureCache(0))
        check_fits(reader, train)
        views.append(NetworkView("agent", reader))
    if network is not None or train.size_px >= _SMALLEST_PX:
        views.append(NetworkView(network or _NETWORK, feature_network(network or _NETWORK, train)))
    return [*views, PixelView()]


def _generator(
    checkpoint: Path, which: str, codec: Path | None, made: "ImageSet", real: "Real"
) -> "tuple[LabelledDenoiser, Codec]":
    """The generator of the set and its codec.

    Raises:
        UserError: the set was drawn by another one, or it does not fit the codec or the frames.
    """
    from roadstill.codecs import load_codec
    from roadstill.evaluation.audit.losses import require_generator
    from roadstill.generator.checkpoints import load_denoiser

    denoiser = load_denoiser(checkpoint, which=which)
    drawn_by = made.about.get("checkpoint", denoiser.origin.digest)
    if drawn_by != denoiser.origin.digest:
        raise UserError(
            f"{made.root} was drawn by the generator {drawn_by}, but {checkpoint} is {denoiser.origin.digest}; name "
            "the one that drew it"
        )
    found = denoiser, load_codec(codec)
    for sample in real.samples:
        require_generator(*found, sample.images)
    return found


def _attacks(
    made: "ImageSet",
    real: "Real",
    views: "Sequence[View]",
    copies: "Copies",
    generator: "tuple[LabelledDenoiser, Codec] | None",
    seed: int,
) -> "list[Attack]":
    from roadstill.evaluation.audit.membership import attack_on_generator, attacks_on_set

    if real.held_out is None:
        return []
    found = attacks_on_set(made, real, views, copies.usual)
    return found if generator is None else [*found, attack_on_generator(*generator, real, seed=seed)]


def _write(out: Path, record: dict[str, Any], shown: "Sequence[Suspect]", made: "ImageSet", train: "ImageSet") -> None:
    """Writes the record and the sheet, both or neither."""
    from roadstill.evaluation.audit.sheet import contact_sheet

    with atomic_path(out) as folder:
        folder.mkdir()
        contact_sheet(shown, made, train).save(folder / _SHEET)
        write_json(folder / _RECORD, record)
