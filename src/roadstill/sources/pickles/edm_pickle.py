"""The pickles that EDM's networks are published as, read without running the source code that they carry.

Each network in such a file names one function, which in its own loader compiles and runs the module text beside it.
Here that name stands for a shell that keeps the class's name and its state, and the text is never read. The machine is
that of `roadstill.weights.pickle_machine`, with the few further names and opcodes that tensors and modules need.
"""

from pathlib import Path
from typing import Any, ClassVar

from roadstill.sources.pickles.arrays import LogMachine
from roadstill.weights.guarded import Budget, Refused, guarded
from roadstill.weights.pickle_machine import HANDLERS, Name, table_of
from roadstill.weights.torch_file import Storage, empty_dict, make_parameter, make_tensor, read_legacy

MAX_BYTES = 4 * 2**30
MAX_STEPS = 2**22


class Shell:
    """An object of the file: the name of its class and its state, nothing that could be called."""

    __slots__ = ("class_name", "state")

    def __init__(self, class_name: str, state: Any = None) -> None:
        self.class_name, self.state = class_name, state


def read_edm_pickle(path: Path) -> Any:
    """What the file holds: dicts, lists, numbers, text, tensors, and a `Shell` for every object.

    Raises:
        UserError: missing, damaged, or naming anything but the parts of a network.
    """
    return guarded(path, lambda data: _Networks(data).run(MAX_STEPS), MAX_BYTES)


def _persistent(_: Budget, meta: Any) -> Shell:
    if type(meta) is not dict or type(meta.get("class_name")) is not str or meta.get("type") != "class":
        raise Refused("an object of EDM without the name of its class")
    return Shell(meta["class_name"], meta.get("state"))


def _storage(budget: Budget, raw: Any) -> Storage:
    """The bytes that torch wrote of a tensor's numbers."""
    if type(raw) is not bytes:
        raise Refused("a tensor without bytes")
    budget.spend(len(raw))
    found = read_legacy(raw)
    if type(found) is not Storage:
        raise Refused("a tensor that holds no numbers")
    return found


def _set(_: Budget, items: Any = ()) -> list[Any]:
    if type(items) is not list:
        raise Refused("a set of something odd")
    return items  # nothing here reads what a set holds


class _Networks(LogMachine):
    names: ClassVar = LogMachine.names | {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): Name(_persistent),
        ("torch.nn.modules.container", "ModuleDict"): Name(lambda _: Shell("ModuleDict")),
        ("torch.storage", "_load_from_bytes"): Name(_storage),
        ("torch._utils", "_rebuild_tensor_v2"): Name(make_tensor),
        ("torch._utils", "_rebuild_parameter"): Name(make_parameter),
        ("collections", "OrderedDict"): Name(empty_dict),
        ("dnnlib.util", "EasyDict"): Name(empty_dict),
        ("builtins", "set"): Name(_set),
        ("__builtin__", "set"): Name(_set),
    }
    opcodes: ClassVar = table_of(
        HANDLERS
        | {
            b"\x81": lambda m: m.reduce(),  # NEWOBJ: a call like any other
            b"\x8f": lambda m: m.stack.append([]),  # EMPTY_SET
            b"\x90": LogMachine.appends,  # ADDITEMS
        }
    )

    def build(self) -> None:
        """Gives a shell its state; all else as for arrays."""
        if type(self.stack[-2]) is not Shell:
            super().build()
        elif type(self.stack[-1]) is not dict:
            raise Refused("an object with an odd state")
        else:
            state = self.stack.pop()
            shell: Any = self.stack[-1]
            shell.state = state
