"""Arrays from ``.npz`` archives of unknown origin: nothing is executed and nothing is allocated on a header's word."""

from __future__ import annotations

import io
import lzma
import math
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from neurodata.errors import RawFileError

_MOST_BYTES = 8 << 30
"""Largest member that is read; an 18-minute recording of 135 neurons is 3.4 MB."""
_MOST_EXPANSION = 1200
"""Most bytes a member may give per compressed byte; deflate itself cannot exceed 1032."""
_FREE_EXPANSION = 256 << 20
"""Members up to this size may expand as they like: an all-zero array compresses a thousandfold."""
_MOST_PICKLE = 16 << 20
"""Largest member of Python objects; the published one is 2.4 kB."""

_DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
    EOFError, OSError, ValueError, NotImplementedError, RuntimeError, IndexError, OverflowError,
)  # fmt: skip
"""What the zip reader raises on damaged, encrypted or exotic archives."""

_OPCODES = frozenset(
    """PROTO FRAME STOP MARK POP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 EMPTY_LIST LIST APPEND APPENDS
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 GET BINGET LONG_BINGET PUT BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL
    REDUCE BUILD""".split()  # noqa: SIM905 (a list literal would be 44 lines)
)
"""The steps of a pickle that arrays, text, numbers, lists and tuples need."""

_DTYPE = re.compile(r"[biufUS][1-9]\d{0,5}")
_DEEPEST = 6
"""Deepest nesting of lists in an object array."""


def read_array(path: Path, key: str, *, objects: bool = False) -> NDArray[Any]:
    """Read one array of an ``.npz`` archive.

    Parameters
    ----------
    path
        The archive.
    key
        Name of the array, for example ``arr_0``.
    objects
        Whether an array of Python objects is admitted. Its pickle is read by a reader that knows numpy arrays, text,
        numbers, lists and tuples, calls nothing else, and builds the arrays itself.

    Returns
    -------
    array
        Of the file's own dtype (native byte order) and shape. Elements of an object array are arrays, lists, text
        and numbers.

    Raises
    ------
    RawFileError
        If the file is missing, truncated or damaged, lacks the array, states a shape that its bytes do not hold,
        holds a type that is neither number nor text, or pickles anything that is not admitted; the message names it.
    """
    if not path.is_file():
        raise RawFileError(f"{path}: there is no such file; the folder may be an incomplete download")
    try:
        with zipfile.ZipFile(path) as archive:
            member = _find_member(path, archive, key)
            with archive.open(member) as stream, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy warns of headers that Python 2 wrote
                return _read_member(f"{path}, array {key!r}", stream, member.file_size, objects)  # type: ignore[arg-type]
    except PermissionError as error:
        raise RawFileError(f"{path}: may not be read ({error.strerror}); ask for read access") from error
    except _DAMAGE as error:
        raise RawFileError(
            f"{path}: expected a whole .npz archive, but it is truncated or damaged ({error}); fetch the file again"
        ) from error


def _find_member(path: Path, archive: zipfile.ZipFile, key: str) -> zipfile.ZipInfo:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    if key not in names:
        shown = ", ".join(map(repr, names[:5])) or "nothing"
        raise RawFileError(
            f"{path}: expected an array {key!r}, the archive holds {shown}; is it another data set's file?"
        )
    member = archive.infolist()[names.index(key)]
    expansion = member.file_size / max(1, member.compress_size)
    if member.file_size > _MOST_BYTES or (member.file_size > _FREE_EXPANSION and expansion > _MOST_EXPANSION):
        raise RawFileError(
            f"{path}: array {key!r} claims to unpack {member.compress_size} bytes into {member.file_size}, "
            f"at most {_MOST_BYTES} and {_MOST_EXPANSION} times its size are read; the file is not a recording"
        )
    return member


def _read_member(where: str, stream: BinaryIO, n_bytes: int, objects: bool) -> NDArray[Any]:
    shape, fortran, dtype = _read_header(where, stream)
    present = n_bytes - stream.tell()
    if dtype.hasobject:
        if not objects or dtype.kind != "O":
            raise RawFileError(f"{where}: expected plain numbers, found Python objects ({dtype}); refused")
        if present > _MOST_PICKLE:
            raise RawFileError(f"{where}: {present} bytes of Python objects, at most {_MOST_PICKLE} are read")
        array = _ObjectReader(where, stream.read(present)).read()
        if array.shape != shape:
            raise RawFileError(f"{where}: the header says shape {shape}, the objects have shape {array.shape}")
        return array
    if dtype.kind not in "biufcUS" or dtype.itemsize == 0:
        raise RawFileError(f"{where}: expected numbers or text, found type {dtype}")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != present:
        raise RawFileError(
            f"{where}: the header says shape {shape} of {dtype}, which is {claimed} bytes, but {present} are there; "
            "the file is truncated or damaged, fetch it again"
        )
    values = np.frombuffer(stream.read(present), dtype).astype(dtype.newbyteorder("="), copy=False)
    return values.reshape(shape, order="F" if fortran else "C")


def _read_header(where: str, stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(stream)
        shape, fortran, dtype = readers[version](stream)
    except Exception as error:  # numpy's parser lets tokenize, syntax, memory and type errors through
        raise RawFileError(f"{where}: expected the header of a numpy array ({error}); fetch the file again") from error
    if any(size < 0 for size in shape):
        raise RawFileError(f"{where}: the header says shape {shape}; sizes are not negative")
    return shape, fortran, dtype


class _Global:
    """Stands in for one of numpy's own functions: a pickle can call it, and do nothing else with it.

    numpy's real ``dtype`` and ``ndarray`` accept states that read raw bytes as pointers, so none is ever handed out.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
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
            raise ValueError(f"it makes the type {code!r}; numbers and text are admitted")

    def __setstate__(self, state: Any) -> None:
        _, order, *structure = state
        if order not in ("<", ">", "|", "=") or any(part is not None for part in structure[:3]):
            raise ValueError("it makes a structured type; numbers and text are admitted")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """An array under construction; its numbers come from bytes that are there, its objects from a list."""

    __slots__ = ("fortran", "items", "shape")

    def __init__(self, *_: Any) -> None:
        self.items: NDArray[Any] | list[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, self.shape, kind, self.fortran, content = state
        if not isinstance(kind, _Type) or not all(type(size) is int and size >= 0 for size in self.shape):
            raise ValueError("it makes an array without a type or with an odd shape")
        if kind.dtype.kind == "O":
            if not isinstance(content, list):
                raise ValueError("it makes an array of objects from something that is no list")
            self.items = content
        else:
            self.items = _from_bytes(kind, content)
        if len(self.items) != math.prod(self.shape):
            raise ValueError(f"it gives {len(self.items)} elements to an array of shape {tuple(self.shape)}")


def _from_bytes(kind: Any, content: Any) -> NDArray[Any]:
    if not isinstance(kind, _Type) or kind.dtype.kind == "O" or not isinstance(content, bytes):
        raise ValueError("it makes numbers from something that is not bytes of a known type")
    return np.frombuffer(content, kind.dtype).astype(kind.dtype.newbyteorder("="), copy=False)


def _scalar(kind: Any, content: Any) -> Any:
    values = _from_bytes(kind, content)
    if len(values) != 1:
        raise ValueError(f"it makes one number from {len(values)}")
    return values[0]


_NDARRAY = _Global(_Array)
_GLOBALS = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Global(_Type),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Global(_Array) for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Global(_scalar) for core in ("core", "_core")},
}


class _ObjectReader(pickle.Unpickler):
    """Reads the pickle of an object array; whatever is not an array, text, number, list or tuple is refused."""

    def __init__(self, where: str, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._where, self._data = where, data
        self._made: dict[int, Any] = {}

    def read(self) -> NDArray[Any]:
        """Return the array."""
        self._check_opcodes()
        try:
            made = self.load()
            if not isinstance(made, _Array):
                raise ValueError(f"it holds {type(made).__name__}, no array")
            return np.asarray(self._finish(made, 0))
        except RawFileError:
            raise
        except Exception as error:  # a hostile pickle can make the reader raise nearly anything
            raise RawFileError(
                f"{self._where}: refused, the pickled objects are not plain arrays, text and numbers: {error}"
            ) from error

    def find_class(self, module: str, name: str) -> Any:
        """Give a stand-in for what arrays are made with; refuse all else by name."""
        if (module, name) not in _GLOBALS:
            raise RawFileError(
                f"{self._where}: refused, reading it would call {module}.{name}; only arrays, text and numbers are "
                "read. Do not open this file with other tools unless you trust whoever made it"
            )
        return _GLOBALS[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to objects outside the file."""
        raise RawFileError(f"{self._where}: refused, it refers to an object outside the file ({pid!r})")

    def _check_opcodes(self) -> None:
        """Walk through the steps without taking any: lengths lie inside the data, none is of a kind unknown here."""
        try:
            for opcode, argument, position in pickletools.genops(self._data):
                if opcode.name not in _OPCODES:
                    detail = "" if argument is None else f" ({argument!r:.80})"
                    raise RawFileError(
                        f"{self._where}: refused, byte {position} of the pickle is the step {opcode.name}{detail}, "
                        "which arrays, text and numbers do not need"
                    )
                # The reader allocates a memo as long as its highest number.
                if opcode.name in ("PUT", "LONG_BINPUT") and not 0 <= int(argument or 0) <= len(self._data):
                    raise RawFileError(
                        f"{self._where}: refused, memo number {argument} at byte {position} of the pickle"
                    )
        except ValueError as error:
            raise RawFileError(
                f"{self._where}: the pickle is truncated or damaged ({error}); fetch it again"
            ) from error

    def _finish(self, made: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise ValueError(f"lists nested deeper than {_DEEPEST}")
        if isinstance(made, (list, _Array)):
            # Each is finished once, so that lists which share parts cannot make this endless.
            if id(made) not in self._made:
                self._made[id(made)] = self._finish_items(made, depth)
            return self._made[id(made)]
        if made is None or isinstance(made, (str, bytes, bool, int, float, np.generic)):
            return made
        raise ValueError(f"it holds {type(made).__name__}")

    def _finish_items(self, made: Any, depth: int) -> Any:
        items = made.items if isinstance(made, _Array) else made
        if items is None:
            raise ValueError("an array was begun and never filled")
        if isinstance(items, list):
            items = [self._finish(item, depth + 1) for item in items]
        if not isinstance(made, _Array):
            return items
        if isinstance(items, list):
            filled = np.empty(len(items), object)
            for position, item in enumerate(items):  # one by one: numpy would unpack lists of equal length
                filled[position] = item
            items = filled
        return items.reshape(tuple(made.shape), order="F" if made.fortran else "C")
