"""Inputs of the trained part of an agent: pictures, or the kept output of the frozen part."""

from collections import OrderedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from roadstill.agents.staged import StagedNetwork
from roadstill.agents.status import status_of
from roadstill.imagesets import ImageSet
from roadstill.runs.progress import track

_CHUNK = 64


class FeatureCache:
    """Inputs of whole image sets, kept in memory: one pass through a frozen trunk serves all seeds and arms.

    Args:
        limit_bytes: most memory to use; the least recently used goes first, and a larger set is never kept.
    """

    def __init__(self, limit_bytes: int = 2**30) -> None:
        self.limit_bytes = limit_bytes
        self._kept: OrderedDict[tuple[str, ...], Tensor] = OrderedDict()

    @property
    def num_bytes(self) -> int:
        """Memory in use."""
        return sum(value.nbytes for value in self._kept.values())

    def find(self, key: tuple[str, ...]) -> Tensor | None:
        """The tensor kept under the key, if any."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: tuple[str, ...], value: Tensor) -> None:
        """Keeps a tensor and drops older ones above the limit."""
        self._kept[key] = value
        while self.num_bytes > self.limit_bytes:
            self._kept.popitem(last=False)


class Inputs:
    """Rows for `StagedNetwork.tail`, by image index.

    Pictures (nothing frozen) or trunk features are computed once and held if they fit ``cache.limit_bytes``; a larger
    set is decoded batch by batch, with the same values and flat memory.
    """

    def __init__(self, images: ImageSet, network: StagedNetwork, image_px: int | None, cache: FeatureCache) -> None:
        self.images, self.network, self.image_px = images, network, image_px
        key = (images.digest, network.trunk_digest(), str(image_px))
        held = cache.find(key)
        if held is None and len(images):
            row = self._rows(np.arange(1))
            if row.nbytes * len(images) <= cache.limit_bytes:
                held = torch.empty((len(images), *row.shape[1:]), dtype=row.dtype)
                for start in track(range(0, len(images), _CHUNK), "batches of pictures"):
                    indices = np.arange(start, min(start + _CHUNK, len(images)))
                    held[indices[0] : indices[0] + len(indices)] = self._rows(indices)
                cache.keep(key, held)
        self._held = held
        self._status = None if network.status is None else torch.from_numpy(status_of(images))

    @torch.no_grad()
    def _rows(self, indices: NDArray[np.int64]) -> Tensor:
        """Pictures as they are (uint8 or a distilled set's floats), or trunk features: ``[n, h, w, c]``, ``[n, c]``."""
        pictures = self.pictures(indices)
        if not self.network.frozen:
            return pictures
        device = self.network.head.weight.device
        features = self.network.trunk(prepare_pixels(self.network, pictures.to(device), self.image_px)).cpu()
        return features.permute(0, 2, 3, 1).contiguous() if features.ndim == 4 else features

    def pictures(self, indices: NDArray[np.int64] | None = None) -> Tensor:
        """Pictures as they are, all if no indices are given: uint8, or a distilled set's floats, ``[n, s, s, 3]``."""
        values, rows = self.images.values, np.arange(len(self.images)) if indices is None else indices
        if values is None:
            return torch.from_numpy(self.images.pixels(rows))
        return values.pictures(rows).permute(0, 2, 3, 1).contiguous()

    def __len__(self) -> int:
        return len(self.images)

    def status(self, indices: NDArray[np.int64]) -> Tensor | None:
        """The vehicle's own status for the tail, ``[b, width]``, on the network's device; None if it is no input."""
        if self._status is None:
            return None
        return self._status[torch.from_numpy(indices)].to(self.network.head.weight.device)

    def batch(self, indices: NDArray[np.int64]) -> Tensor:
        """Rows ready for the tail, on the network's device."""
        rows = self._rows(indices) if self._held is None else self._held[torch.from_numpy(indices)]
        rows = rows.to(self.network.head.weight.device)
        if not self.network.frozen:
            return prepare_pixels(self.network, rows, self.image_px)
        return rows.permute(0, 3, 1, 2) if rows.ndim == 4 else rows


def prepare_pixels(network: StagedNetwork, pixels: Tensor, image_px: int | None) -> Tensor:
    """Pictures at the agent's size (bilinear, antialiased), normalised for its network.

    Args:
        network: network with mean and standard deviation of its pictures.
        pixels: pictures, uint8 or float ``[n, s, s, 3]``, or float ``[n, 3, s, s]``; floats are 0 to 1, or beyond.
        image_px: side of the result; unchanged if not given.
    """
    if pixels.dtype != torch.uint8 and pixels.shape[1] != 3:
        pixels = pixels.permute(0, 3, 1, 2)
    if image_px is None or pixels.shape[2] == image_px:
        return network.prepare(pixels)
    floats = pixels.permute(0, 3, 1, 2).float() / 255 if pixels.dtype == torch.uint8 else pixels
    return network.prepare(F.interpolate(floats, (image_px, image_px), mode="bilinear", antialias=True))
