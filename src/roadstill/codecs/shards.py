"""The files of a latent store: a record, the labels, and shards of moments."""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roadstill.imagesets.attributes import Vocabulary, VocabularyRecord, check_vocabulary
from roadstill.imagesets.sources import SourceNames
from roadstill.runs import Digest, Pixels, WithClasses, digest_file, digest_of, write_json
from roadstill.weights.tensors import write_tensors

FORMAT = "roadstill-latents-1"
LABELS = "labels.safetensors"
REMEDY = "encode the set again"
_MOST_NUMBERS = 2**28  # in the mean latents of all classes

_Least1 = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_Deviation = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class LatentsRecord(WithClasses, kw_only=True, frozen=True):
    """``latents.json``; that of an older version does not tell each file's digest."""

    shape: tuple[Pixels, Pixels, Pixels]
    std: _Deviation | None
    num_rows: _Least1
    shard_rows: _Least1
    num_shards: _Least1
    digest: Digest
    about: dict[str, Any]
    shards: tuple[Digest, ...] | None = None
    labels: Digest | None = None
    attributes: VocabularyRecord = msgspec.field(default_factory=dict)
    features: tuple[Pixels, Pixels, Pixels] | None = None
    sources: SourceNames = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_vocabulary(self.attributes)
        if len(self.class_names) * prod(self.shape) > _MOST_NUMBERS:
            raise ValueError(f"{len(self.class_names):,} classes of latents {self.shape} are too many")
        if -(-self.num_rows // self.shard_rows) != self.num_shards:
            raise ValueError(f"{self.num_rows:,} rows do not fill {self.num_shards:,} shards of {self.shard_rows:,}")
        told = (self.shards, self.labels)
        if told != (None, None) and (
            len(self.shards or ()) != self.num_shards
            or _digest(self.about, self.shards, self.labels, self.attributes) != self.digest
        ):
            raise ValueError("the digests in it disagree")


def _digest(about: Mapping[str, Any], shards: Any, labels: Any, attributes: Vocabulary) -> str:
    """Digest of a store; one without attributes has that of before there were any."""
    return digest_of([about, shards, labels, *([attributes] if attributes else [])])


def shard_name(number: int) -> str:
    """Name of the shard's file."""
    return f"moments-{number:05d}.safetensors"


def write_latents(
    folder: Path,
    shards: Iterable[tuple[Mapping[str, Tensor], float | None]],
    labels: NDArray[np.int64],
    *,
    class_names: Sequence[str],
    shard_rows: int,
    about: Mapping[str, Any],
    attributes: Vocabulary | None = None,
    codes: NDArray[np.int64] | None = None,
    sources: Sequence[str] = (),
) -> None:
    """Writes a latent store.

    Args:
        folder: folder to make.
        shards: tensors ``mean [n, c, h, w]`` and perhaps ``std`` and ``features`` of each shard, and the deviation if
            it is one number.
        labels: labels ``[n]`` of all rows.
        class_names: one name per label.
        shard_rows: rows in every shard but the last.
        about: digests of image set and codec, size of the pictures.
        attributes: values of the attributes that are kept, if any.
        codes: place of each row's value of each attribute, -1 where it has none, ``[n, a]``; columns by name.
        sources: names of what the pictures stem from, see `roadstill.imagesets.sources`.
    """
    folder.mkdir(parents=True)
    digests: list[str] = []
    shape: tuple[int, ...] = ()
    features: tuple[int, ...] | None = None
    constant: float | None = None
    for tensors, std in shards:
        constant = std
        path = folder / shard_name(len(digests))
        write_tensors(path, tensors)
        digests.append(digest_file(path))
        shape = tuple(tensors["mean"].shape[1:])
        features = tuple(tensors["features"].shape[1:]) if "features" in tensors else None
    kept = {"labels": labels.copy()} | ({} if codes is None or not attributes else {"attributes": codes.copy()})
    write_tensors(folder / LABELS, {name: torch.from_numpy(values) for name, values in kept.items()})
    of_labels = digest_file(folder / LABELS)
    record = (
        {
            "format": FORMAT,
            "class_names": class_names,
            "shape": shape,
            "std": constant,
            "num_rows": len(labels),
            "shard_rows": shard_rows,
            "num_shards": len(digests),
            "digest": _digest(about, digests, of_labels, attributes or {}),
            "about": about,
            "shards": digests,
            "labels": of_labels,
        }
        | ({"attributes": attributes} if attributes else {})
        | ({} if features is None else {"features": features})
        | ({"sources": sources} if sources else {})
    )
    write_json(folder / "latents.json", record)
