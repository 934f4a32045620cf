"""Files of ``torch.save``, read without running them, and without believing the sizes that they claim.

``torch.load`` runs no code of a file if ``weights_only`` is set, but 400 bytes can make it take any amount of memory,
and two million nested tuples end the process. So the pickle in the file goes through the machine of
`roadstill.weights.pickle_machine`, and tensors are made of bytes that are in the file.
"""

import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from roadstill.runs.kinds import HEAD_BYTES, not_wanted
from roadstill.weights.guarded import Budget, Refused, guard
from roadstill.weights.pickle_machine import HANDLERS, Machine, Name, table_of

MAX_BYTES = 64 * 2**30
_MAX_LEGACY_BYTES = 4 * 2**30  # of the form before 2020, which is read as a whole
_MAX_PICKLE_BYTES, _MAX_MEMBERS, MAX_STEPS = 64 * 2**20, 2**16, 2**22
_MAX_DIMS = 8
_MAGIC, _LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_KINDS = {
    "Float": torch.float32, "Double": torch.float64, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip


def read_torch_file(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """What a file of ``torch.save`` holds: dicts, lists, tuples, text, numbers and tensors.

    Numbers of numpy's, as the accuracies beside DC's sets are, stand as None: nothing here needs them.

    Args:
        path: file.
        max_bytes: size of the largest file.

    Raises:
        UserError: missing, damaged, packed, too large, or naming anything but the parts of tensors.
    """
    with guard(path):
        if (size := path.stat().st_size) > max_bytes:
            raise Refused(f"{size:,} bytes are more than the {max_bytes:,} that such a file may have")
        if not path.is_file():
            raise Refused("a folder, a pipe or a device, not a file")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if told := not_wanted(head, size, "a zip archive", "a pickle"):
                raise Refused(told)
            if head.startswith(b"PK"):
                return _read_zip(path, size)
            if size > _MAX_LEGACY_BYTES:
                raise Refused("not a file of torch.save")
            return read_legacy(head + file.read())


def _read_zip(path: Path, size: int) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {each.filename.partition("/")[2]: each for each in archive.infolist()}
            if len(members) > _MAX_MEMBERS or sum(each.file_size for each in members.values()) > size:
                raise Refused("its parts are larger than the file, or too many")
            if any(each.compress_type != zipfile.ZIP_STORED for each in members.values()):
                raise Refused("its parts are compressed, which torch.save does not do")
            if "data.pkl" not in members or members["data.pkl"].file_size > _MAX_PICKLE_BYTES:
                raise Refused("a zip archive, but not of torch.save")
            if "byteorder" in members and archive.read(members["byteorder"]) != b"little":
                raise Refused("numbers with the highest byte first")

            def bytes_of(key: str, count: int) -> bytearray:
                if (member := members.get(f"data/{key}")) is None or member.file_size != count:
                    raise Refused(f"a tensor that claims {count:,} bytes, which are not there")
                return bytearray(archive.read(member))

            return TorchMachine(archive.read(members["data.pkl"]), bytes_of, Budget(2 * size)).run(MAX_STEPS)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise Refused(f"a damaged or truncated file ({str(error)[:200]})") from None


def read_legacy(data: bytes) -> Any:
    """What the bytes of a file hold in the form that ``torch.save`` wrote before 2020: pickles, then the numbers.

    Raises:
        Refused: anything else.
    """
    budget, left, found = Budget(2 * len(data)), len(data), dict[str, bytearray]()

    def bytes_of(key: str, count: int) -> bytearray:
        nonlocal left
        left -= count
        if left < 0:
            raise Refused("its tensors claim more bytes than the file has")
        return found.setdefault(key, bytearray(count))

    at, values, sizes = 0, list[Any](), dict[str, int]()
    for number in range(5):  # magic number, protocol, sizes of C's types, the object, keys of its storages
        machine = TorchMachine(data, bytes_of, budget, at)
        values.append(machine.run_one(MAX_STEPS))
        at, sizes = machine.at, sizes | machine.sizes
        if number < 2 and (type(values[number]) is not int or values[number] != (_MAGIC, _LEGACY_PROTOCOL)[number]):
            raise Refused("a pickle, but not of torch.save")
    if type(values[4]) is not list or sorted(map(str, values[4])) != sorted(found):
        raise Refused("other storages than its tensors need")
    for key in values[4]:
        memory, start = found[key], at + 8
        at = start + len(memory)
        if int.from_bytes(data[start - 8 : start], "little") * sizes[key] != len(memory):
            raise Refused("a storage of another size than its tensor needs")
        if at > len(data):
            raise Refused("the file ends too early (truncated?)")
        memory[:] = data[start:at]  # of equal length: the tensors show this memory already
    if at != len(data):
        raise Refused("more follows the last tensor")
    return values[3]


# ---- the machine


class Storage:
    """The numbers that one or several tensors show, ``[count]``."""

    __slots__ = ("flat",)

    def __init__(self, flat: Tensor) -> None:
        self.flat = flat


class _Kind(Name):
    __slots__ = ("dtype",)

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__(_never)
        self.dtype = dtype


def _never(*_: Any) -> None:
    raise Refused("a storage that is made in an unknown way")


def make_tensor(budget: Budget, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A view of a storage.

    Raises:
        Refused: it would reach beyond its storage, or all tensors together are far larger than the file.
    """
    if type(storage) is not Storage or type(size) is not tuple or type(stride) is not tuple:
        raise Refused("a tensor without numbers, shape or order")
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > _MAX_DIMS or any(type(each) is not int or each < 0 for each in numbers):
        raise Refused("a tensor of damaged shape")
    flat, count = storage.flat, math.prod(size)
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if (count and (last >= len(flat) or count > len(flat))) or max(numbers) > 2**40:
        raise Refused(f"a tensor of shape {size} over {len(flat):,} numbers")
    budget.spend(count * flat.element_size())
    return flat.as_strided(size, stride, offset if count else 0)


def make_parameter(_: Budget, data: Any, requires_grad: Any, hooks: Any) -> Tensor:
    """The tensor of a parameter.

    Raises:
        Refused: there is none.
    """
    if not isinstance(data, Tensor):
        raise Refused("a parameter without a tensor")
    return data


def empty_dict(_: Budget) -> dict[str, Any]:
    """What stands for an ordered dict, which is filled later."""
    return {}


def _left_out(*_: Any) -> None:
    """What stands for a number of numpy's, its type and its bytes."""


def _size(_: Budget, sides: Any) -> tuple[Any, ...]:
    if type(sides) is not tuple:
        raise Refused("a shape of something odd")
    return sides


class TorchMachine(Machine):
    """The machine with the few names and opcodes more that tensors need.

    Args:
        data: the pickle.
        bytes_of: function from a storage's key and size in bytes to its memory.
        budget: bytes that tensors may show.
        at: place of the pickle's first byte.
    """

    wanted: ClassVar = "a part of tensors; save the state dict alone: torch.save(model.state_dict(), ...)"
    names: ClassVar = {
        ("collections", "OrderedDict"): Name(empty_dict),
        ("torch", "Size"): Name(_size),
        ("torch._utils", "_rebuild_tensor_v2"): Name(make_tensor),
        ("torch._utils", "_rebuild_parameter"): Name(make_parameter),
        ("numpy", "dtype"): Name(_left_out),
        ("numpy.core.multiarray", "scalar"): Name(_left_out),
        ("numpy._core.multiarray", "scalar"): Name(_left_out),
        ("_codecs", "encode"): Name(_left_out),
        **{("torch", f"{name}Storage"): _Kind(dtype) for name, dtype in _KINDS.items()},
    }

    def __init__(
        self, data: bytes, bytes_of: Callable[[str, int], bytearray], budget: Budget | None = None, at: int = 0
    ) -> None:
        super().__init__(data, at=at)
        self.bytes_of, self.budget = bytes_of, budget or self.budget
        self.storages, self.sizes = dict[str, Storage](), dict[str, int]()

    def persistent(self) -> None:
        """BINPERSID: a storage, whose bytes are elsewhere in the file."""
        about = self.stack.pop()
        if (
            type(about) is not tuple
            or len(about) not in (5, 6)
            or about[0] != "storage"
            or about[5:] not in ((), (None,))
        ):
            raise Refused("a reference that is not to a storage")
        kind, key, count = about[1], about[2], about[4]
        if type(kind) is not _Kind or type(key) is not str or type(count) is not int or not 0 <= count < 2**48:
            raise Refused("a storage of damaged type, name or size")
        if key not in self.storages:
            self.sizes[key] = torch.empty(0, dtype=kind.dtype).element_size()
            memory = self.bytes_of(key, count * self.sizes[key])
            flat = torch.frombuffer(memory, dtype=kind.dtype) if count else torch.empty(0, dtype=kind.dtype)
            self.storages[key] = Storage(flat)
        elif self.storages[key].flat.dtype != kind.dtype:
            raise Refused("a storage of two types")
        self.stack.append(self.storages[key])

    def build(self) -> None:
        """BUILD: attributes of a dict, such as the versions of modules, are left out, as is a type of numpy's."""
        state = self.stack.pop()
        if self.stack[-1] is None:
            return
        if type(state) is not dict or type(self.stack[-1]) is not dict:
            raise Refused("a state for something that takes none")

    opcodes: ClassVar = table_of(HANDLERS | {b"Q": persistent})
