"""`generate`: labels -> latents -> pictures -> `ImageSet`; each picture is a function of its own seed alone."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from roadstill.codecs import Codec, from_pixels, to_pixels
from roadstill.denoisers.base import Denoiser, Sampling
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.runs import plain, seed_of


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
) -> ImageSet:
    """Draws ``per_class`` pictures of every class.

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

    Returns:
        The set, class by class; every picture records its seed and how it was drawn.

    Raises:
        UserError: no class names, label rows or start pictures that do not fit, or a codec that the denoiser was not
            trained with.
    """
    about: dict[str, Any] = dict(getattr(denoiser, "about", {}))  # a denoiser of someone else's may have none
    names = tuple(class_names or about.get("class_names") or ())
    rows = tuple(label_rows if label_rows is not None else range(len(names)))
    _check(names, rows, per_class, about, codec)
    begin = None if start is None else _starts(start, names, per_class)
    digest = getattr(denoiser, "digest", "in memory")
    shared = {
        "guidance": config.guidance,
        "solver": config.solver or denoiser.solvers[0],
        "steps": config.steps,
        "checkpoint": digest,
    }
    told = [(label, index) for label in range(len(names)) for index in range(per_class)]
    pictures = _pictures(denoiser, codec, told, rows, seed, config, begin)
    first = next(pictures)  # drawn before the folder is opened: it tells the size
    with ImageSetWriter(out, names, first.shape[0]) as writer:
        for (label, index), picture in zip(told, chain([first], pictures), strict=True):
            fact = {"index": index, "seed": seed_of("generate", seed, label, index), "row": rows[label]} | shared
            if begin is not None:
                origin = begin.facts[label * per_class + index]
                fact |= {"strength": config.strength, "start": origin.get("token", origin["digest"])}
            writer.add(picture, label, fact)
        writer.about.update(
            {"method": "generated", "seed": seed, "per_class": per_class, "checkpoint": digest, "codec": codec.digest}
            | {"decoder": codec.decoder_digest, "sampling": plain(config), "latents": about.get("latents")}
            | ({} if start is None else {"start": start.digest})
        )
    return open_imageset(out)


def _pictures(
    denoiser: Denoiser,
    codec: Codec,
    told: Sequence[tuple[int, int]],
    rows: Sequence[int],
    seed: int,
    config: Sampling,
    begin: ImageSet | None,
) -> Iterator[NDArray[np.uint8]]:
    """The pictures ``[s, s, 3]`` of (label, index) pairs, in order, a batch at a time."""
    device = next(codec.parameters()).device
    for at in range(0, len(told), config.batch_size):
        batch = told[at : at + config.batch_size]
        first = None
        if begin is not None:
            real = from_pixels(torch.from_numpy(begin.pixels(range(at, at + len(batch)))))
            with torch.no_grad():
                first = codec.encode(real.to(device)).mean
        latents = denoiser.generate(
            torch.tensor([rows[label] for label, _ in batch]),
            seeds=[seed_of("generate", seed, label, index) for label, index in batch],
            sampling=config,
            start=first,
        )
        with torch.no_grad():
            yield from to_pixels(codec.decode(latents.to(device))).cpu().numpy()


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
