"""A stack machine for untrusted pickles that never calls what a file names.

A pickle is a program for a small stack machine. Python's own unpickler runs all of it, and even a whitelist of classes
leaves ways to kill the process (a memo index of two billion, a hash of a million nested tuples). This machine has only
the opcodes that plain data and arrays need, protocols 2 to 5. A name in the file stands for a function of our own if
there is one (of numpy's for logs, of PyTorch's for weights); everything else is refused.

Each opcode takes constant time, or time in proportion to bytes that are in the file; memory stays below some hundred
times the file's size.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from roadstill.weights.guarded import Budget, Refused

MAX_KEY = 512  # letters; comparing two equal keys costs their length
_MAX_NUMBER_BYTES = 16
_LAST_KEY = 2**31  # larger numbers can be chosen so that all have one hash
_TRUNCATED = "the file ends too early (truncated?)"


class Name:
    """A name found in a pickle; ``call`` takes the budget and the pickle's arguments."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call


class Machine:
    """Runs the opcodes; each handler is one method, which ``opcodes`` selects.

    Attributes:
        names: names that a pickle may contain, and what they stand for.
        opcodes: handler of every known opcode.
        wanted: what a name should be, for messages.
    """

    names: ClassVar[Mapping[tuple[str, str], Name]] = {}
    opcodes: ClassVar[list[Callable[[Any], Any] | None]]
    wanted: ClassVar[str] = "plain data"

    def __init__(self, data: bytes, python2: bool = False, at: int = 0) -> None:
        self.data, self.at = data, at
        self.budget = Budget(len(data), python2)
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: list[Any] = []

    def run(self, max_steps: int) -> Any:
        """Runs the pickle, and returns what it holds.

        Raises:
            Refused: an opcode, a name or an end that plain data do not have, or more than ``max_steps`` opcodes.
        """
        value = self.run_one(max_steps)
        if self.at < len(self.data):
            raise Refused(f"the pickle ends at byte {self.at - 1}, and more follows")
        return value

    def run_one(self, max_steps: int) -> Any:
        """As `run`, but more may follow, from ``at`` on."""
        data, handlers, stack, memo, at = self.data, self.opcodes, self.stack, self.memo, self.at
        if data[at : at + 1] != b"\x80":
            raise Refused("not a pickle of protocol 2 to 5")
        for _ in range(max_steps):
            opcode = data[at]
            # These are four fifths of every log; written out, they halve the time.
            if opcode == 0x94:  # MEMOIZE
                memo.append(stack[-1])
                at += 1
            elif opcode == 0x68:  # BINGET
                stack.append(memo[data[at + 1]])
                at += 2
            elif opcode == 0x8C:  # SHORT_BINUNICODE
                stop = at + 2 + data[at + 1]
                stack.append(data[at + 2 : stop].decode("utf-8", "surrogatepass"))
                if data[stop] == 0x94:  # a token or a key is always memoized
                    memo.append(stack[-1])
                    stop += 1
                at = stop
            elif opcode == 0x4B:  # BININT1
                stack.append(data[at + 1])
                at += 2
            elif opcode == 0x28:  # MARK
                self.marks.append(len(stack))
                at += 1
            elif handler := handlers[opcode]:
                self.at = at + 1
                handler(self)
                at = self.at
            elif opcode == 0x2E:  # STOP
                break
            else:
                raise Refused(f"opcode 0x{opcode:02x} at byte {at} is not for plain data")
        else:
            raise Refused(f"more than {max_steps:,} steps")
        self.at = at + 1
        if len(stack) != 1 or self.marks:
            raise Refused(f"it ends with {len(stack)} values")
        return stack[0]

    def take(self, size: int) -> bytes:
        """The next bytes."""
        start, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise Refused(_TRUNCATED)
        return self.data[start : self.at]

    def number(self, size: int) -> int:
        """The number in the next bytes."""
        return int.from_bytes(self.take(size), "little")

    def popped(self) -> list[Any]:
        """All items above the last mark, which is removed."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def protocol(self) -> None:
        """PROTO."""
        if not 2 <= (number := self.number(1)) <= 5:
            raise Refused(f"pickle protocol {number} is not read, only 2 to 5")

    def frame(self) -> None:
        """FRAME: its length is checked and not needed."""
        if self.number(8) > len(self.data) - self.at:
            raise Refused(_TRUNCATED)

    def put(self, key: int) -> None:
        """Picklers number from 0 on, so that a list is enough; no number in the file decides how long it is."""
        if self.budget.python2 and key == 1 and not self.memo:
            self.memo.append(None)
        if key == len(self.memo):
            self.memo.append(self.stack[-1])
        else:
            self.memo[key] = self.stack[-1]

    def old_text(self, width: int = 4) -> None:
        """BINSTRING, SHORT_BINSTRING."""
        if not self.budget.python2:
            raise Refused("text of Python 2, which is not allowed in logs")
        self.stack.append(self.take(self.number(width)).decode("latin1"))

    def raw(self, width: int) -> None:
        """SHORT_BINBYTES, BINBYTES, BINBYTES8: text where Python 3 wrote what Python 2 has as text."""
        _BYTES[width](self)
        if self.budget.python2:
            self.stack[-1] = self.stack[-1].decode("latin1")

    def append(self) -> None:
        """APPEND."""
        value = self.stack.pop()
        self.container(list).append(value)

    def appends(self) -> None:
        """APPENDS."""
        items = self.popped()
        self.container(list).extend(items)

    def container(self, kind: type) -> Any:
        """The last value on the stack, which must be of this type."""
        if type(self.stack[-1]) is not kind:
            raise Refused(f"damaged pickle (a {kind.__name__} is missing)")
        return self.stack[-1]

    def set_items(self, items: list[Any]) -> None:
        """SETITEMS, of keys and values in turn."""
        target, keys = self.container(dict), items[::2]
        for key in keys:
            if type(key) is not str or len(key) > MAX_KEY:
                _check_odd_key(key)
        target.update(zip(keys, items[1::2], strict=True))

    def set_item(self) -> None:
        """SETITEM."""
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def tuple_from_mark(self) -> None:
        """TUPLE."""
        start = self.marks.pop()
        self.stack[start:] = [tuple(self.stack[start:])]

    def tuple_of(self, size: int) -> None:
        """TUPLE1, TUPLE2, TUPLE3."""
        if len(self.stack) < size:
            raise Refused("damaged pickle (too few items)")
        self.stack[-size:] = [tuple(self.stack[-size:])]

    def look_up(self, module: Any, name: Any) -> None:
        """Puts what stands for a name on the stack."""
        if type(module) is not str or type(name) is not str:
            raise Refused("a name that is not text")
        if (module, name) not in self.names:
            raise Refused(f"it names {f'{module[:80]}.{name[:80]}'[:80]!r}, which is not {self.wanted}")
        self.stack.append(self.names[module, name])

    def line(self) -> str:
        """The next line."""
        end = self.data.index(b"\n", self.at, self.at + 200)
        start, self.at = self.at, end + 1
        return self.data[start:end].decode("ascii")

    def stack_global(self) -> None:
        """STACK_GLOBAL."""
        name, module = self.stack.pop(), self.stack.pop()
        self.look_up(module, name)

    def reduce(self) -> None:
        """REDUCE: calls the function of our own that stands for a name."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(arguments) is not tuple or type(function) is not Name:
            raise Refused("a call of something that is not a known function")
        self.stack.append(function.call(self.budget, *arguments))

    def build(self) -> None:
        """BUILD: gives what a function made its state."""
        raise Refused("a state for something that takes none")


def _check_odd_key(key: Any) -> None:
    if type(key) is str:
        raise Refused(f"a dict with a key of {len(key):,} letters")
    if type(key) is not int or not -_LAST_KEY <= key < _LAST_KEY:
        raise Refused("a dict with a key that is neither text nor a small number")


def _pushes(make: Callable[[Machine], Any]) -> Callable[[Machine], None]:
    return lambda machine: machine.stack.append(make(machine))


def _sized(width: int, convert: Callable[[bytes], Any]) -> Callable[[Machine], None]:
    """An opcode with a length of ``width`` bytes, then that many bytes."""

    def handler(machine: Machine) -> None:
        start = machine.at + width
        size = int.from_bytes(machine.data[machine.at : start], "little")
        machine.at = start + size
        if machine.at > len(machine.data):
            raise Refused(f"the file ends too early, before an item of {size:,} bytes (truncated?)")
        machine.stack.append(convert(machine.data[start : machine.at]))

    return handler


def _integer(raw: bytes) -> int:
    if len(raw) > _MAX_NUMBER_BYTES:
        raise Refused(f"a number of {len(raw)} bytes")
    return int.from_bytes(raw, "little", signed=True)


_BYTES = {width: _sized(width, bytes) for width in (1, 4, 8)}
HANDLERS: dict[bytes, Callable[[Machine], Any]] = {
    b"\x80": Machine.protocol,
    b"\x95": Machine.frame,
    b"0": lambda m: m.stack.pop(),
    b"1": Machine.popped,
    b"N": _pushes(lambda m: None),
    b"\x88": _pushes(lambda m: True),
    b"\x89": _pushes(lambda m: False),
    b"M": _pushes(lambda m: m.number(2)),
    b"J": _pushes(lambda m: _integer(m.take(4))),
    b"\x8a": _sized(1, _integer),
    b"G": _pushes(lambda m: struct.unpack(">d", m.take(8))[0]),
    b"X": _sized(4, lambda raw: str(raw, "utf-8", "surrogatepass")),
    b"\x8d": _sized(8, lambda raw: str(raw, "utf-8", "surrogatepass")),
    b"U": lambda m: m.old_text(1),
    b"T": Machine.old_text,
    b"B": lambda m: m.raw(4),
    b"C": lambda m: m.raw(1),
    b"\x8e": lambda m: m.raw(8),
    b"\x96": _sized(8, bytearray),
    b"]": _pushes(lambda m: []),
    b"}": _pushes(lambda m: {}),
    b")": _pushes(lambda m: ()),
    b"a": Machine.append,
    b"e": Machine.appends,
    b"s": Machine.set_item,
    b"u": lambda m: m.set_items(m.popped()),
    b"t": Machine.tuple_from_mark,
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"q": lambda m: m.put(m.number(1)),
    b"r": lambda m: m.put(m.number(4)),
    b"j": lambda m: m.stack.append(m.memo[m.number(4)]),
    b"c": lambda m: m.look_up(m.line(), m.line()),
    b"\x93": Machine.stack_global,
    b"R": lambda m: m.reduce(),
    b"b": lambda m: m.build(),
}


def table_of(handlers: Mapping[bytes, Callable[[Any], Any]]) -> list[Callable[[Any], Any] | None]:
    """Handlers by the number of their opcode."""
    return [handlers.get(bytes([code])) for code in range(256)]


Machine.opcodes = table_of(HANDLERS)
