"""`LatentStore`: the moments of an image set, written once, memory-mapped afterwards.

Stored are mean (and, where it differs from cell to cell, standard deviation) as fp16, so that the posterior is drawn
anew in each training step, as if the codec ran in the loop (method 1.1).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from roadstill.codecs import Codec, from_pixels
from roadstill.codecs.shards import FORMAT, LABELS, REMEDY, LatentsRecord, shard_name, write_latents
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.imagesets.attributes import UNKNOWN, Vocabulary, codes_of
from roadstill.imagesets.sources import sources_of
from roadstill.learning.loops import evenly
from roadstill.runs import (
    atomic_path,
    digest_file,
    digest_of,
    folder_name,
    holding,
    read_record,
    require_folder,
    require_own,
)
from roadstill.runs.progress import counter, track
from roadstill.weights.tensors import is_finite, open_tensors, require_digest, require_shapes


class Features(Protocol):
    """Features of pictures in another network.

    Attributes:
        digest: digest of that network.
    """

    digest: str

    def of(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Features ``[b, c, h, w]`` of pictures ``[b, s, s, 3]``."""
        ...


SHARD_BYTES = 64 * 2**20
Encoded: TypeAlias = tuple[dict[str, Tensor], float | None]
"""A shard's tensors, and the standard deviation where it is the same for all cells."""
Spread: TypeAlias = Callable[[Sequence[NDArray[np.int64]], int], Iterator[Encoded]]
"""Encodes shards elsewhere, in order, from the rows of each and the number of pictures a pass."""


@dataclass(frozen=True)
class LatentStore:
    """Latents on disk; row ``i`` belongs to image ``i`` of the image set.

    Attributes:
        root: folder of the shards.
        labels: int64 ``[n]``.
        class_names: one name per label.
        shape: channels, height, width of one latent.
        std: the posterior's standard deviation if it is one number, else ``None`` (then it stands in the shards).
        shard_rows: rows in every shard but the last.
        num_shards: number of shards.
        digest: depends on image set, codec and every shard's bytes.
        about: digests of image set and codec, size of the pictures.
        shards: digest of each shard; None if an older version wrote them, which recorded one for all.
        attributes: values of the attributes that were kept, by name.
        codes: place of each row's value among those of each attribute, -1 where it has none, int64 ``[n, a]``; columns
            are the attributes by name.
        features: channels, height and width of the features of another network that are kept, if they are.
        sources: names of what the pictures stem from, see `roadstill.imagesets.sources`.
    """

    root: Path
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    std: float | None
    shard_rows: int
    num_shards: int
    digest: str
    about: dict[str, Any] = field(default_factory=dict)
    shards: tuple[str, ...] | None = None
    attributes: Vocabulary = field(default_factory=dict)
    codes: NDArray[np.int64] | None = None
    features: tuple[int, int, int] | None = None
    sources: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def draw(self, indices: Sequence[int] | NDArray[np.int64], generator: torch.Generator | None = None) -> Tensor:
        """One draw of the posterior of each named row, float32 ``[len(indices), c, h, w]``.

        Raises:
            UserError: a row that is not there.
        """
        mean = self.moment("mean", indices)
        if self.std == 0:
            return mean
        std = self.std if self.std is not None else self.moment("std", indices)
        return mean + std * torch.randn(mean.shape, generator=generator)

    def moment(self, name: str, indices: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """The stored ``mean`` or ``std`` of the named rows, float32 ``[len(indices), c, h, w]``.

        Raises:
            UserError: a row that is not there, or a shard that is damaged.
        """
        return self._rows(name, indices, self.shape)

    def kept_features(self, indices: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """The kept features of the named rows, float32 ``[len(indices), c, h, w]``.

        Raises:
            UserError: as `moment`, or no features.
        """
        if self.features is None:
            raise UserError(f"{self.root} holds no features; encode the set with --align")
        return self._rows("features", indices, self.features)

    def _rows(self, name: str, indices: Sequence[int] | NDArray[np.int64], shape: tuple[int, int, int]) -> Tensor:
        out = torch.empty((len(indices), *shape))
        for row, index in enumerate(indices):
            if not 0 <= index < len(self):
                raise UserError(f"{self.root}: row {index} is not in 0..{len(self) - 1}")
            shard, at = divmod(int(index), self.shard_rows)
            out[row] = self._shard(shard)[name][at]
        return out

    @cached_property
    def members(self) -> list[NDArray[np.int64]]:
        """The rows of each class that has any, in the order of the labels."""
        return [np.flatnonzero(self.labels == label) for label in np.unique(self.labels)]

    def as_one_class(self, name: str) -> "LatentStore":
        """The same latents without their labels: all are of one class."""
        folder_name(name, "class name")
        return replace(self, class_names=(name,), labels=np.zeros_like(self.labels))

    def class_mean(self, limit: int = 1024) -> Tensor:
        """Mean latent of each class, float32 ``[k, c, h, w]``, over at most ``limit`` evenly spread rows of it."""
        means = torch.zeros(len(self.class_names), *self.shape)
        for rows in self.members:
            means[self.labels[rows[0]]] = self.moment("mean", evenly(rows, limit)).mean(0)
        return means

    def _shard(self, number: int) -> dict[str, Tensor]:
        """A shard's tensors, views of a memory-mapped file: pages come in when touched and can go again."""
        if number not in self._maps:
            path = self.root / shard_name(number)
            if self.shards is not None:
                require_digest(path, self.shards[number])
            elif not self._maps:
                self._check_all()
            file = open_tensors(path, "latents")
            require_shapes(file.shapes, self._shapes(number), path, REMEDY)
            checked = file.tensors()
            if "std" in checked and float(checked["std"].min()) < 0:
                raise UserError(f"{path} holds a negative deviation; {REMEDY}")
            self._maps[number] = file.unchecked()
        return self._maps[number]

    def _shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        rows = min(self.shard_rows, len(self) - number * self.shard_rows)
        moments, shape = ("mean",) if self.std is not None else ("mean", "std"), (rows, *self.shape)
        found: dict[str, tuple[int, ...]] = dict.fromkeys(moments, shape)
        return found | ({} if self.features is None else {"features": (rows, *self.features)})

    @cached_property
    def _maps(self) -> dict[int, dict[str, Tensor]]:
        return {}

    def _check_all(self) -> None:
        """Checks the files of an older version, which recorded one digest for all of them."""
        found = [digest_file(self.root / shard_name(number)) for number in range(self.num_shards)]
        if digest_of([self.about, found, digest_file(self.root / LABELS)]) != self.digest:
            raise UserError(f"{self.root} is damaged: its files are not those that latents.json tells of; {REMEDY}")


@holding()
def encode_imageset(
    images: ImageSet,
    codec: Codec,
    out: Path,
    *,
    batch_size: int = 32,
    shard_bytes: int = SHARD_BYTES,
    attributes: Sequence[str] = (),
    align: "Features | None" = None,
    spread: Spread | None = None,
) -> LatentStore:
    """Encodes all pictures, one batch in memory at a time (and one shard of latents), and opens the result.

    Args:
        images: prepared pictures.
        codec: turns them into latents.
        out: folder that is written, atomically.
        batch_size: pictures per pass.
        shard_bytes: rough size of a shard.
        attributes: columns of the set that are kept beside the labels, as light and weather, for a generator to learn.
        align: features of another network that are kept, for a generator to be aligned with.
        spread: what encodes the shards elsewhere, see `roadstill.data.on_ray`; this process does it if not given.

    Raises:
        UserError: a column that cannot be an attribute, or a latent that is not finite.
    """
    require_own(out, "latents.json")
    vocabulary, codes = codes_of(images, attributes)
    shape = codec.latent_shape(images.size_px)
    shard_rows = max(1, shard_bytes // (2 * int(np.prod(shape))))

    parts = [np.arange(start, min(start + shard_rows, len(images))) for start in range(0, len(images), shard_rows)]

    def shards() -> Iterator[Encoded]:
        if spread is not None:
            yield from track(spread(parts, batch_size), "shards", total=len(parts))
            return
        count = counter("pictures")
        for rows in parts:
            yield encode_rows(images, rows, codec, shape, batch_size, align, lambda done: count(done, len(images)))

    about = {"images": images.digest, "codec": codec.digest, "size_px": images.size_px}
    if align is not None:
        about["features"] = align.digest
    with atomic_path(out) as folder:
        write_latents(
            folder,
            shards(),
            images.labels,
            class_names=images.class_names,
            shard_rows=shard_rows,
            about=about,
            attributes=vocabulary,
            codes=codes,
            sources=sources_of(images.about),
        )
    return open_latents(out)


@torch.no_grad()
def encode_rows(
    images: ImageSet,
    rows: NDArray[np.int64],
    codec: Codec,
    shape: tuple[int, int, int],
    batch_size: int,
    align: "Features | None",
    encoded: Callable[[int], None] | None = None,
) -> Encoded:
    """Encodes the pictures of one shard; ``encoded`` is told how many of the set are done.

    Raises:
        UserError: a latent that is not finite.
    """
    tensors = {"mean": torch.empty((len(rows), *shape), dtype=torch.float16)}
    constant: float | None = None
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        pixels = images.pixels(chosen)
        moments = codec.encode(from_pixels(torch.from_numpy(pixels)).to(codec.device))
        part = slice(start, start + len(chosen))
        tensors["mean"][part] = moments.mean.to("cpu", torch.float16)
        if moments.std.numel() == 1:
            constant = float(moments.std)
        else:
            tensors.setdefault("std", torch.empty_like(tensors["mean"]))[part] = moments.std.to("cpu", torch.float16)
        if align is not None:
            found = align.of(pixels).to("cpu", torch.float16)
            tensors.setdefault("features", torch.empty((len(rows), *found.shape[1:]), dtype=torch.float16))[part] = (
                found
            )
        if encoded is not None:
            encoded(int(chosen[-1]) + 1)
        if not all(is_finite(tensor[part]) for tensor in tensors.values()):
            wrong = next(at for at in range(len(rows)) if not all(is_finite(each[at]) for each in tensors.values()))
            raise UserError(
                f"{images.root / images.files[int(rows[wrong])]}: its latent is not finite, or beyond half precision; "
                "take another codec"
            )
    return tensors, constant


def open_latents(path: Path | str) -> LatentStore:
    """Opens a latent store.

    Raises:
        UserError: missing, foreign or damaged files, or labels that the class names do not cover. Of the shards only
            the names are looked at; each is checked when it is first read.
    """
    root = require_folder(Path(path), "latents (a folder with latents.json, made by encode)")
    record = read_record(root / "latents.json", LatentsRecord, REMEDY, format=FORMAT)
    rows, shards, names = record.num_rows, record.num_shards, record.class_names
    file = open_tensors(root / LABELS, "the labels of the latents")
    if record.labels is not None:
        require_digest(file.path, record.labels)
    vocabulary = record.attributes
    wanted = {"labels": (rows,)} | ({"attributes": (rows, len(vocabulary))} if vocabulary else {})
    require_shapes(file.shapes, wanted, file.path, REMEDY)
    tensors = file.tensors()
    stored, codes = tensors["labels"], tensors.get("attributes")
    if stored.dtype != torch.int64 or int(stored.min()) < 0 or int(stored.max()) >= len(names):
        raise UserError(f"{file.path}: labels are not 0 to {len(names) - 1}, as latents.json has it; {REMEDY}")
    labels = stored.numpy().copy()
    if codes is not None:
        most = torch.tensor([len(vocabulary[name]) for name in sorted(vocabulary)])
        if codes.dtype != torch.int64 or int(codes.min()) < UNKNOWN or bool((codes >= most).any()):
            raise UserError(f"{file.path}: attributes lie beyond the values in latents.json; {REMEDY}")
    missing = [shard_name(number) for number in range(shards) if not (root / shard_name(number)).is_file()]
    if missing:
        raise UserError(f"{root}: {len(missing)} of {shards} shards are missing, first {missing[0]}; encode again")
    return LatentStore(
        root=root,
        labels=labels,
        class_names=names,
        shape=record.shape,
        std=record.std,
        shard_rows=record.shard_rows,
        num_shards=shards,
        digest=record.digest,
        about=record.about,
        shards=record.shards,
        attributes=vocabulary,
        codes=None if codes is None else codes.numpy().copy(),
        features=record.features,
        sources=record.sources,
    )
