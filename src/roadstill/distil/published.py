"""Distilled sets as their authors publish them, in files of ``torch.save``, and ours in such a file.

Ours are of DC's form, and hold beside ``data``, under a key of their own, what others have to be told: scale, names of
classes, the set's record with its recipe, and the tensors of a whitening and of labels that are numbers.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch

from roadstill.agents.recipes import recipe_of
from roadstill.agents.targets import SOFT_LABEL, soft_labels
from roadstill.distil.beginning import pictures_of
from roadstill.distil.declared import Declared, PtConfig
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet, ImageSetWriter, open_imageset
from roadstill.imagesets.card import without_places
from roadstill.imagesets.values import to_uint8
from roadstill.runs import atomic_path, holding, require_own
from roadstill.sources.pt import MOST_BYTES, OWN


@holding()
def read_published(file: Path, out: Path, config: PtConfig) -> ImageSet:
    """Makes an image set of a published file, in its order; only tensors are read from it, nothing in it is run.

    Args:
        file: pictures ``[n, 3, s, s]``: alone (MTT, DATM), with labels as a pair (IDC), or several such pairs under
            ``data`` (DC, DSA, DM, and `write_published`).
        out: folder of the set.
        config: what the file does not tell.

    Raises:
        UserError: another kind of file, pictures or labels of another form, or a scale that is not known or cannot be.
    """
    require_own(out, "set.json")
    if config.real is not None and os.path.realpath(config.real) == os.path.realpath(out):
        raise UserError(f"{out} is what the call reads; name another path to write")
    declared = Declared.of(file, config)
    classes, soft = declared.labels()
    names, about = declared.names(classes, soft), declared.about(soft=soft is not None)
    whitening = declared.whitening()
    pictures = declared.pictures(whitening)
    pixels, kept = to_uint8(pictures), {"pictures": pictures} | declared.targets()
    if whitening is not None:
        kept |= {"mean": whitening.mean, "matrix": whitening.matrix}
    with ImageSetWriter(out, names, declared.side_px) as writer:
        for row, label in enumerate(classes.tolist()):
            writer.add(pixels[row], label, {} if soft is None else {SOFT_LABEL: soft[row].double().tolist()})
        writer.values = kept
        writer.about.update(about)
    return open_imageset(out)


def write_published(images: ImageSet, out: Path) -> Path:
    """Writes a set as a file of ``torch.save`` of DC's form, from its exact pixels where it has them.

    ``data`` holds one pair: pictures float32 ``[n, 3, s, s]``, 0 black and 1 white, and labels, classes int64 ``[n]``
    or, where they were learnt, probabilities float32 ``[n, k]``.

    Args:
        images: any set.
        out: file.

    Raises:
        UserError: a set of more than 4 GiB of numbers; the file is there.
    """
    if out.exists():
        raise UserError(f"{out} is there already; name another file")
    if (size := 12 * len(images) * images.size_px**2) > MOST_BYTES:
        raise UserError(f"{images.root}: its numbers would have {size:,} bytes, more than the {MOST_BYTES:,} that one "
                        "file of tensors may have; select fewer pictures, or take another format")  # fmt: skip
    recipe, values, labels = recipe_of(images), images.values, torch.from_numpy(images.labels)
    own: dict[str, Any] = {
        "scale": "unit" if values is None else "unclamped",
        "class_names": list(images.class_names),
        "about": json.dumps(without_places(images.about)),
    }
    if recipe is not None and recipe.needs["labels"] == "soft":
        own["classes"], labels = labels, torch.from_numpy(soft_labels(images))
        own["probabilities"] = torch.tensor([facts[SOFT_LABEL] for facts in images.facts], dtype=torch.float64)
    if values is not None and (whitening := values.whitening()) is not None:
        own["whitening"] = list(whitening)
    if values is not None and (targets := values.targets()) is not None:
        own["targets"] = torch.from_numpy(targets)
    pictures = pictures_of(images, range(len(images))).contiguous()
    with atomic_path(out) as path:
        torch.save({"data": [[pictures, labels]], OWN: own}, path)
    return out
