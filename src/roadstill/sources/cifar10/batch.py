"""One batch of CIFAR-10 from its bytes, in the authors' two forms; what does not fit is refused in one line.

Binary: records of one label byte and 3 x 1,024 bytes, red, green, blue, each row by row. Python: a pickle of the same
bytes and a list of labels, opened only by the restricted reader.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadstill.errors import UserError, one_line
from roadstill.frames import leaves_folder
from roadstill.runs.kinds import HEAD_BYTES, not_wanted
from roadstill.sources.pickles.unpickle import parse

CLASS_NAMES: tuple[str, ...] = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SIDE_PX = 32
_RECORD = 1 + 3 * SIDE_PX**2
_PLAIN_NAME = re.compile(r"\w[\w .-]{0,98}")


@dataclass(frozen=True)
class Batch:
    """Some pictures in a row of one source file.

    Attributes:
        name: name of the file, without its ending.
        start: place of the first picture in the file.
        pixels: uint8 ``[n, 32, 32, 3]``.
        labels: int64 ``[n]``, 0 to 9.
    """

    name: str
    start: int
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_records(data: bytes, name: str, where: str) -> Batch:
    """A batch of the binary form.

    Args:
        data: contents of the file.
        name: name of the batch.
        where: path for messages.

    Raises:
        UserError: a torn record, no record, a label above 9.
    """
    if not data or len(data) % _RECORD:
        told = not_wanted(data[:HEAD_BYTES], len(data))
        why = (
            told or f"{len(data):,} bytes are not a whole number of records of {_RECORD:,} (truncated?); fetch it again"
        )
        raise UserError(f"{where}: {why}")
    rows = np.frombuffer(data, np.uint8).reshape(-1, _RECORD)
    return Batch(name, 0, _pictures(rows[:, 1:]), check_labels(rows[:, 0].astype(np.int64), where))


def read_pickle(data: bytes, name: str, where: str) -> Batch:
    """A batch of the Python form; arguments as for `read_records`.

    Raises:
        UserError: truncated, damaged or hostile; other content than pictures and labels; a label above 9.
    """
    value = _unpickled(data, where)
    rows, labels = (value.get(key) if isinstance(value, dict) else None for key in ("data", "labels"))
    if not isinstance(rows, np.ndarray) or not isinstance(labels, list) or not labels:
        raise UserError(f"{where} is not a batch of CIFAR-10: it holds no array 'data' and list 'labels'")
    if rows.dtype != np.uint8 or rows.shape != (len(labels), _RECORD - 1):
        raise UserError(f"{where}: {len(labels):,} labels, but pictures of shape {rows.shape} and type {rows.dtype}")
    if any(type(label) is not int for label in labels):
        raise UserError(f"{where}: not all labels are numbers")
    return Batch(name, 0, _pictures(rows), check_labels(np.array([min(label, 99) for label in labels]), where))


def read_names(data: bytes, form: str, where: str) -> tuple[str, ...]:
    """The class names that ``batches.meta`` holds ("python"), or ``batches.meta.txt`` ("binary").

    Raises:
        UserError: not ten plain names.
    """
    if form == "binary":
        return check_names(data.decode("utf-8", "replace").split("\n"), where)
    value = _unpickled(data, where)
    return check_names(value.get("label_names") if isinstance(value, dict) else None, where)


def check_names(names: Sequence[Any] | None, where: str) -> tuple[str, ...]:
    """Ten plain, different names, empty lines left out.

    Raises:
        UserError: they are not so.
    """
    found = [name.strip() if isinstance(name, str) else "" for name in names or ()]
    found = [name for name in found if name]
    plain = all(_PLAIN_NAME.fullmatch(name) and not leaves_folder(name) for name in found)
    if len(found) != 10 or len(set(found)) != 10 or not plain:
        raise UserError(f"{where} should hold the ten class names {', '.join(CLASS_NAMES)}")
    return tuple(found)


def check_labels(labels: NDArray[np.int64], where: str) -> NDArray[np.int64]:
    """The labels, all of them from 0 to 9.

    Raises:
        UserError: a label is outside that range.
    """
    if len(wrong := np.flatnonzero((labels < 0) | (labels > 9))):
        raise UserError(f"{where}: picture {wrong[0]:,} has the label {labels[wrong[0]]}, but CIFAR-10 has 0 to 9")
    return labels.astype(np.int64)


def _unpickled(data: bytes, where: str) -> Any:
    if told := not_wanted(data[:HEAD_BYTES], len(data), "a pickle"):
        raise UserError(f"{where}: {told}")
    try:
        return parse(data, python2=True)
    except (ArithmeticError, LookupError, TypeError, ValueError, MemoryError, RecursionError) as error:
        raise UserError(one_line(f"{where}: damaged, truncated or not plain data ({str(error)[:200]})")) from None


def _pictures(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows ``[n, 3072]`` as pictures ``[n, 32, 32, 3]``; a view."""
    return rows.reshape(-1, 3, SIDE_PX, SIDE_PX).transpose(0, 2, 3, 1)
