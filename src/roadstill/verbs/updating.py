"""The verb update: a selected set with new frames exchanged for old pictures, under the same budget."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadstill.agents import AgentConfig
from roadstill.errors import UserError
from roadstill.runs import holding, require_own

if TYPE_CHECKING:
    from roadstill.imagesets import ImageSet
    from roadstill.selection.recorded import Made
    from roadstill.selection.updating import Class, Updated

_PREPARED_ALIKE = ("labels", "edges_mps2", "brakes", "decode")
_SHOWN = 5  # changes of a class that are printed; the record has all


@holding()
def update(
    images: Path,
    out: Path,
    *,
    with_: Path | None = None,
    before: list[Path] | None = None,
    dev: Path | None = None,
    test: Path | None = None,
    teacher: Path | None = None,
    checkpoint: Path | None = None,
    codec: Path | None = None,
    agent: AgentConfig = AgentConfig(),  # noqa: B008  frozen; the command line shows its fields
    min_gain: float = 0.01,
) -> str:
    """Keeps a selected set current: exchanges as few pictures for new frames as its own selector gains from.

    The selector, its settings, the seed and the budget are those that the set records. A new folder is made; the old
    set stays as it is.

    Args:
        images: set of real frames that select made.
        out: folder to make.
        with_: image set of the new frames, made by prepare; its dev and test parts beside it are held out, too.
        before: sets that the set was selected from, for a choice among all frames; without them each picture of the set
            stands for an even share of those frames.
        dev: dev part that the set is judged on; a new frame that shares something with it is refused.
        test: test part; only its table is read.
        teacher: agent that the set was selected with, if its selector has one.
        checkpoint: generator of the features, if they were a generator's; the shipped base if not given.
        codec: its codec; the shipped one if not given.
        agent: settings of the training whose forgetting is counted, and of learnability's students.
        min_gain: share of the selector's cost by which an exchange must lower it.
    """
    require_own(out, "set.json")
    from roadstill.imagesets import open_imageset
    from roadstill.selection.recorded import made_by
    from roadstill.selection.updating import update as updated

    if with_ is None:
        raise UserError(f"name the new frames that {images} is to be updated with: --with new-sets/train")
    old = open_imageset(images)
    made = made_by(old)
    new = open_imageset(with_)
    _require_alike(old, new)
    behind = [open_imageset(path) for path in before or []]
    held_out = _held_out(with_, dev, test)
    for part in held_out:
        _refuse_leak(new, part)
    method = _selector(old, made, teacher, checkpoint, codec, agent)
    found = updated(old, new, made, method, before=behind, min_gain=min_gain)
    about = {**found.images.about, "held_out": [part.digest for part in held_out]}
    replace(found.images, about=about).save(out)
    return _told(out, found, made, held_out)


def _selector(
    images: "ImageSet", made: "Made", teacher: Path | None, checkpoint: Path | None, codec: Path | None,
    agent: AgentConfig,
) -> Any:  # fmt: skip
    """The selector that a set records, with the teacher that the user names.

    Raises:
        UserError: no teacher, another one than then, or one that the selector does not take.
    """
    from roadstill.agents import open_agent, selector_tools
    from roadstill.runs import digest_file, digest_of
    from roadstill.selection import make_selector, needs
    from roadstill.verbs.picking import opened_teacher, other_features

    wanted = needs(made.name)
    asks = "predict" in wanted or (not made.features and "features" in wanted)
    if (teacher is None) == asks:
        raise UserError(
            f"{images.root} was selected by {made.name} {'with' if asks else 'without'} a teacher; "
            f"{'name it with' if asks else 'leave out'} --teacher"
        )
    if teacher is not None:
        # A run names its teacher by the settings, select by the weights.
        names = digest_file(teacher / "network.safetensors"), digest_of(open_agent(teacher).config)
        if made.teacher not in names:
            raise UserError(
                f"{images.root} was selected with the teacher {made.teacher}, but {teacher} is {names[0]}; name that "
                "one, or select anew from all frames"
            )
    tools = selector_tools(
        None if teacher is None else opened_teacher(teacher, images.class_names),
        named=", ".join(filter(None, [made.teacher, made.features])),
        student=agent,
        watched=agent,
        features=other_features(made.features or "agent", checkpoint, codec),
    )
    return make_selector(made.name, tools, made.settings)


def _require_alike(old: "ImageSet", new: "ImageSet") -> None:
    """Refuses new frames that are a part to be held out, were not taken by a camera, or were prepared otherwise."""
    if (part := new.about.get("split")) in ("dev", "test"):
        raise UserError(f"{new.root} is a {part} part, which is held out; name the new frames' train part with --with")
    if any(new.about.get(key) is not None for key in ("sampling", "refined", "distilled", "published")):
        raise UserError(f"{new.root} holds pictures that were made; name real frames with --with")
    hooks = [hook.get("name") if isinstance(hook := each.about.get("hook"), dict) else None for each in (old, new)]
    if hooks[0] != hooks[1]:
        raise UserError(
            f"{old.root} was prepared with the hook {hooks[0]}, {new.root} with {hooks[1]}; prepare both alike"
        )
    for key in _PREPARED_ALIKE:
        if old.about.get(key) != new.about.get(key):
            raise UserError(
                f"{old.root} was prepared with {key} {old.about.get(key)}, {new.root} with {new.about.get(key)}; "
                "prepare both alike"
            )


def _held_out(with_: Path, dev: Path | None, test: Path | None) -> list["ImageSet"]:
    """The parts that no frame of the set may share anything with: those named, and those beside the new frames."""
    from roadstill.imagesets import open_imageset

    beside = [path for name in ("dev", "test") if (path := with_.absolute().parent / name / "set.json").is_file()]
    paths = [path for path in (dev, test) if path is not None] + [path.parent for path in beside]
    parts = {part.digest: part for part in map(open_imageset, paths)}
    return list(parts.values())


def _refuse_leak(new: "ImageSet", part: "ImageSet") -> None:
    """Refuses new frames that share a log, a time of a drive, a frame or a picture with a part that is held out."""
    from roadstill.evaluation.leaks import common

    shared = common(new.footprint, part)
    if new.footprint.sets & part.footprint.sets:
        raise UserError(f"{new.root} is made from {part.root}, which is held out; name other frames with --with")
    if shared:
        what, (count, first) = next(iter(shared.items()))
        many = f"{count:,} {what}s, the first {first}," if count > 1 else f"the {what} {first}"
        raise UserError(
            f"{new.root} shares {many} with {part.root}, which is held out; index the new logs without those drives "
            "and prepare them again"
        )


def _told(out: Path, found: "Updated", made: "Made", held_out: Sequence["ImageSet"]) -> str:
    lines = [line for each in found.classes for line in _of_class(each)]
    if not held_out:
        lines.append("no dev or test part was named or lies beside the new frames, so none was held against them")
    whole = len(found.images)
    return "\n".join([*lines, f"{out}: {whole:,} images by {made.name}, {found.changed:,} of them new"])


def _of_class(found: "Class") -> list[str]:
    from roadstill.selection.updating import WHY

    count, cost = len(found.changes), ""
    if found.before is not None:
        cost = f"; cost {found.before:.4g} -> {found.after:.4g}, made anew {found.anew:.4g}"
    why = f", {WHY[found.why]}" if count else ", as no exchange would gain enough" if found.new else ""
    lines = [f"{found.name}: {found.new:,} new frames offered, {count:,} pictures changed{why}{cost}"]
    lines += [f"  {each.out} -> {each.came}" for each in found.changes[:_SHOWN]]
    return lines + ([f"  and {count - _SHOWN:,} more, see set.json"] if count > _SHOWN else [])
