"""Seeds and digests: numbers that depend on what they are given, and on no machine."""

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from roadstill.runs.settings import plain

T = TypeVar("T")
_BLOCK_BYTES = 2**23


def seed_of(*parts: object) -> int:
    """A 63-bit seed that depends on every part (numbers, strings), on no machine and on no call order.

    >>> seed_of("generate", 0, 1) != seed_of("generate", 1, 0)
    True
    """
    text = json.dumps([str(part) for part in parts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def digest_of(value: Any) -> str:
    """SHA-256 (first 16 hex digits) of a plain value; equal for equal content."""
    return hashlib.sha256(json.dumps(plain(value), sort_keys=True).encode()).hexdigest()[:16]


def digest_file(path: Path) -> str:
    """SHA-256 (first 16 hex digits) of a file's bytes, read in blocks."""
    return sha256_file(path)[:16]


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes in full, as other programs tell it, read in blocks."""
    sha = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        # Large blocks: beside other Python code, each costs a wait for its turn.
        block = memoryview(bytearray(min(_BLOCK_BYTES, os.fstat(file.fileno()).st_size + 1)))
        while count := file.readinto(block):
            sha.update(block[:count])
    return sha.hexdigest()


@contextmanager
def beside(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Does a work in a thread beside the block, as the digest of a file while its network is built.

    Args:
        work: function that mostly waits or hashes: other Python code would take turns with the block's.

    Yields:
        A function that waits for the work and returns its result, or raises what it raised.
    """
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work).result


def digest_code(code: Any) -> str:
    """Digest of the file that a function's or class's code stands in, so that mended code makes new work."""
    try:
        path = inspect.getsourcefile(code)
    except TypeError:  # compiled code
        path = None
    return digest_file(Path(path)) if path and Path(path).is_file() else "unknown"
