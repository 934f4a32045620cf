"""`generate`: labels -> latents -> pictures -> `ImageSet`; each picture is a function of its own seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from roadstill.codecs import Codec, from_pixels, to_pixels
from roadstill.denoisers.base import IN_MEMORY, Denoiser, Origin, Sampling
from roadstill.errors import UserError
from roadstill.generator.guidance import Teacher, towards
from roadstill.images import encode_png, read_image
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.parallel import launched
from roadstill.runs import (
    atomic_path,
    digest_of,
    folder_name,
    holding,
    plain,
    read_json,
    remove,
    require_own,
    same_classes,
    same_rows,
    seed_of,
    state_beside,
    write_json,
)
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
) -> ImageSet:
    """Draws ``per_class`` pictures of every class.

    A run that was stopped goes on where it was, to the same bytes. Under torchrun the batches are shared out.

    Args:
        denoiser: generator that makes latents; its origin may tell class names, codec and class means.
        codec: codec that turns latents into pictures.
        class_names: one name per label; ``None`` takes the denoiser's own.
        per_class: pictures per class.
        seed: seed of the set; image ``index`` of class ``label`` depends on (seed, label, index) and on nothing else.
        config: see `Sampling`.
        out: folder of the image set.
        label_rows: class row of the denoiser for each label, if not the label itself.
        start: real pictures to start from instead of pure noise: image ``index`` of a class begins as the class's
            picture number ``index``, in turn, noised by ``config.strength`` (D4M, Su et al. 2024).
        teacher: an agent towards whose idea of each class the pictures are led by ``config.teacher.guidance``.

    Returns:
        The set, class by class; every picture records its seed and how it was drawn.

    Raises:
        UserError: no class names, label rows, start pictures or a teacher that do not fit, a codec or noise schedule
            that the denoiser was not trained with, class means that it does not know.
    """
    require_own(out, "set.json")
    drawing = _plan(denoiser, codec, class_names, per_class, seed, config, label_rows, start, teacher)
    # A killed run leaves its pictures here, and the same call goes on from them.
    part = state_beside(out, "unfinished")
    rank, world, wait = launched()
    if rank == 0:
        _begin(drawing, part)
    wait()
    for batch in drawing.batches[rank::world]:
        _draw(drawing, batch, part)
    wait()
    if rank == 0:
        _gather(drawing, part, out)
    wait()
    return open_imageset(out)


@dataclass(frozen=True)
class _Drawing:
    """A set that is to be drawn; see `generate`.

    Attributes:
        denoiser: generator with the noise schedule that it walks.
        codec: codec of its latents.
        names: names of the classes.
        rows: class row of the denoiser for each label.
        per_class: pictures per class.
        seed: seed of the set.
        config: sampling with guidance and steps said.
        start: the picture that each one starts from, class by class, if there are any.
        teacher: agent that leads the drawing, if there is one.
        record: facts on how the set was made, for `set.json`.
    """

    denoiser: Denoiser
    codec: Codec
    names: tuple[str, ...]
    rows: tuple[int, ...]
    per_class: int
    seed: int
    config: Sampling
    start: ImageSet | None
    teacher: Teacher | None
    record: dict[str, Any]

    @property
    def told(self) -> list[tuple[int, int]]:
        """Label and index of every picture."""
        return [(label, index) for label in range(len(self.names)) for index in range(self.per_class)]

    @property
    def batches(self) -> list[list[tuple[int, int]]]:
        """The same in batches."""
        told, size = self.told, self.config.batch_size
        return [told[at : at + size] for at in range(0, len(told), size)]


def _plan(
    denoiser: Denoiser,
    codec: Codec,
    class_names: Sequence[str] | None,
    per_class: int,
    seed: int,
    config: Sampling,
    label_rows: Sequence[int] | None,
    start: ImageSet | None,
    teacher: Teacher | None,
) -> _Drawing:
    """Checks everything before any work; see `generate`."""
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
    }
    begin = None if start is None else _starts(start, names, per_class)
    return _Drawing(denoiser, codec, names, rows, per_class, seed, config, begin, teacher, record)


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


def _begin(drawing: _Drawing, part: Path) -> None:
    """Keeps the pictures of an equal drawing that was stopped, and no others."""
    key, record = part / "key.json", plain(drawing.record)
    if drawing.denoiser.origin.digest == IN_MEMORY or not (key.is_file() and read_json(key) == record):
        remove(part)
    write_json(key, record)


@torch.no_grad()
def _draw(drawing: _Drawing, batch: Sequence[tuple[int, int]], part: Path) -> None:
    """Draws the pictures of a batch that is not there yet."""
    paths = [part / f"{label}-{index}.png" for label, index in batch]
    if all(path.is_file() for path in paths):
        return
    codec, teacher = drawing.codec, drawing.teacher
    labels = torch.tensor([label for label, _ in batch])
    latents = drawing.denoiser.generate(
        torch.tensor([drawing.rows[label] for label, _ in batch]),
        seeds=[seed_of("generate", drawing.seed, label, index) for label, index in batch],
        sampling=drawing.config,
        start=_start_latents(drawing, batch),
        guide=None if teacher is None else towards(teacher, codec, labels),
    )
    pictures = to_pixels(codec.decode(latents.to(codec.device))).cpu().numpy()
    for path, picture in zip(paths, pictures, strict=True):
        with atomic_path(path) as temporary:
            temporary.write_bytes(encode_png(picture))


def _start_latents(drawing: _Drawing, batch: Sequence[tuple[int, int]]) -> Tensor | None:
    """Clean latents ``[b, c, h, w]`` that a batch starts from; None for pure noise."""
    means = drawing.denoiser.origin.class_mean
    if drawing.config.from_class_mean and means is not None:
        return means[[label for label, _ in batch]]
    if drawing.start is None:
        return None
    real = drawing.start.pixels([label * drawing.per_class + index for label, index in batch])
    return drawing.codec.encode(from_pixels(torch.from_numpy(real)).to(drawing.codec.device)).mean


def _gather(drawing: _Drawing, part: Path, out: Path) -> None:
    """Makes the set of the pictures that were drawn."""
    denoiser, config, teacher = drawing.denoiser, drawing.config, drawing.teacher
    shared = {"guidance": config.guidance, "steps": config.steps, "checkpoint": denoiser.origin.digest}
    shared["solver"] = config.solver or denoiser.solvers[0]
    if denoiser.schedule is not None:
        shared["betas"] = digest_of(denoiser.schedule.betas.tolist())
    if teacher is not None:
        shared |= {"teacher": teacher.digest, "teacher_guidance": config.teacher.guidance}
    size_px = read_image(part / "0-0.png").width
    with ImageSetWriter(out, drawing.names, size_px) as writer:
        for label, index in drawing.told:
            seed = seed_of("generate", drawing.seed, label, index)
            fact = {"index": index, "seed": seed, "row": drawing.rows[label]} | shared
            if drawing.start is not None:
                origin = drawing.start.facts[label * drawing.per_class + index]
                fact |= {"strength": config.strength, "start": origin.get("token", origin["digest"])}
            writer.add_bytes((part / f"{label}-{index}.png").read_bytes(), label, fact)
        writer.about.update({name: value for name, value in drawing.record.items() if value is not None})
    remove(part)
