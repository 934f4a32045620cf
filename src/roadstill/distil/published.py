"""Distilled sets as their authors publish them: pictures and labels in a file of ``torch.save``, in several forms.

Such files do not tell in which scale their pixels are, and a wrong guess costs more than most methods gain: the caller
has to say it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from roadstill.agents.targets import SOFT_LABEL
from roadstill.distil.spaces import Space
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.runs import atomic_path
from roadstill.weights.torch_file import read_torch_file

Scale = Literal["unit", "cifar10", "imagenet"]
_SPACES = {
    "cifar10": Space((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "imagenet": Space((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
_MOST_CLASSES = 100_000


def read_published(
    images: Path, out: Path, *, scale: Scale, class_names: Sequence[str], labels: Path | None = None,
    which: int = -1, protocol: str = "dsa", patches: int = 1, learning_rate: float | None = None,
) -> ImageSet:  # fmt: skip
    """Makes an image set of a published file; only tensors are read from it, nothing in it is run.

    Args:
        images: file with pictures ``[n, 3, s, s]``: alone (MTT, FRePo), with labels as a pair (IDC), or several such
            pairs under ``data`` (DC, DSA, DM).
        out: folder of the set.
        scale: scale of its pixels: "unit" from 0 to 1, or normalised by the mean and deviation of "cifar10" or
            "imagenet". Whitened pixels cannot be brought back without their matrix.
        class_names: names of the classes, in label order.
        labels: file with labels, where they lie apart: classes ``[n]``, or numbers ``[n, k]`` whose softmax is learnt.
        which: which of several sets in the file; the last one if not given.
        protocol: protocol that the set was made for.
        patches: patches along a side of a picture that are pictures of their own.
        learning_rate: learning rate that was learnt with the set.

    Raises:
        UserError: another kind of file, pictures or labels of another form, or a scale that cannot be.
    """
    if scale not in ("unit", *_SPACES):
        raise UserError(f"scale {scale!r} is unknown; say in which scale {images} holds its pixels: unit, "
                        f"{' or '.join(_SPACES)}")  # fmt: skip
    pictures, found = _parts(read_torch_file(images), images, which)
    if labels is not None:
        found = read_torch_file(labels)
    count = len(class_names)
    classes, soft = _classes(found, len(pictures), count, labels or images)
    values = pictures.float()
    if scale != "unit":
        values = _SPACES[scale].leave(values)
    elif not bool(((values >= -0.01) & (values <= 1.01)).all()):
        low, high = float(values.min()), float(values.max())
        raise UserError(
            f"{images} holds pixels from {low:.2f} to {high:.2f}, which is no scale from 0 to 1; say another"
        )
    pixels = (values.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    recipe: dict[str, Any] = {"protocol": protocol, "labels": "hard" if soft is None else "soft"}
    recipe |= {"patches": patches} if patches > 1 else {}
    recipe |= {"learning_rate": learning_rate} if learning_rate is not None else {}
    order = torch.argsort(classes, stable=True)
    with ImageSetWriter(out, class_names, pictures.shape[2]) as writer:
        for row in order.tolist():
            facts = {"published": images.name} | ({} if soft is None else {SOFT_LABEL: soft[row].double().tolist()})
            writer.add(pixels[row], int(classes[row]), facts)
        writer.values = {"pictures": values[order]}
        writer.about.update({"recipe": recipe, "published": {"file": images.name, "scale": scale}})
    return open_imageset(out)


def write_published(images: ImageSet, out: Path) -> Path:
    """Writes a set as a file of ``torch.save``: a pair of pictures ``[n, 3, s, s]`` from 0 to 1 and classes ``[n]``.

    Raises:
        UserError: the file is there.
    """
    if out.exists():
        raise UserError(f"{out} is there already; name another file")
    rows = range(len(images))
    if images.values is None:
        pictures = torch.from_numpy(images.pixels()).permute(0, 3, 1, 2).float() / 255
    else:
        pictures = images.values.pictures(list(rows))
    with atomic_path(out) as path:
        torch.save([pictures.contiguous(), torch.from_numpy(images.labels)], path)
    return out


def _parts(found: Any, path: Path, which: int) -> tuple[Tensor, Any]:
    """Pictures and, where they lie together, labels."""
    if isinstance(found, Mapping) and isinstance(found.get("data"), (list, tuple)):
        sets = found["data"]
        if not -len(sets) <= which < len(sets):
            raise UserError(f"{path} holds {len(sets)} sets; there is no number {which}")
        found = sets[which]
    pictures, labels = found, None
    if isinstance(found, (list, tuple)) and len(found) == 2:
        pictures, labels = found
    if not isinstance(pictures, Tensor) or pictures.ndim != 4 or pictures.shape[1] != 3 or not len(pictures):
        raise UserError(f"{path} holds no pictures [n, 3, s, s], alone, with labels, or under 'data'")
    if pictures.shape[2] != pictures.shape[3] or not bool(pictures.isfinite().all()):
        raise UserError(f"{path} holds pictures that are not square, or numbers that are not finite")
    return pictures.detach(), labels


def _classes(found: Any, count: int, classes: int, path: Path) -> tuple[Tensor, Tensor | None]:
    """Classes ``[n]``, and probabilities ``[n, k]`` where labels are learnt."""
    if not isinstance(found, Tensor) or len(found) != count or found.ndim not in (1, 2):
        raise UserError(f"{path} holds no label for each of {count:,} pictures; name the file that does with labels")
    if found.ndim == 2:
        if found.shape[1] != classes:
            raise UserError(f"{path} holds labels of {found.shape[1]:,} classes, and {classes} names are given")
        soft = found.detach().float().softmax(1)
        return soft.argmax(1), soft
    labels = found.detach().long()
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise UserError(f"{path} holds labels up to {int(labels.max())}, and {classes} names are given")
    return labels, None
