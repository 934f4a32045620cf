"""`generate`: labels -> latents -> pictures -> `ImageSet`; each picture is a function of its own seed alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from roadstill.codecs import Codec
from roadstill.denoisers.base import Denoiser, Origin, Sampling
from roadstill.errors import UserError
from roadstill.generator.asking import asked_of, read_where
from roadstill.generator.drawing import Drawing, begin, draw, gather, require_equal
from roadstill.generator.guidance import Teacher
from roadstill.imagesets import ImageSet, open_imageset
from roadstill.imagesets.sources import SOURCES, recorded, sources_of, union
from roadstill.parallel import launched
from roadstill.runs import (
    folder_name,
    holding,
    plain,
    remove,
    require_own,
    same_classes,
    same_rows,
    state_beside,
)
from roadstill.runs.progress import track
from roadstill.schedules import Progressive, read_schedule


@holding()
def generate(
    denoiser: Denoiser,
    codec: Codec,
    *,
    class_names: Sequence[str] | None = None,
    per_class: int,
    seed: int,
    config: Sampling,
    out: Path,
    label_rows: Sequence[int] | None = None,
    start: ImageSet | None = None,
    teacher: Teacher | None = None,
    fill: ImageSet | None = None,
) -> ImageSet:
    """Draws ``per_class`` pictures of every class.

    A run that was stopped goes on where it was, to the same bytes. Under torchrun the batches are shared out.

    Args:
        denoiser: generator that makes latents; its origin may tell class names, codec and class means.
        codec: codec that turns latents into pictures.
        class_names: one name per label; ``None`` takes the denoiser's own.
        per_class: pictures per class.
        seed: seed of the set; image ``index`` of class ``label`` depends on (seed, label, index), and on ``fill`` if
            that is given, and on nothing else.
        config: see `Sampling`.
        out: folder of the image set.
        label_rows: class row of the denoiser for each label, if not the label itself.
        start: real pictures to start from instead of pure noise: image ``index`` of a class begins as the class's
            picture number ``index``, in turn, noised by ``config.strength`` (D4M, Su et al. 2024).
        teacher: an agent towards whose idea of each class the pictures are led by ``config.teacher.guidance``.
        fill: a set whose strata are filled up: its pictures count where ``config.strata`` spreads the new ones, see
            `roadstill.generator.asking`.

    Returns:
        The set, class by class; every picture records its seed, how it was drawn, and the attributes that it was asked
        to show.

    Raises:
        UserError: no class names, label rows, start pictures or a teacher that do not fit, a codec or noise schedule
            that the denoiser was not trained with, class means or attributes that it does not know; the folder holds
            a set that was generated with other settings.
    """
    require_own(out, "set.json")
    drawing = planned(denoiser, codec, class_names, per_class, seed, config, label_rows, start, teacher, fill)
    require_equal(out, drawing)
    # A killed run leaves its pictures here, and the same call goes on from them.
    part = state_beside(out, "unfinished")
    rank, world, wait = launched()
    if rank == 0:
        begin(drawing, part)
    wait()
    try:
        for batch in track(drawing.batches[rank::world], "batches of images"):
            draw(drawing, batch, part)
    except UserError:
        if not any(part.glob("*.png")):
            remove(part)
        raise
    wait()
    if rank == 0:
        gather(drawing, part, out)
    wait()
    return open_imageset(out)


def planned(
    denoiser: Denoiser,
    codec: Codec,
    class_names: Sequence[str] | None,
    per_class: int,
    seed: int,
    config: Sampling,
    label_rows: Sequence[int] | None = None,
    start: ImageSet | None = None,
    teacher: Teacher | None = None,
    fill: ImageSet | None = None,
) -> Drawing:
    """What `generate` would draw, of the same arguments, all of it checked and nothing drawn yet.

    Raises:
        UserError: as `generate`.
    """
    names = tuple(class_names or denoiser.origin.class_names)
    rows = tuple(label_rows if label_rows is not None else range(len(names)))
    _check(names, rows, per_class, denoiser.origin, codec)
    same_rows(
        names, label_rows, denoiser.origin.class_names, of="class_names", to="the generator", setting="label_rows",
        may_be_new=label_rows is not None,
    )  # fmt: skip
    if teacher is not None:
        same_classes(teacher.class_names, names, of="the teacher", to="the set to be drawn")
    denoiser = _scheduled(denoiser, config)
    config = _settled(denoiser, config, names, start)
    asked = asked_of(config, denoiser.origin.attributes, names, per_class, seed, fill)
    record = {
        "method": "generated",
        "seed": seed,
        "per_class": per_class,
        "label_rows": rows,
        "checkpoint": denoiser.origin.digest,
        "codec": codec.digest,
        "decoder": codec.decoder_digest,
        "sampling": plain(config),
        "latents": denoiser.origin.latents,
        "start": None if start is None else start.digest,
        "teacher": None if teacher is None else teacher.digest,
        SOURCES: union(
            recorded(denoiser.origin.sources, *([] if start is None else [sources_of(start.about)])), codec.sources
        ),
    } | ({} if fill is None else {"fill": fill.digest})
    begin = None if start is None else _starts(start, names, per_class)
    return Drawing(denoiser, codec, names, rows, per_class, seed, config, begin, teacher, record, asked)


def _check(names: Sequence[str], rows: Sequence[int], per_class: int, origin: Origin, codec: Codec) -> None:
    if not names:
        raise UserError("the generator does not know its class names; give class_names")
    for name in names:
        folder_name(name, "class name")
    if per_class < 1:
        raise UserError(f"per_class is {per_class}; it must be at least 1")
    if len(rows) != len(names):
        raise UserError(f"{len(rows)} label_rows for {len(names)} classes ({', '.join(names)}); give one per class")
    if origin.codec not in (None, "untrained", codec.digest) and codec.digest != "untrained":
        raise UserError(
            f"the generator was trained on latents of codec {origin.codec}, but this codec is {codec.digest}"
        )


def _scheduled(denoiser: Denoiser, config: Sampling) -> Denoiser:
    """The denoiser with the schedule that the sampling names.

    Raises:
        UserError: another one than it was trained with, if that is not forced; a kind of network that has none.
    """
    if config.schedule is None:
        return denoiser
    given = read_schedule(config.schedule, train_steps=1)
    own = denoiser.schedule
    if own is None or isinstance(given, Progressive):
        raise UserError(f"schedule {config.schedule!r} cannot be sampled from; leave it out")
    if own.betas.shape == given.betas.shape and torch.allclose(own.betas, given.betas, rtol=1e-6, atol=0):
        return denoiser
    if not (config.force_schedule or denoiser.origin.schedule_assumed):
        raise UserError(
            f"the generator was trained with other betas than {config.schedule}; leave schedule out, or force_schedule"
        )
    return denoiser.with_schedule(given)


def _settled(denoiser: Denoiser, config: Sampling, names: tuple[str, ...], start: ImageSet | None) -> Sampling:
    """The sampling with guidance, steps and strength said, so that records tell what was done."""
    plan = denoiser.plan(config)
    config = replace(config, guidance=plan.guidance, steps=plan.steps)
    if config.where is not None:
        config = replace(config, where=read_where(config.where, denoiser.origin.attributes))
    if not config.from_class_mean:
        return config
    if start is not None:
        raise UserError("from_class_mean cannot be combined with start images; choose one")
    means = denoiser.origin.class_mean
    if means is None or len(means) != len(names):
        raise UserError(
            "this generator does not know its classes' mean latents; fine-tune it, or leave out from_class_mean"
        )
    return replace(config, strength=1.0)


def _starts(start: ImageSet, names: tuple[str, ...], per_class: int) -> ImageSet:
    """The start picture of every image, class by class; few of them take turns.

    Raises:
        UserError: other classes, or a class without a picture.
    """
    same_classes(start.class_names, names, of=start.root, to="the set to be drawn")
    rows = [np.flatnonzero(start.labels == label) for label in range(len(names))]
    if empty := [name for name, found in zip(names, rows, strict=True) if not len(found)]:
        raise UserError(f"{start.root}: class {empty[0]!r} has no picture to start from")
    return start.subset(np.concatenate([np.resize(found, per_class) for found in rows]))
