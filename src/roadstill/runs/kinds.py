"""What a file is by its first bytes: the refusal of a reader should name a web page that was saved as a checkpoint."""

import re
import stat
from pathlib import Path

HEAD_BYTES = 512
PRODUCTS: dict[str, tuple[str, str]] = {
    "set.json": ("an image set", "prepare, select or generate"),
    "index.json": ("an index", "index"),
    "latents.json": ("latents", "encode"),
    "agent.json": ("an agent", "train"),
    "config.json": ("a checkpoint", "finetune or pretrain"),
    "run.json": ("an evaluation", "evaluate"),
    "world.json": ("a world", "world"),
    "audit.json": ("an audit", "audit"),
    "recipe.yaml": ("a run", "run"),
    "train/set.json": ("several image sets", "prepare"),
    "manifest.intoto.jsonl": ("a shared set", "share"),
}
"""What a folder is by a file in it: in words, and the verbs that make it."""
_KINDS: dict[str, tuple[str, str]] = {  # name: pattern, way out
    "a pickle": (r"\x80[\x02-\x05]", ""),
    "a web page": (r"(?i)(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|body|meta|script|title)\b",
                   "download the file itself"),
    "an XML file": (r"(?:\xef\xbb\xbf)?\s*<\?xml\b", "download the file itself"),
    "a Git LFS pointer": (r"version https://git-lfs\.github\.com/", "get the file itself by `git lfs pull`"),
    "a zip archive": (r"PK(?:\x03\x04|\x05\x06)", "unpack it"),
    "a gzip file": (r"\x1f\x8b", "unpack it"),
    "a bzip2 file": (r"BZh[1-9]", "unpack it"),
    "an xz file": (r"\xfd7zXZ\x00", "unpack it"),
    "a zstd file": (r"\x28\xb5\x2f\xfd", "unpack it"),
    "a 7z archive": (r"7z\xbc\xaf\x27\x1c", "unpack it"),
    "a tar archive": (r".{257}ustar", "unpack it"),
    "an HDF5 file": (r"\x89HDF\r\n\x1a\n", ""),
    "a NumPy file": (r"\x93NUMPY", ""),
    "a Parquet file": (r"PAR1", ""),
    "an Arrow file": (r"ARROW1", ""),
    "an SQLite file": (r"SQLite format 3\x00", ""),
    "a PNG picture": (r"\x89PNG\r\n\x1a\n", ""),
    "a JPEG picture": (r"\xff\xd8\xff", ""),
    "a PDF file": (r"%PDF-", ""),
    "a program": (r"\x7fELF|MZ.{58}", ""),
    "a safetensors file": (r".{5}\x00{3}\{", "name it .safetensors"),
    "a JSON file": (r"\s*[\[{]\s*[\"\[{}\]]", ""),
    "nothing but zeros": (r"\x00{64}", "it was not downloaded to its end: fetch it again"),
}  # fmt: skip
_PATTERNS = {name: re.compile(pattern.encode("latin1"), re.DOTALL) for name, (pattern, _) in _KINDS.items()}


def product_in(folder: Path, but: str = "") -> str | None:
    """What a folder is, in words, by the files in it; None if it is nothing of this package.

    Args:
        folder: folder that may exist.
        but: file that does not count.
    """
    return next((noun for name, (noun, _) in PRODUCTS.items() if name != but and (folder / name).is_file()), None)


def kind_of(head: bytes) -> str:
    """What a file is by its first bytes, such as "a web page"; "unknown data" if they say nothing.

    Args:
        head: first `HEAD_BYTES` of the file, or all of it.
    """
    if not head:
        return "an empty file"
    return next((name for name, pattern in _PATTERNS.items() if pattern.match(head)), "unknown data")


def not_wanted(head: bytes, size: int, *wanted: str) -> str | None:
    """Half a sentence on a file that is of another kind than is wanted: kind, size and way out.

    Args:
        head: first `HEAD_BYTES` of the file, or all of it.
        size: size of the file in bytes.
        wanted: names of the kinds that are no surprise, see `kind_of`.

    Returns:
        None for a wanted kind, and for unknown data.
    """
    kind = kind_of(head)
    if kind in wanted or kind == "unknown data":
        return None
    if kind == "an empty file":
        return "it is empty (0 bytes); fetch it again"
    way_out = _KINDS[kind][1]
    return f"it is {kind} ({size:,} bytes)" + (f"; {way_out}" if way_out else "")


def file_not_wanted(path: Path, *wanted: str) -> str | None:
    """As `not_wanted`, of a file on disk; None also for what is no file or cannot be read."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            return None
        with path.open("rb") as file:
            return not_wanted(file.read(HEAD_BYTES), about.st_size, *wanted)
    except OSError:
        return None
