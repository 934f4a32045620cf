"""Tensors on disk: safetensors files, read within bounds; damage and numbers that are not finite are refused.

The header is read first: names and shapes, so that a reader refuses what does not fit before a tensor is read.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from roadstill.errors import UserError, one_line
from roadstill.runs import atomic_path, digest_file, parse_json, plain, with_seal, without_seal
from roadstill.runs.kinds import file_not_wanted

METADATA = "roadstill"
MOST_HEADER_BYTES = 2**24
"""A header of 100,000 tensors has 10 MB; those of the largest published models have 2."""
_DIGEST = "tensors"  # in the metadata, digest of what `write_tensors` sealed

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Shapes of tensors by name."""


@dataclass(frozen=True)
class TensorFile:
    """A safetensors file of which the header was read.

    Attributes:
        path: file.
        shapes: shape of each tensor.
        about: metadata as `write_tensors` got it; of another program's file its entries, as JSON where they are some.
        is_own: whether `write_tensors` wrote it.
    """

    path: Path
    shapes: Shapes
    about: Mapping[str, Any]
    is_own: bool

    def tensors(self) -> dict[str, Tensor]:
        """All tensors, as views of the memory-mapped file.

        Raises:
            UserError: numbers that are not finite, or other tensors than those that were sealed.
        """
        found = self.unchecked()
        require_intact(found, self.path)
        if self.is_own and self.about.get(_DIGEST) not in (None, digest_tensors(found)):
            raise UserError(f"{self.path} is damaged: its tensors are not those that were written; make it again")
        return found

    def unchecked(self) -> dict[str, Tensor]:
        """The same, for a file that was checked: no byte of it is in memory until it is used."""
        with safe_open(self.path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in self.shapes}


def open_tensors(path: Path, what: str) -> TensorFile:
    """Reads the header of a safetensors file.

    Raises:
        UserError: a missing file, another kind of file, or a header of more than 16 MiB; the message states ``what``
            the file should be.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; it should be {what}")
    if told := file_not_wanted(path, "a safetensors file"):
        raise UserError(f"{path} cannot be read as safetensors: {told}; it should be {what}")
    try:
        with path.open("rb") as raw:
            size = int.from_bytes(raw.read(8), "little")
        if MOST_HEADER_BYTES < size < path.stat().st_size:
            raise UserError(
                f"{path}: its header has {size:,} bytes, more than {MOST_HEADER_BYTES:,}; it should be {what}"
            )
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
            texts = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read as safetensors ({error}); it should be {what}") from None
    if METADATA not in texts:
        return TensorFile(path, shapes, {key: _from_json(text) for key, text in texts.items()}, is_own=False)
    about = without_seal(parse_json(texts[METADATA], f"{path}, metadata"), f"{path}, metadata")
    if not isinstance(about, dict):
        raise UserError(f"{path}: its metadata is no record; it should be {what}")
    return TensorFile(path, shapes, about, is_own=True)


def read_tensors(path: Path, what: str) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Tensors and metadata of a safetensors file; errors as `open_tensors` and `TensorFile.tensors`."""
    file = open_tensors(path, what)
    return file.tensors(), file.about


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any] | None = None, *, sealed: bool = False
) -> None:
    """Writes a safetensors file atomically.

    Args:
        path: file.
        tensors: tensors by name.
        metadata: facts that become JSON.
        sealed: whether the digest of the tensors is written with them, for files that no record beside them describes.
    """
    # Shared storages and views are copied: safetensors refuses them.
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    about = dict(metadata or {}) | ({_DIGEST: digest_tensors(owned)} if sealed else {})
    # One entry: safetensors writes several in random order, and equal content should give equal bytes.
    texts = {METADATA: json.dumps(with_seal(plain(about)), sort_keys=True)}
    with atomic_path(path) as temporary:
        save_file(owned, temporary, texts)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (first 16 hex digits) of names, types, shapes and bytes."""
    sha = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()[:16]


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are finite; needs no second tensor, and a quarter of the time of ``isfinite``."""
    if not tensor.numel() or not tensor.is_floating_point():
        return True
    if tensor.element_size() == 1:  # the 8-bit types know few operations
        tensor = tensor.float()
    low, high = tensor.detach().aminmax()  # a NaN is the result of both
    return bool(low.isfinite() & high.isfinite())


def require_intact(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuses weights that are not finite, are not stored number by number, or claim more than their file holds.

    Raises:
        UserError: names file and tensor.
    """
    for name, tensor in tensors.items():
        is_plain = tensor.layout == torch.strided and not (tensor.is_quantized or tensor.is_complex() or tensor.is_meta)
        if not is_plain:
            raise UserError(f"{path}: {_shown(name)} is no plain tensor of numbers; save it as one")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise UserError(f"{path}: {_shown(name)} claims more numbers than the file holds; fetch it again")
        if not is_finite(tensor):
            raise UserError(
                f"{path}: {_shown(name)} holds numbers that are not finite; the file is damaged; fetch or make it again"
            )


def require_digest(path: Path, digest: str | None, remedy: str = "make it again, or copy it again") -> str:
    """The digest of a file's bytes, which must be the one that a record beside it tells, if it tells one.

    Raises:
        UserError: a missing file, or another digest.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; {remedy}")
    found = digest_file(path)
    if digest not in (None, found):
        raise UserError(f"{path} is damaged, or of another training: its digest is {found}, not {digest}; {remedy}")
    return found


_SETTINGS = "load it with the settings that it was made with"


def require_names(found: Iterable[str], wanted: Iterable[str], path: Path, remedy: str = _SETTINGS) -> None:
    """Checks for strict loading that every wanted tensor was found, and no other.

    Raises:
        UserError: some are missing or unexpected; the message lists up to five of each.
    """
    missing, unexpected = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or unexpected:
        raise UserError(
            f"{path} does not hold the wanted tensors: {len(missing)} missing {_few(missing)}, "
            f"{len(unexpected)} unexpected {_few(unexpected)}; {remedy}"
        )


def require_shapes(found: Shapes, wanted: Shapes, path: Path, remedy: str = _SETTINGS) -> None:
    """Checks for strict loading that names and shapes of the tensors are those that are wanted.

    Raises:
        UserError: as `require_names`, or a shape that differs.
    """
    require_names(found, wanted, path, remedy)
    for name, shape in wanted.items():
        if tuple(found[name]) != tuple(shape):
            raise UserError(
                f"{path}: {_shown(name)} has the shape {_sides(found[name])}, not {_sides(shape)}; {remedy}"
            )


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shapes of tensors by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _sides(shape: Iterable[int]) -> str:
    return " x ".join(str(side) for side in shape) or "of one number"


def _shown(name: str) -> str:
    return one_line(name[:100])


def _few(names: list[str]) -> str:
    return f"[{', '.join(_shown(name) for name in names[:5])}]"


def _from_json(text: str) -> Any:
    try:
        return parse_json(text, "metadata")
    except UserError:
        return text  # metadata of other programs may be plain text
