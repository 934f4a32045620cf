"""What a criterion remembers: the last vectors of every class, first in, first out."""

from typing import Any

import torch
from torch import Tensor, distributed, nn

from roadstill.errors import UserError


def _of_all(own: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks."""
    parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, own.contiguous())
    return torch.cat(parts)


class ClassMemory(nn.Module):
    """A ring of the newest ``size`` vectors per class, kept in buffers, so that a checkpoint resumes it exactly.

    It grows to the classes and the width it receives. Under several processes it is local, as in the reference: each
    process remembers its own share. If ``gathered``, every process remembers what one process with the whole batch
    would; all must then push equally many vectors.
    """

    items: Tensor  # [k, m, d]
    pushed: Tensor  # [k]: how many vectors each class has ever received

    def __init__(self, size: int = 64, gathered: bool = False) -> None:
        super().__init__()
        if size < 1:
            raise UserError(f"memory_size is {size}; a memory holds at least 1 entry per class")
        self.size, self.gathered = size, gathered
        self.register_buffer("items", torch.zeros(0, size, 0))
        self.register_buffer("pushed", torch.zeros(0, dtype=torch.int64))

    @property
    def filled(self) -> Tensor:
        """Number of vectors held per class, ``[k]``."""
        return self.pushed.clamp(max=self.size)

    def entries(self, label: int) -> Tensor:
        """The vectors of one class, oldest first, ``[n, d]``."""
        if label >= len(self.pushed):
            return self.items.new_zeros(0, self.items.shape[2])
        count, held = int(self.pushed[label]), int(self.filled[label])
        order = torch.arange(count - held, count, device=self.items.device) % self.size
        return self.items[label, order]

    def similarity(self, vectors: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines of each vector ``[b, d]`` with its own class's memory ``[b, m]``, and which of them are held."""
        self._grow(label, vectors)
        held = torch.arange(self.size, device=vectors.device) < self.filled[label, None]
        classes, place = label.unique(return_inverse=True)
        known = nn.functional.normalize(self.items[classes], dim=-1)
        every = nn.functional.normalize(vectors, dim=-1) @ known.flatten(0, 1).T
        own = every.view(len(vectors), len(classes), self.size)[torch.arange(len(vectors), device=label.device), place]
        return own, held

    @torch.no_grad()
    def push(self, vectors: Tensor, label: Tensor) -> None:
        """Takes one entry per vector ``[b, d]`` in batch order; the oldest of a full class make room."""
        if self.gathered and distributed.is_available() and distributed.is_initialized():
            vectors, label = _of_all(vectors.detach()), _of_all(label)
        self._grow(label, vectors)
        member = nn.functional.one_hot(label, len(self.pushed))
        new = member.sum(0)
        rank = member.cumsum(0).gather(1, label[:, None])[:, 0] - 1
        # Of more newcomers than the ring holds only the last ones stay; writing all would race for the same slots.
        stays = rank >= (new - self.size)[label]
        slot = (self.pushed[label] + rank) % self.size
        self.items[label[stays], slot[stays]] = vectors.detach()[stays].to(self.items.dtype)
        self.pushed += new

    def _grow(self, label: Tensor, vectors: Tensor) -> None:
        classes, width = len(self.pushed), self.items.shape[2]
        if width not in (0, vectors.shape[1]):
            raise UserError(f"the memory holds vectors of {width} numbers, the batch has {vectors.shape[1]}; "
                            "use one latent size in one training")  # fmt: skip
        if self.items.device != vectors.device:
            self.to(vectors.device)
        missing = int(label.max()) + 1 - classes
        if missing > 0:
            added = self.items.new_zeros(missing, self.size, vectors.shape[1])
            self.items = torch.cat([self.items, added]) if classes else added
            self.pushed = torch.cat([self.pushed, self.pushed.new_zeros(missing)])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # A memory that is still empty takes the shape of the stored one.
        items, pushed = state_dict.get(prefix + "items"), state_dict.get(prefix + "pushed")
        if items is not None and pushed is not None and items.shape[1] == self.size:
            self.items = self.items.new_zeros(items.shape)
            self.pushed = self.pushed.new_zeros(pushed.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)
