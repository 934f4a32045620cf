"""What the system has against the work, whoever says so, and where a mistake is."""

import errno
import pickle
import sqlite3

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from roadstill.errors import UserError, located, of_system


class OutOfMemoryError(RuntimeError):
    """As CUDA's."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "x"), "No space left on device; free some space and run the same command again"),
        (OSError(errno.EROFS, "x", "a"), "Read-only file system; name another folder, or allow access to this one"),
        (PermissionError(errno.EACCES, "x", "a"), "Permission denied; name another folder"),
        (OSError(errno.ENAMETOOLONG, "x", "a"), "File name too long; take a shorter name"),
        (OSError(errno.ELOOP, "x", "a"), "a link leads back to itself"),
        (OSError(errno.EMFILE, "x", "a"), "Too many open files; take fewer workers"),
        (OSError(errno.EIO, "x", "a"), "Input/output error; see to it and run the same command again"),
        (OSError("no number,\nbut words"), "no number, but words"),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), "No space left"),
        (OSError("Error writing bytes to file. Detail: (errno 30) Read-only file system"), "name another folder"),
        (sqlite3.OperationalError("database or disk is full"), "No space left on device; free some space"),
        (MemoryError(), "there is not enough memory; take smaller batches"),
        (OutOfMemoryError("CUDA out of memory"), "there is not enough memory"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value)[:60],
)
def test_what_the_system_says(error, said):
    assert said in of_system(error)
    assert "\n" not in of_system(error)


def test_memory_of_arrays_and_tensors():
    for make in (lambda: np.zeros(10**16), lambda: torch.zeros(10**15)):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            make()
        assert of_system(caught.value).startswith("there is not enough memory")


@pytest.mark.parametrize("error", [ValueError("28"), KeyError("x"), RuntimeError("no kernel"), pickle.PicklingError()])
def test_other_errors_are_not_the_systems(error):
    assert of_system(error) is None


def test_a_mistake_with_its_place():
    with pytest.raises(UserError, match=r"^agent\.json: no network$"), located("agent.json"):
        raise UserError("no network")
    with pytest.raises(KeyError), located("agent.json"):
        raise KeyError
