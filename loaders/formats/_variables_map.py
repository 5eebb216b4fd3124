"""The map that says which variable is what (docs/variable-maps.md), checked before any data are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from neurodata.checks import is_safe_part
from neurodata.errors import RawFileError

_MOST_BYTES = 1 << 20
_TIME_UNITS = {
    "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "minutes": 60.0, "seconds": 1.0, "milliseconds": 1e-3,
    "microseconds": 1e-6, "h": 3600.0,
}  # fmt: skip
_AXES = ("time", "channel", "trial")


def _number(value: Any) -> Any:
    """YAML 1.1 takes ``1e3`` for text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def seconds_per(unit: str) -> float | str:
    """Return the seconds of one unit of time (``s``, ``ms``, ``us``, ``1e-4 s`` …).

    For ``samples@RATE`` it is one over the rate; where the rate is a variable, its path comes back.

    Raises
    ------
    ValueError
        If it is no such unit.
    """
    if unit.startswith("samples@"):
        rate = _number(unit.removeprefix("samples@").strip())
        if isinstance(rate, str):
            return rate
        if not 0 < rate < float("inf"):
            raise ValueError(f"a rate is a positive number of samples per second, got {unit!r}")
        return float(1.0 / rate)
    match = re.fullmatch(r"(?:([0-9.eE+-]+)\s+)?([a-z]+)", unit.strip())
    factor = 1.0 if match is None or match[1] is None else _number(match[1])
    if match is None or match[2] not in _TIME_UNITS or not isinstance(factor, float) or not 0 < factor < float("inf"):
        raise ValueError(f"expected a unit of time such as s, ms, us, '1e-4 s' or samples@1000, got {unit!r}")
    return factor * _TIME_UNITS[match[2]]


def _check_unit(unit: str) -> str:
    seconds_per(unit)
    return unit


def _check_orientation(value: str) -> str:
    axes = tuple(part.strip() for part in value.split(","))
    if value in ("channel_first", "time_first"):
        return value
    if len(set(axes)) < len(axes) or not set(axes) <= set(_AXES) or "time" not in axes:
        raise ValueError(f"expected channel_first, time_first or a list such as 'trial, channel, time', got {value!r}")
    return value


def _check_name(value: str) -> str:
    if not is_safe_part(value):
        raise ValueError(f"a name is made of letters, digits and _ . + = -, got {value!r}")
    return value


Name = Annotated[str, AfterValidator(_check_name)]
TimeUnit = Annotated[str, AfterValidator(_check_unit)]
NumberOrPath = Annotated[float | str, BeforeValidator(_number)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SignalMap(_Strict):
    """One signal: which variable, how it lies, on which clock."""

    variable: str
    orientation: Annotated[str, AfterValidator(_check_orientation)] | None = None
    units: str = "a.u."
    role: Literal["neural", "behavior", "stimulus"] = "neural"
    rate_hz: NumberOrPath | None = None
    start_seconds: NumberOrPath = 0.0
    time: str | None = None
    time_unit: TimeUnit = "s"
    channel_id: str | list[str] | None = None
    labels: str | list[str] | None = None
    columns: dict[Name, str] = Field(default_factory=dict)
    scale: NumberOrPath | None = None
    offset: NumberOrPath | None = None

    @model_validator(mode="after")
    def _one_clock(self) -> SignalMap:
        if self.time is not None and self.rate_hz is not None:
            raise ValueError("give 'time' or 'rate_hz', not both: the rate follows from the times")
        return self


class EventMap(_Strict):
    """One table of events; ``unit_of`` makes it spikes of several units."""

    variable: str
    unit: TimeUnit = "s"
    unit_of: str | None = None
    label: str | None = None
    columns: dict[Name, str] = Field(default_factory=dict)


class IntervalMap(_Strict):
    """One table of intervals: two variables, or one with two columns."""

    start: str | None = None
    stop: str | None = None
    variable: str | None = None
    unit: TimeUnit = "s"
    label: str | None = None
    columns: dict[Name, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _edges(self) -> IntervalMap:
        if (self.variable is None) == (self.start is None or self.stop is None):
            raise ValueError("give 'start' and 'stop', or 'variable' with two columns")
        return self


class RecordingsMap(_Strict):
    """One recording per element of an array; ``name`` is a variable of each element."""

    each: str
    name: str | None = None


class VariableMap(_Strict):
    """Which variable is what."""

    signals: dict[Name, SignalMap] = Field(default_factory=dict)
    events: dict[Name, EventMap] = Field(default_factory=dict)
    intervals: dict[Name, IntervalMap] = Field(default_factory=dict)
    recordings: RecordingsMap | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something(self) -> VariableMap:
        if not (self.signals or self.events or self.intervals):
            raise ValueError("it names no signal, event or interval")
        unknown = set(self.metadata) - set(METADATA)
        if unknown:
            raise ValueError(f"metadata has no {sorted(unknown)[0]!r}; known: {', '.join(METADATA)}")
        return self


METADATA = ("subject", "species", "modality", "session_start", "session", "device", "task", "description", "licence", "citation")  # fmt: skip
"""Fields of the metadata that a map may state; ``subject`` is an id or a dictionary with ``id``, ``sex``, ``age`` …"""


def read_map(path: Path) -> VariableMap:
    """Read a map.

    Raises
    ------
    RawFileError
        If the file is no YAML, or says something that a map does not know; lists every problem with its place.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise RawFileError(f"{path}: {path.stat().st_size} bytes, a map has at most {_MOST_BYTES}")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RawFileError(f"{path}: expected a map in YAML ({error})") from error
    if not isinstance(content, dict):
        raise RawFileError(f"{path}: expected a map with 'signals', 'events' or 'intervals' (docs/variable-maps.md)")
    try:
        return VariableMap.model_validate(content)
    except ValidationError as error:
        lines = [
            f"  - {'/'.join(map(str, entry['loc'])) or 'the map'}: {entry['msg'].removeprefix('Value error, ')}"
            for entry in error.errors(include_url=False)
        ]
        raise RawFileError(
            f"{path}: the map is not understood in {len(lines)} places (docs/variable-maps.md):\n" + "\n".join(lines)
        ) from error
