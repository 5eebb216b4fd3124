"""Pickles of unknown origin, read by a machine of our own: it makes arrays, text, numbers, lists and dictionaries, and
can do nothing else. Python's ``pickle`` is not used, so nothing that a file names is ever imported or called.
"""

from __future__ import annotations

import math
import pickletools
import re
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

_MOST_STEPS = 30_000_000
"""Steps of the longest pickle that is read; the statistics of one suite2p cell take about 250."""
_DEEPEST = 6
"""Deepest nesting of lists and dictionaries in an object array."""
_MOST_KEY = 1 << 31
"""Numbers that are keys lie below this: larger ones can be chosen so that their hashes collide."""

_MOST_DIMENSIONS = 32
_DTYPE = re.compile(r"[biufUS][1-9]\d{0,5}")

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = frozenset(
    """INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    BINBYTES SHORT_BINBYTES BINBYTES8""".split()  # noqa: SIM905 (a list literal would be 16 lines)
)
"""Steps whose argument is the value."""
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")


class _Global:
    """Stands in for one of numpy's own functions: a pickle can call it, and do nothing else with it.

    numpy's real ``dtype`` and ``ndarray`` accept states that read raw bytes as pointers, so none is ever used.
    """

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def build(self, state: Any) -> None:
        """Refuse: a function has no state."""
        raise ValueError("it changes a function")


class _Type:
    """A dtype under construction."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *_: Any) -> None:
        if code in ("O", "O8"):
            self.dtype: np.dtype[Any] = np.dtype(object)
        elif isinstance(code, str) and _DTYPE.fullmatch(code):
            self.dtype = np.dtype(code)
        else:
            raise ValueError(f"it makes the type {code!r:.80}; numbers and text are admitted")

    def build(self, state: Any) -> None:
        """Take the byte order; fields are refused."""
        _, order, *structure = state
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure[:3]):
            raise ValueError("it makes a structured type; numbers and text are admitted")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array under construction; its numbers come from bytes that are there, its objects from a list."""

    __slots__ = ("fortran", "items", "shape")

    def __init__(self, *_: Any) -> None:
        self.items: NDArray[Any] | list[Any] | None = None

    def build(self, state: Any) -> None:
        """Take shape, type, order and content."""
        _, self.shape, kind, self.fortran, content = state
        sizes = self.shape if isinstance(self.shape, tuple) and len(self.shape) <= _MOST_DIMENSIONS else (-1,)
        if not isinstance(kind, _Type) or not all(type(size) is int and 0 <= size < 1 << 48 for size in sizes):
            raise ValueError("it makes an array without a type or with an odd shape")
        if kind.dtype.kind == "O":
            if not isinstance(content, list):
                raise ValueError("it makes an array of objects from something that is no list")
            self.items = content
        else:
            self.items = _from_bytes(kind, content)
        if len(self.items) != math.prod(self.shape):
            raise ValueError(f"it gives {len(self.items)} elements to an array of shape {tuple(self.shape)}")


class _Pairs:
    """A dictionary under construction, not yet hashed."""

    __slots__ = ("items",)

    def __init__(self, *content: Any) -> None:
        if content:
            raise ValueError("it makes a dictionary from something that is not pairs")
        self.items: list[tuple[Any, Any]] = []

    def extend(self, flat: list[Any]) -> None:
        """Take keys and values in turn."""
        if len(flat) % 2:
            raise ValueError("a dictionary's last key has no value")
        self.items += zip(flat[::2], flat[1::2])


def _from_bytes(kind: Any, content: Any) -> NDArray[Any]:
    if not isinstance(kind, _Type) or kind.dtype.kind == "O" or not isinstance(content, bytes):
        raise ValueError("it makes numbers from something that is not bytes of a known type")
    return np.frombuffer(content, kind.dtype)


def _scalar(kind: Any, content: Any) -> Any:
    values = _from_bytes(kind, content)
    if len(values) != 1:
        raise ValueError(f"it makes one number from {len(values)}")
    return values.astype(kind.dtype.newbyteorder("="), copy=False)[0]


def _encoded(text: Any, encoding: Any) -> bytes:
    """Bytes as protocols below 3 write them."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise ValueError("it makes bytes from something that is not text")
    return text.encode("latin-1")


def _date(content: Any, *_: Any) -> str:
    """ISO 8601 text of a date and time, whose state is ten bytes: year (two), month … second, microsecond (three)."""
    raw = content.encode("latin-1") if isinstance(content, str) else content
    if not isinstance(raw, bytes) or len(raw) != 10:
        raise ValueError("it makes a date from something that is not ten bytes")
    year, month, day, hour, minute, second = struct.unpack(">H5B", raw[:7])
    return f"{year:04d}-{month & 127:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"


def _path(*parts: Any) -> str:
    """Text of a path; nobody follows it."""
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("it makes a path from something that is not text")
    return "/".join(parts).replace("//", "/")


_CORES = ("numpy.core.multiarray", "numpy._core.multiarray")
_GLOBALS = {
    ("numpy", "ndarray"): _Global(_Array),
    ("numpy", "dtype"): _Global(_Type),
    **{(core, "_reconstruct"): _Global(_Array) for core in _CORES},
    **{(core, "scalar"): _Global(_scalar) for core in _CORES},
    ("_codecs", "encode"): _Global(_encoded),
    ("collections", "OrderedDict"): _Global(_Pairs),
    ("datetime", "datetime"): _Global(_date),
    **{
        (module, name): _Global(_path)
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath", "Path")
    },
}


def read_pickled_array(where: str, stream: BinaryIO, n_bytes: int) -> NDArray[Any]:
    """Read the pickle of an object array.

    Parameters
    ----------
    where
        What errors name: the file, and the array in it.
    stream
        Where the pickle begins; a read past its end gives what is left (``BytesIO``, ``mmap``).
    n_bytes
        Bytes of the pickle.

    Returns
    -------
    array
        Of objects: arrays, lists (tuples too), dictionaries with text or whole numbers as keys, text (dates and paths
        too), bytes and numbers.

    Raises
    ------
    RawFileError
        If the pickle is truncated or holds or does anything else; says what.
    """
    machine = _Machine(where, n_bytes)
    try:
        made = machine.run(stream)
        if not isinstance(made, _Array):
            raise ValueError(f"it holds {type(made).__name__}, no array")
        return np.asarray(_Finisher(n_bytes).finish(made, 0))
    except RawFileError:
        raise
    except Exception as error:  # a hostile pickle can make a stack machine raise nearly anything
        raise RawFileError(
            f"{where}: refused, the pickled objects are not plain arrays, text and numbers: {error}"
        ) from error


class _Budget:
    """Bytes that may be copied: what a pickle holds once, it may not have copied a thousand times."""

    def __init__(self, n_bytes: int) -> None:
        self._left = 4 * n_bytes + 4096

    def spend(self, n_bytes: int) -> None:
        """Take some; raise where too little is left."""
        self._left -= n_bytes
        if self._left < 0:
            raise ValueError("it makes many copies of the same bytes")


class _Machine:
    """Takes the steps of a pickle, one by one."""

    def __init__(self, where: str, n_bytes: int) -> None:
        self._where, self._n_bytes = where, n_bytes
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._budget = _Budget(n_bytes)

    def run(self, stream: BinaryIO) -> Any:
        """Return what the pickle makes."""
        steps = pickletools.genops(stream)
        for _ in range(_MOST_STEPS):
            try:
                step, argument, position = next(steps)
            except StopIteration:
                break
            except (ValueError, OverflowError) as error:
                raise RawFileError(
                    f"{self._where}: the pickle is truncated or damaged ({error}); fetch it again"
                ) from error
            name = step.name
            if name == "STOP":
                return self._stack.pop()
            if name in _VALUES:
                self._stack.append(argument)
            elif name in _GETS:
                self._stack.append(self._memo[int(argument or 0)])
            elif name in _PUTS:
                self._put(int(argument or 0), int(position or 0))
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name])
            elif name in _STEPS:
                _STEPS[name](self, argument)
            else:
                detail = "" if argument is None else f" ({argument!r:.80})"
                raise RawFileError(
                    f"{self._where}: refused, byte {position} of the pickle is the step {name}{detail}, which arrays, "
                    "text and numbers do not need"
                )
        raise ValueError(f"it takes more than {_MOST_STEPS} steps")

    def _put(self, number: int, position: int) -> None:
        if not 0 <= number <= self._n_bytes:
            raise RawFileError(f"{self._where}: refused, memo number {number} at byte {position} of the pickle")
        self._memo[number] = self._stack[-1]

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def ignore(self, _: Any) -> None:
        pass

    def pop(self, _: Any) -> None:
        self._stack.pop()

    def mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _above_mark(self) -> list[Any]:
        above, self._stack = self._stack, self._below.pop()
        return above

    def empty_list(self, _: Any) -> None:
        self._stack.append([])

    def list_of(self, _: Any) -> None:
        above = self._above_mark()
        self._stack.append(above)

    def append(self, _: Any) -> None:
        item = self._stack.pop()
        self._list().append(item)

    def appends(self, _: Any) -> None:
        above = self._above_mark()
        self._list().extend(above)

    def _list(self) -> list[Any]:
        if type(self._stack[-1]) is not list:
            raise ValueError("it appends to something that is no list")
        made: list[Any] = self._stack[-1]
        return made

    def tuple_of(self, _: Any) -> None:
        above = self._above_mark()
        self._stack.append(tuple(above))

    def empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def last(self, count: int) -> None:
        if len(self._stack) < count:
            raise ValueError("a tuple takes more than there is")
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def empty_dict(self, _: Any) -> None:
        self._stack.append(_Pairs())

    def dict_of(self, _: Any) -> None:
        pairs = _Pairs()
        pairs.extend(self._above_mark())
        self._stack.append(pairs)

    def set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._pairs().extend([key, value])

    def set_items(self, _: Any) -> None:
        above = self._above_mark()
        self._pairs().extend(above)

    def _pairs(self) -> _Pairs:
        if not isinstance(self._stack[-1], _Pairs):
            raise ValueError("it sets an item of something that is no dictionary")
        return self._stack[-1]

    def global_of(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self._stack.append(self._find(module, name))

    def stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise ValueError("it names a function by something that is not text")
        self._stack.append(self._find(module, name))

    def _find(self, module: str, name: str) -> _Global:
        if (module, name) not in _GLOBALS:
            raise RawFileError(
                f"{self._where}: refused, reading it would call {module}.{name}; only arrays, text and numbers are "
                "read. Do not open this file with other tools unless you trust whoever made it"
            )
        return _GLOBALS[module, name]

    def reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, _Global) or type(arguments) is not tuple:
            raise ValueError("it calls something that is no function")
        made = function.call(*arguments)
        self._budget.spend(
            made.nbytes if isinstance(made, np.generic) else len(made) if isinstance(made, (str, bytes)) else 0
        )
        self._stack.append(made)

    def build(self, _: Any) -> None:
        state = self._stack.pop()
        if not isinstance(self._stack[-1], (_Array, _Type, _Global)):
            raise ValueError(f"it changes the state of {type(self._stack[-1]).__name__}")
        self._stack[-1].build(state)


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine.ignore,
    "FRAME": _Machine.ignore,
    "POP": _Machine.pop,
    "MARK": _Machine.mark,
    "MEMOIZE": _Machine.memoize,
    "EMPTY_LIST": _Machine.empty_list,
    "LIST": _Machine.list_of,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "EMPTY_TUPLE": _Machine.empty_tuple,
    "TUPLE": _Machine.tuple_of,
    "TUPLE1": lambda machine, _: machine.last(1),
    "TUPLE2": lambda machine, _: machine.last(2),
    "TUPLE3": lambda machine, _: machine.last(3),
    "EMPTY_DICT": _Machine.empty_dict,
    "DICT": _Machine.dict_of,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.global_of,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}


class _Finisher:
    """Turns what was under construction into what it stands for, each thing once however often it is shared."""

    def __init__(self, n_bytes: int) -> None:
        self._made: dict[int, Any] = {}
        self._budget = _Budget(n_bytes)

    def finish(self, made: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"lists nested deeper than {_DEEPEST}")
        if isinstance(made, (list, tuple, _Array, _Pairs)):
            # Finished once each, so that lists which share parts cannot make this endless.
            if id(made) not in self._made:
                self._made[id(made)] = self._finish_items(made, depth)
            return self._made[id(made)]
        if isinstance(made, int) and made.bit_length() > 64:
            raise ValueError(f"it holds a whole number of {made.bit_length()} bits, at most 64 are read")
        if isinstance(made, _Type):
            return str(made.dtype)
        if made is None or isinstance(made, (str, bytes, bool, int, float, np.generic)):
            return made
        raise ValueError(f"it holds {type(made).__name__}")

    def _finish_items(self, made: Any, depth: int) -> Any:
        if isinstance(made, _Pairs):
            return {_key(key): self.finish(value, depth + 1) for key, value in made.items}
        items = made.items if isinstance(made, _Array) else made
        if items is None:
            raise ValueError("an array was begun and never filled")
        if isinstance(items, (list, tuple)):
            items = [self.finish(item, depth + 1) for item in items]
        if not isinstance(made, _Array):
            return items
        if isinstance(items, list):
            filled = np.empty(len(items), object)
            for position, item in enumerate(items):  # one by one: numpy would unpack lists of equal length
                filled[position] = item
            items = filled
        elif not items.dtype.isnative:
            self._budget.spend(items.nbytes)
            items = items.astype(items.dtype.newbyteorder("="))
        return items.reshape(tuple(made.shape), order="F" if made.fortran else "C")


def _key(key: Any) -> str | int:
    key = key.item() if isinstance(key, np.generic) else key
    if isinstance(key, str) or (isinstance(key, int) and abs(key) < _MOST_KEY):
        return key
    raise ValueError(
        f"a dictionary has the key {key!r:.40} ({type(key).__name__}); text and whole numbers are admitted"
    )
