"""Signatures of manifests in minisign's format (Ed25519 over BLAKE2b-512 of the file).

Keys are made and kept by minisign or any program that knows its files; ``minisign -Vm FILE -p KEY.pub`` checks the same
signatures.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadstill.errors import UserError, one_line
from roadstill.runs.records import read_text

_MOST_BYTES = 2**16
_NEEDED = "signatures need the package cryptography: pip install 'roadstill[share]'"
_SECRET = "minisign -G -W -p KEY.pub -s KEY"
_TRUSTED = "trusted comment: "


@dataclass(frozen=True)
class PublicKey:
    """A minisign public key: its number and the key itself."""

    number: bytes
    key: bytes


def sign(path: Path, key: Path, remark: str) -> None:
    """Writes ``<path>.minisig``.

    Args:
        path: file to sign.
        key: minisign secret key without a password.
        remark: text that is signed along.

    Raises:
        UserError: no such key, one with a password, or the package cryptography is missing.
    """
    ed25519, _ = _library()
    raw = _decoded(_lines(key, 2)[1], 158, key, f"a minisign secret key ({_SECRET})")
    if raw[:2] != b"Ed" or raw[4:6] != b"B2":
        raise UserError(f"{key} is not a minisign secret key; make one: {_SECRET}")
    if raw[2:4] != bytes(2):
        raise UserError(
            f"{key} has a password, which is not asked for here; share without it, and sign by minisign -Sm {path.name}"
        )
    number, secret, public = raw[54:62], raw[62:94], raw[94:126]  # without a password, no checksum stands behind them
    private = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
    if private.public_key().public_bytes_raw() != public:
        raise UserError(
            f"{key} is damaged (its halves do not belong together); take its backup, or make another one: {_SECRET}"
        )
    signature = private.sign(_digest(path))
    told = one_line(remark)
    both = private.sign(signature + told.encode())
    text = (
        f"untrusted comment: signature by roadstill\n{_encoded(b'ED' + number + signature)}\n"
        f"{_TRUSTED}{told}\n{_encoded(both)}\n"
    )
    path.with_name(f"{path.name}.minisig").write_text(text, encoding="utf-8")


def check_signature(path: Path, key: PublicKey) -> str:
    """Holds a file against its signature beside it; returns the text that was signed along.

    Raises:
        UserError: no signature, one by another key, or of another file; the package cryptography is missing.
    """
    ed25519, wrong = _library()
    beside = path.with_name(f"{path.name}.minisig")
    if not beside.is_file():
        raise UserError(f"{path} is not signed (there is no {beside.name}); leave --key out, or get the signature")
    lines = _lines(beside, 4)
    raw, both = _decoded(lines[1], 74, beside, "a signature"), _decoded(lines[3], 64, beside, "a signature")
    if raw[:2] != b"ED":
        raise UserError(f"{beside} is not a signature of a digest, as minisign has made them since 0.10; sign it again")
    if raw[2:10] != key.number:
        raise UserError(f"{beside} was made with another key than the one that you trust; ask whoever shared the set")
    remark = lines[2].removeprefix(_TRUSTED)
    try:
        public = ed25519.Ed25519PublicKey.from_public_bytes(key.key)
        public.verify(raw[10:], _digest(path))
        public.verify(both, raw[10:] + remark.encode())
    except (wrong, ValueError):
        raise UserError(f"{path} is not what was signed: it or its signature was changed; get the set again") from None
    return remark


def public_key(text: str) -> PublicKey:
    """A public key from a file, or from the line of 56 letters that stands in one.

    Raises:
        UserError: neither.
    """
    path = Path(text)
    line = _lines(path, 2)[1] if path.is_file() else text
    raw = _decoded(line, 42, text, "a minisign public key (a file, or its line of 56 letters)")
    if raw[:2] != b"Ed":
        raise UserError(f"{text[:200]} is not a minisign public key; give its file, or its line of 56 letters")
    return PublicKey(raw[2:10], raw[10:])


def _library() -> tuple[Any, Any]:
    """The module that signs, and the error that it raises for a wrong signature."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise UserError(_NEEDED) from None
    return ed25519, InvalidSignature


def _digest(path: Path) -> bytes:
    sha = hashlib.blake2b()
    with path.open("rb") as file:
        while block := file.read(2**20):
            sha.update(block)
    return sha.digest()


def _lines(path: Path, count: int) -> list[str]:
    lines = read_text(path, _MOST_BYTES).splitlines()
    if len(lines) < count:
        raise UserError(
            f"{path} has {len(lines)} lines, where minisign's files of this kind have {count}; get it again"
        )
    return lines


def _decoded(text: str, count: int, where: object, what: str) -> bytes:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != count:
        raise UserError(f"{one_line(str(where)[:200])} does not hold {what}; check the path")
    return raw


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
