"""Pickles of unknown origin, read by a machine of our own: it makes arrays, text, numbers, lists and dictionaries, and
can do nothing else. Python's ``pickle`` is not used, so nothing that a file names is ever imported or called.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

from .pickled_parts import FUNCTIONS, Array, Budget, Finisher, Function, Pairs, Type

_MOST_STEPS = 30_000_000
"""Steps of the longest pickle that is read; the statistics of one suite2p cell take about 250."""


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = frozenset(
    """INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    BINBYTES SHORT_BINBYTES BINBYTES8""".split()  # noqa: SIM905 (a list literal would be 16 lines)
)
"""Steps whose argument is the value."""
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")


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
        if not isinstance(made, Array):
            raise ValueError(f"it holds {type(made).__name__}, no array")
        return np.asarray(Finisher(n_bytes).finish(made, 0))
    except RawFileError:
        raise
    except Exception as error:  # a hostile pickle can make a stack machine raise nearly anything
        raise RawFileError(
            f"{where}: refused, the pickled objects are not plain arrays, text and numbers: {error}"
        ) from error


class _Machine:
    """Takes the steps of a pickle, one by one."""

    def __init__(self, where: str, n_bytes: int) -> None:
        self._where, self._n_bytes = where, n_bytes
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._budget = Budget(n_bytes)

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
        self._stack.append(Pairs())

    def dict_of(self, _: Any) -> None:
        pairs = Pairs()
        pairs.extend(self._above_mark())
        self._stack.append(pairs)

    def set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._pairs().extend([key, value])

    def set_items(self, _: Any) -> None:
        above = self._above_mark()
        self._pairs().extend(above)

    def _pairs(self) -> Pairs:
        if not isinstance(self._stack[-1], Pairs):
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

    def _find(self, module: str, name: str) -> Function:
        if (module, name) not in FUNCTIONS:
            raise RawFileError(
                f"{self._where}: refused, reading it would call {module}.{name}; only arrays, text and numbers are "
                "read. Do not open this file with other tools unless you trust whoever made it"
            )
        return FUNCTIONS[module, name]

    def reduce(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Function) or type(arguments) is not tuple:
            raise ValueError("it calls something that is no function")
        made = function.call(*arguments)
        self._budget.spend(
            made.nbytes if isinstance(made, np.generic) else len(made) if isinstance(made, (str, bytes)) else 0
        )
        self._stack.append(made)

    def build(self, _: Any) -> None:
        state = self._stack.pop()
        if not isinstance(self._stack[-1], (Array, Type, Function)):
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
