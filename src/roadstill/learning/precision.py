"""Half precision where the machine supports it, single precision elsewhere."""

import logging
from functools import lru_cache
from multiprocessing import parent_process

import torch

_log = logging.getLogger(__name__)


@lru_cache(maxsize=8)
def has_bfloat16(kind: str) -> bool:
    """Whether a kind of device (``cpu``, ``cuda``, ``mps``) has instructions for bfloat16.

    Processors without them run plain loops instead: with AVX2 alone, matrix products became 300 times slower.
    """
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if kind == "cpu":
        return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return True


def in_bfloat16(kind: str, wanted: bool) -> bool:
    """Whether to compute in bfloat16 on this kind of device; warns once if it was requested but is unsupported."""
    if wanted and not has_bfloat16(kind):
        _warn(kind)
        return False
    return wanted


@lru_cache(maxsize=8)
def _warn(kind: str) -> None:
    if parent_process() is None:  # every worker would repeat it
        _log.warning("bf16 computes in single precision here: this %s has no instructions for bfloat16", kind)
