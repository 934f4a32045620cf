"""What a teacher, an agent trained on the train part, does for a generator: it shows where a class lies."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from roadstill.codecs import Codec
from roadstill.denoisers.base import Guide
from roadstill.errors import UserError
from roadstill.weights.tensors import is_finite


class Teacher(Protocol):
    """A classifier that can be differentiated with respect to its pictures, such as an `Agent`.

    Attributes:
        class_names: one per logit.
        digest: names it in records.
    """

    @property
    def class_names(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def digest(self) -> str: ...  # noqa: D102

    def logits(self, pictures: Tensor) -> Tensor:
        """Logits ``[n, k]`` of pictures ``[n, 3, s, s]`` in [0, 1]."""
        ...


def towards(teacher: Teacher, codec: Codec, labels: Tensor) -> Guide:
    """Leads latents to where the teacher sees their labels.

    The direction is the negative gradient of the teacher's cross-entropy, through the codec's decoder and with respect
    to the clean estimate: classifier guidance (Dhariwal and Nichol 2021) with a classifier that needs no noisy training
    (Bansal et al. 2023, universal guidance).

    Args:
        teacher: judges the decoded pictures.
        codec: codec of the latents.
        labels: wanted classes ``[b]``.

    Raises:
        UserError: by the guide, when the gradient is not finite.
    """

    def guide(clean: Tensor) -> Tensor:
        with torch.enable_grad():
            latents = clean.detach().requires_grad_(True)
            pictures = (codec.decode(latents) + 1) / 2
            loss = F.cross_entropy(teacher.logits(pictures), labels.to(clean.device), reduction="sum")
            (gradient,) = torch.autograd.grad(loss, latents)
        if not is_finite(gradient):
            raise UserError(
                "the teacher's loss on the pictures has a gradient that is not finite; lower teacher.guidance, or "
                "train the teacher again"
            )
        size = gradient.square().flatten(1).mean(1).sqrt().clamp_min(torch.finfo(gradient.dtype).tiny)
        return -gradient / size.reshape(-1, 1, 1, 1)

    return guide
