"""`LatentStore`: the moments of an image set, written once, memory-mapped afterwards.

Stored are mean (and, where it differs from cell to cell, standard deviation) as fp16, so that the posterior is drawn
anew in each training step, as if the codec ran in the loop (method 1.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from roadstill.codecs import Codec, from_pixels
from roadstill.errors import UserError
from roadstill.imagesets import ImageSet
from roadstill.learning.loops import evenly, read_tensors, write_tensors
from roadstill.runs import (
    Count,
    Digest,
    Pixels,
    WithClasses,
    atomic_path,
    digest_file,
    digest_of,
    holding,
    read_record,
    require_folder,
    require_own,
    write_json,
)

FORMAT = "roadstill-latents-1"
SHARD_BYTES = 64 * 2**20


class _LatentsRecord(WithClasses, kw_only=True, frozen=True):
    """``latents.json``."""

    shape: tuple[Pixels, Pixels, Pixels]
    std: float | None
    num_rows: Count
    shard_rows: Count
    num_shards: Count
    digest: Digest
    about: dict[str, Any]


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
        """The stored ``mean`` or ``std`` of the named rows, float32 ``[len(indices), c, h, w]``."""
        out = torch.empty((len(indices), *self.shape))
        for row, index in enumerate(indices):
            if not 0 <= index < len(self):
                raise UserError(f"{self.root}: row {index} is not in 0..{len(self) - 1}")
            shard, at = divmod(int(index), self.shard_rows)
            out[row] = self._maps[shard][name][at]
        return out

    @cached_property
    def members(self) -> list[NDArray[np.int64]]:
        """The rows of each class that has any, in the order of the labels."""
        return [np.flatnonzero(self.labels == label) for label in np.unique(self.labels)]

    def class_mean(self, limit: int = 1024) -> Tensor:
        """Mean latent of each class, float32 ``[k, c, h, w]``, over at most ``limit`` evenly spread rows of it."""
        means = torch.zeros(len(self.class_names), *self.shape)
        for rows in self.members:
            means[self.labels[rows[0]]] = self.moment("mean", evenly(rows, limit)).mean(0)
        return means

    @cached_property
    def _maps(self) -> list[dict[str, Tensor]]:
        # The tensors are views of memory-mapped files: pages come in when touched and can go again.
        return [_map_shard(self.root / _shard_name(number), self.shape) for number in range(self.num_shards)]


def _shard_name(number: int) -> str:
    return f"moments-{number:05d}.safetensors"


def _map_shard(path: Path, shape: tuple[int, int, int]) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}); encode the set again") from None
    if "mean" not in tensors or any(tuple(tensor.shape[1:]) != shape for tensor in tensors.values()):
        raise UserError(f"{path} holds no latents of shape {shape}; encode the set again")
    return tensors


@holding()
def encode_imageset(
    images: ImageSet, codec: Codec, out: Path, *, batch_size: int = 32, shard_bytes: int = SHARD_BYTES
) -> LatentStore:
    """Encodes all pictures, one batch in memory at a time (and one shard of latents), and opens the result.

    Args:
        images: prepared pictures.
        codec: turns them into latents.
        out: folder that is written, atomically.
        batch_size: pictures per pass.
        shard_bytes: rough size of a shard.
    """
    require_own(out, "latents.json")
    shape = codec.latent_shape(images.size_px)
    shard_rows = max(1, shard_bytes // (2 * int(np.prod(shape))))
    device = codec.device
    digests: list[str] = []
    constant: float | None = None
    with atomic_path(out) as folder:
        folder.mkdir(parents=True)
        for start in range(0, len(images), shard_rows):
            rows = np.arange(start, min(start + shard_rows, len(images)))
            tensors, constant = _encode_rows(images, rows, codec, shape, batch_size, device)
            path = folder / _shard_name(len(digests))
            write_tensors(path, tensors)
            digests.append(digest_file(path))
        write_tensors(folder / "labels.safetensors", {"labels": torch.from_numpy(images.labels.copy())})
        about = {"images": images.digest, "codec": codec.digest, "size_px": images.size_px}
        record = {
            "format": FORMAT,
            "class_names": images.class_names,
            "shape": shape,
            "std": constant,
            "num_rows": len(images),
            "shard_rows": shard_rows,
            "num_shards": len(digests),
            "digest": digest_of([about, digests, digest_file(folder / "labels.safetensors")]),
            "about": about,
        }
        write_json(folder / "latents.json", record)
    return open_latents(out)


@torch.no_grad()
def _encode_rows(
    images: ImageSet,
    rows: NDArray[np.int64],
    codec: Codec,
    shape: tuple[int, int, int],
    batch_size: int,
    device: torch.device,
) -> tuple[dict[str, Tensor], float | None]:
    """One shard's tensors, and the standard deviation where it is the same for all cells."""
    tensors = {"mean": torch.empty((len(rows), *shape), dtype=torch.float16)}
    constant: float | None = None
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        moments = codec.encode(from_pixels(torch.from_numpy(images.pixels(chosen))).to(device))
        part = slice(start, start + len(chosen))
        tensors["mean"][part] = moments.mean.to("cpu", torch.float16)
        if moments.std.numel() == 1:
            constant = float(moments.std)
        else:
            tensors.setdefault("std", torch.empty_like(tensors["mean"]))[part] = moments.std.to("cpu", torch.float16)
    return tensors, constant


def open_latents(path: Path | str) -> LatentStore:
    """Opens a latent store.

    Raises:
        UserError: missing, foreign or damaged files, or labels that the class names do not cover.
    """
    root = require_folder(Path(path), "latents (a folder with latents.json, made by encode)")
    record = read_record(root / "latents.json", _LatentsRecord, "encode the set again", format=FORMAT)
    tensors, _ = read_tensors(root / "labels.safetensors", "the labels of the latents")
    labels = tensors["labels"].numpy().copy()
    rows, shards, names = record.num_rows, record.num_shards, record.class_names
    if len(labels) != rows or shards * record.shard_rows < rows or (labels >= len(names)).any() or (labels < 0).any():
        raise UserError(f"{root}: labels, shards and latents.json disagree; encode the set again")
    missing = [_shard_name(number) for number in range(shards) if not (root / _shard_name(number)).is_file()]
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
    )
