"""Seeds and digests: numbers that depend on what they are given, and on no machine."""

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

from roadstill.runs.settings import plain


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
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()[:16] if hasattr(hashlib, "file_digest") else _digest(file)
        )


def _digest(file: Any) -> str:  # Python 3.10 has no hashlib.file_digest
    sha = hashlib.sha256()
    while block := file.read(1 << 20):
        sha.update(block)
    return sha.hexdigest()[:16]


def digest_code(code: Any) -> str:
    """Digest of the file that a function's or class's code stands in, so that mended code makes new work."""
    try:
        path = inspect.getsourcefile(code)
    except TypeError:  # compiled code
        path = None
    return digest_file(Path(path)) if path and Path(path).is_file() else "unknown"
