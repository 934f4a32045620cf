"""`generate`: labels -> latents -> pictures -> `ImageSet`; each picture is a function of its own seed alone."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from roadstill.codecs import Codec, from_pixels, to_pixels
from roadstill.denoisers.base import GUIDANCE, STEPS, Denoiser, Sampling
from roadstill.denoisers.dit import DiTDenoiser
from roadstill.denoisers.labelled import ASSUMED, IN_MEMORY, LabelledDenoiser
from roadstill.errors import UserError
from roadstill.generator.guidance import Teacher, towards
from roadstill.images import encode_png, read_image
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.runs import atomic_path, digest_of, plain, read_json, seed_of, write_json
from roadstill.schedules import Progressive, read_schedule


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
        denoiser: makes latents; one from disk also knows its class names, its codec and its digest.
        codec: turns latents into pictures.
        class_names: one name per label; ``None`` takes the denoiser's own.
        per_class: pictures per class.
        seed: image ``index`` of class ``label`` depends on (seed, label, index) and on nothing else.
        config: see `Sampling`.
        out: folder of the image set.
        label_rows: what the denoiser is told for each label, if not the label itself.
        start: real pictures to start from instead of pure noise: image ``index`` of a class begins as the class's
            picture number ``index``, in turn, noised by ``config.strength`` (D4M, Su et al. 2024).
        teacher: an agent towards whose idea of each class the pictures are led by ``config.teacher_guidance``.

    Returns:
        The set, class by class; every picture records its seed and how it was drawn.

    Raises:
        UserError: no class names, label rows, start pictures or a teacher that do not fit, a codec or noise schedule
            that the denoiser was not trained with, class means that it does not know.
    """
    about: dict[str, Any] = dict(getattr(denoiser, "about", {}))  # a denoiser of someone else's may have none
    names = tuple(class_names or about.get("class_names") or ())
    rows = tuple(label_rows if label_rows is not None else range(len(names)))
    _check(names, rows, per_class, about, codec)
    denoiser = _scheduled(denoiser, config)
    config = _settled(denoiser, config)
    if teacher is not None and tuple(teacher.class_names) != names:
        raise UserError(f"the teacher knows the classes {', '.join(teacher.class_names)}, not {', '.join(names)}")
    means, schedule = getattr(denoiser, "class_mean", None), getattr(denoiser, "schedule", None)
    if config.from_class_mean:
        if start is not None:
            raise UserError("from_class_mean and start pictures are two beginnings; choose one")
        if means is None or len(means) != len(names):
            raise UserError(
                "this generator does not know its classes' mean latents; fine-tune it, or leave out from_class_mean"
            )
        config = replace(config, strength=1.0)
    begin = None if start is None else _starts(start, names, per_class)
    digest = getattr(denoiser, "digest", IN_MEMORY)
    about_all = {
        "method": "generated",
        "seed": seed,
        "per_class": per_class,
        "label_rows": rows,
        "checkpoint": digest,
        "codec": codec.digest,
        "decoder": codec.decoder_digest,
        "sampling": plain(config),
        "latents": about.get("latents"),
        "start": None if start is None else start.digest,
        "teacher": None if teacher is None else teacher.digest,
    }
    told = [(label, index) for label in range(len(names)) for index in range(per_class)]
    batches = [told[at : at + config.batch_size] for at in range(0, len(told), config.batch_size)]
    # A killed run leaves its pictures here, and the same call goes on from them.
    part = out.with_name(f".{out.name}.unfinished")
    rank, world, wait = _processes()
    if rank == 0 and not (digest != IN_MEMORY and part.is_dir() and read_json(part / "key.json") == plain(about_all)):
        shutil.rmtree(part, ignore_errors=True)
    wait()
    for batch in batches[rank::world]:
        paths = [part / f"{label}-{index}.png" for label, index in batch]
        if all(path.is_file() for path in paths):
            continue
        pictures = _draw(denoiser, codec, batch, rows, seed, config, begin, per_class, teacher)
        write_json(part / "key.json", about_all)
        for path, picture in zip(paths, pictures, strict=True):
            with atomic_path(path) as temporary:
                temporary.write_bytes(encode_png(picture))
    wait()
    if rank == 0:
        shared = {"guidance": config.guidance, "steps": config.steps, "checkpoint": digest}
        shared["solver"] = config.solver or denoiser.solvers[0]
        if schedule is not None:
            shared["betas"] = digest_of(schedule.betas.tolist())
        if teacher is not None:
            shared |= {"teacher": teacher.digest, "teacher_guidance": config.teacher_guidance}
        size_px = read_image(part / "0-0.png").width
        with ImageSetWriter(out, names, size_px) as writer:
            for label, index in told:
                fact = {"index": index, "seed": seed_of("generate", seed, label, index), "row": rows[label]} | shared
                if begin is not None:
                    origin = begin.facts[label * per_class + index]
                    fact |= {"strength": config.strength, "start": origin.get("token", origin["digest"])}
                writer.add_bytes((part / f"{label}-{index}.png").read_bytes(), label, fact)
            writer.about.update({name: value for name, value in about_all.items() if value is not None})
        shutil.rmtree(part)
    wait()
    return open_imageset(out)


def _settled(denoiser: Denoiser, config: Sampling) -> Sampling:
    """The sampling with guidance and steps said, so that records tell what was done."""
    guidance, steps = GUIDANCE if config.guidance is None else config.guidance, config.steps or STEPS
    if isinstance(denoiser, LabelledDenoiser):
        _, guidance, steps = denoiser.plan(config)
    return replace(config, guidance=guidance, steps=steps)


def _scheduled(denoiser: Denoiser, config: Sampling) -> Denoiser:
    """The denoiser with the schedule that the sampling names.

    Raises:
        UserError: another one than it was trained with, if that is not forced; a kind of network that has none.
    """
    if config.schedule is None:
        return denoiser
    given = read_schedule(config.schedule, train_steps=1)
    if not isinstance(denoiser, DiTDenoiser) or isinstance(given, Progressive):
        raise UserError(f"schedule {config.schedule!r} cannot be sampled from; leave it out")
    own = denoiser.betas
    if own.shape == given.betas.shape and torch.allclose(own, given.betas, rtol=1e-6, atol=0):
        return denoiser
    if not (config.force_schedule or denoiser.about.get("schedule") == ASSUMED):
        raise UserError(
            f"the generator was trained with other betas than {config.schedule}; leave schedule out, or force_schedule"
        )
    return denoiser.with_schedule(given)


def _processes() -> tuple[int, int, Callable[[], None]]:
    """Rank, number of processes and a barrier, under torchrun; else one process that waits for nobody."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return 0, 1, lambda: None
    from accelerate import PartialState

    state = PartialState(cpu=not torch.accelerator.is_available())
    return state.process_index, state.num_processes, state.wait_for_everyone


def _draw(
    denoiser: Denoiser,
    codec: Codec,
    batch: Sequence[tuple[int, int]],
    rows: Sequence[int],
    seed: int,
    config: Sampling,
    begin: ImageSet | None,
    per_class: int,
    teacher: Teacher | None,
) -> NDArray[np.uint8]:
    """The pictures ``[b, s, s, 3]`` of (label, index) pairs."""
    device = codec.device
    with torch.no_grad():
        first = None
        if config.from_class_mean:
            first = denoiser.class_mean[[label for label, _ in batch]]  # type: ignore[attr-defined]
        elif begin is not None:
            real = begin.pixels([label * per_class + index for label, index in batch])
            first = codec.encode(from_pixels(torch.from_numpy(real)).to(device)).mean
        latents = denoiser.generate(
            torch.tensor([rows[label] for label, _ in batch]),
            seeds=[seed_of("generate", seed, label, index) for label, index in batch],
            sampling=config,
            start=first,
            guide=None if teacher is None else towards(teacher, codec, torch.tensor([label for label, _ in batch])),
        )
        return to_pixels(codec.decode(latents.to(device))).cpu().numpy()


def _starts(start: ImageSet, names: tuple[str, ...], per_class: int) -> ImageSet:
    """The start picture of every image, class by class; few of them take turns.

    Raises:
        UserError: other classes, or a class without a picture.
    """
    if start.class_names != names:
        raise UserError(f"{start.root}: its classes are {', '.join(start.class_names)}, not {', '.join(names)}")
    rows = [np.flatnonzero(start.labels == label) for label in range(len(names))]
    if empty := [name for name, found in zip(names, rows, strict=True) if not len(found)]:
        raise UserError(f"{start.root}: class {empty[0]!r} has no picture to start from")
    return start.subset(np.concatenate([np.resize(found, per_class) for found in rows]))


def _check(names: Sequence[str], rows: Sequence[int], per_class: int, about: dict[str, Any], codec: Codec) -> None:
    if not names:
        raise UserError("the generator does not know its class names; give class_names")
    if per_class < 1:
        raise UserError(f"per_class is {per_class}; it must be at least 1")
    if len(rows) != len(names):
        raise UserError(f"{len(rows)} label_rows for {len(names)} classes ({', '.join(names)}); give one per class")
    wanted = about.get("codec")
    if wanted not in (None, "untrained", codec.digest) and codec.digest != "untrained":
        raise UserError(f"the generator was trained on latents of codec {wanted}, but this codec is {codec.digest}")
