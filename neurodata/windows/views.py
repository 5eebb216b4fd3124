"""Views of a signal that a run asks for by name, as values: they go into a config, a checkpoint and a cache key.

A view is a function from a signal to a signal that needs nothing else (`VIEWS`). It is applied to a whole recording,
once, when the recording is decoded. What needs a second signal (`regress_confounds`, `scrub`) is no such view: apply it
and store what comes out as a signal of its own. Statistics fitted on training stretches are no view either;
`running_scale` is one, for its statistics are those of the samples before.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import xarray as xr

from neurodata import names
from neurodata.checks import check_option
from neurodata.errors import LeakageError, NeurodataError
from neurodata.recording.recording import physical

if TYPE_CHECKING:
    from neurodata.windows.splits import Split

Value = bool | int | float | str | tuple[str, ...] | None
Function = Callable[..., xr.DataArray]

_FILTERS, _EEG, _FMRI, _RUNNING = (
    f"neurodata.windows.{file}" for file in ("filters", "eeg_views", "fmri_views", "running_scale")
)

VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "band_pass": _FILTERS,
        "notch": _FILTERS,
        "re_reference": _EEG,
        "remove_drift": _FMRI,
        "framewise_displacement": _FMRI,
        "running_scale": _RUNNING,
    }
)
"""What a run may ask for, and where its function is; the options are the function's own arguments. It is imported when a
run asks for it: the filters' scipy.signal alone takes most of a second, and every loading process would pay."""

_NEED_MORE = {"regress_confounds": "the confounds", "scrub": "the displacement of the head"}
"""Views of a signal that cannot be had without another one."""

_OF_THE_SPLIT = ("stretch", "fit_on")
"""Arguments that name a part of one recording: a run's stretches come from its split."""

_BOUNDS: Mapping[str, tuple[float, float]] = {
    # Every option that is a number. A config may come from anywhere, and some of these decide how much is computed.
    "low_hz": (1e-6, 1e9),
    "high_hz": (1e-6, 1e9),
    "line_hz": (1e-3, 1e9),
    "width_hz": (1e-6, 1e9),
    "order": (1, 20),
    "harmonics": (1, 1000),
    "neighbours": (1, 1000),
    "period_seconds": (1.0, 1e9),
    "radius_mm": (1e-3, 1e4),
    "seconds": (1e-6, 1e9),
    "warm_up_seconds": (0.0, 1e9),
}

_CHOICES: Mapping[str, tuple[str, ...]] = {"to": ("average", "bipolar", "laplacian")}
"""Words an option may be whose annotation only says that it is text."""

_WHOLE_RECORDING = ("subject", "recording")
"""Splits whose parts share no recording."""

_MOST_VIEWS = 32
_MOST_TEXT = 200
_MOST_TERMS = 1 << 27
"""Samples times cosines of a fit: 1 GiB, far above any BOLD series."""


@dataclass(frozen=True)
class View:
    """One view by name with all its options, a value: equal views give equal signals.

    Parameters
    ----------
    name
        One of `VIEWS`.
    options
        Arguments of that function by name; those left out get its defaults now, so that a checkpoint keeps its meaning
        when a default changes.

    Raises
    ------
    NeurodataError
        If there is no such view or option, an option is missing, or a value has the wrong type or is out of bounds.

    Examples
    --------
    >>> print(View("band_pass", {"low_hz": 1, "high_hz": 40}))
    band_pass(low_hz=1.0, high_hz=40.0, causal=True, order=4)
    """

    name: str
    options: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        object.__setattr__(self, "options", MappingProxyType(_complete(self.name, self.options)))

    def __reduce__(self) -> tuple[type[View], tuple[str, dict[str, Value]]]:
        # A read-only mapping cannot be pickled; made anew, what comes out of a pipe is checked as well.
        return View, (self.name, dict(self.options))

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.options.items())})"

    def apply(self, signal: xr.DataArray) -> xr.DataArray:
        """Return the view of a signal ``(time, channel)`` in physical units; its time stays as it is."""
        if self.options.get("method") == "cosine":
            _check_cosines(signal, self.options["period_seconds"])
        return _function(self.name)(physical(signal), **self.options)

    @property
    def reach_seconds(self) -> float:
        """How far the view looks beyond a sample into its future: 0 for none, ``math.inf`` where to the end."""
        ahead = self.name == "remove_drift" or self.options.get("causal") is False
        return math.inf if ahead else 0.0

    @property
    def keeps_channels(self) -> bool:
        """Whether the view has the channels of its signal, as many and by the same names."""
        if self.name == "re_reference":
            return self.options["to"] != "bipolar" and self.options["kind"] is None
        return self.name != "framewise_displacement"

    def to_json(self) -> dict[str, Any]:
        """Return name and options as JSON values."""
        options = {key: list(value) if isinstance(value, tuple) else value for key, value in self.options.items()}
        return {"name": self.name, "options": options}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> View:
        """Return the view `to_json` described; raises as the constructor does, and for unknown fields."""
        if not isinstance(fields, Mapping) or set(fields) != {"name", "options"}:
            raise NeurodataError(f"a view is written as {{'name': …, 'options': {{…}}}}, got {_short(fields)}")
        return cls(fields["name"], fields["options"])


def make_views(steps: Sequence[View | Mapping[str, Any] | str]) -> tuple[View, ...]:
    """Return the views that a config asks for, in the order they are applied.

    Parameters
    ----------
    steps
        Each a `View`, a name (``"remove_drift"``), a name with its options (``{"band_pass": {"low_hz": 1, "high_hz":
        40}}``), or what `View.to_json` wrote.

    Raises
    ------
    NeurodataError
        If a step is none of these, or is refused by `View`; says which step.
    """
    if isinstance(steps, str | Mapping) or not isinstance(steps, Sequence):
        raise NeurodataError(
            "views are a list, applied in its order, such as [{'notch': {'line_hz': 50}}, 'remove_drift']; "
            f"got {_short(steps)}"
        )
    if len(steps) > _MOST_VIEWS:
        raise NeurodataError(f"{len(steps)} views one after the other; at most {_MOST_VIEWS} are applied")
    views = []
    for number, step in enumerate(steps, 1):
        try:
            views.append(_view_of(step))
        except NeurodataError as error:
            raise NeurodataError(f"view {number} of {len(steps)}: {error}") from error
    return tuple(views)


def apply_views(signal: xr.DataArray, views: Sequence[View]) -> xr.DataArray:
    """Return a signal with views applied one after the other; all of it is read into memory where there are any."""
    return functools.reduce(lambda seen, view: view.apply(seen), views, signal)


def channels_after(signal: xr.DataArray, views: Sequence[View]) -> xr.DataArray:
    """Return at most one sample of a signal with the channels, and their columns, that views leave it.

    Only views that change channels are applied, and only one sample is read: the values mean nothing.
    """
    changing = [view for view in views if not view.keeps_channels]
    return apply_views(signal.isel({names.TIME: slice(0, 1)}), changing) if changing else signal


def reach_seconds(views: Sequence[View]) -> float:
    """Return how far views, one after the other, look into the future: 0 for not at all, ``math.inf`` for unbounded."""
    return math.fsum(view.reach_seconds for view in views)


def is_causal(views: Sequence[View]) -> bool:
    """Tell whether no sample of the result depends on a later one; what a forecast or a decoder in real time needs."""
    return reach_seconds(views) == 0


def check_views_leak(views: Sequence[View], split: Split | str) -> None:
    """Raise where views would make training windows of test samples.

    A view is applied to whole recordings, so one that looks at later samples needs parts that share no recording. One
    that looks back only is no such leak: a part that comes later may know what was before it. (In a split by intervals
    whose test part comes first, a causal filter still rings for about ``1 / low_hz`` or ``1 / width_hz`` seconds into
    the training part after it, and a running scale remembers for its time constant.)

    Parameters
    ----------
    views
        Of a run's inputs.
    split
        The split, which is asked whether two parts share a recording; or what it is by (`neurodata.split_by`).

    Raises
    ------
    LeakageError
        Names the views, and what to take instead.
    """
    looking = [view for view in views if view.reach_seconds > 0]
    shared = _shared(split)
    if looking and shared:
        raise LeakageError(
            f"{shared}, and these views are made of whole recordings, later samples included, so what is trained on "
            "would be made of what is scored:\n"
            + "\n".join(f"  - {view}: {_instead(view)}" for view in looking)
            + "\nor split by recording or subject"
        )


def _shared(split: Split | str) -> str:
    """Say which parts share a recording, or return nothing where none do."""
    if isinstance(split, str):
        return "" if split in _WHOLE_RECORDING else f"a split by {split} cuts recordings"
    for one, other in itertools.combinations(split.parts, 2):
        both = sorted(set(split.recordings(one)) & set(split.recordings(other)))
        if both:
            return f"{one} and {other} share {len(both)} recordings ({both[0]} for one)"
    return ""


def _instead(view: View) -> str:
    if "causal" in view.options:
        return "take causal=True (the default)"
    return "take band_pass with low_hz for the slowest that is to stay, high_hz: null and causal: true"


def _view_of(step: Any) -> View:
    if isinstance(step, View):
        return step
    if isinstance(step, str):
        return View(step)
    if isinstance(step, Mapping) and "name" in step:
        return View.from_json(step)
    if isinstance(step, Mapping) and len(step) == 1:
        ((name, options),) = step.items()
        return View(name, {} if options is None else options)
    raise NeurodataError(f"expected a name, or one name with its options as in {{'notch': {{'line_hz': 50}}}}; got {_short(step)}")  # fmt: skip


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or len(name) > _MOST_TEXT:
        raise NeurodataError(f"a view's name is text, one of {', '.join(VIEWS)}; got {_short(name)}")
    if name in _NEED_MORE:
        raise NeurodataError(
            f"{name!r} needs {_NEED_MORE[name]} beside the signal, so a run cannot ask for it by name; apply it "
            f"(neurodata.windows.fmri_views.{name}) and store the result as a signal. Known: {', '.join(VIEWS)}"
        )
    check_option("view", name, VIEWS)


def _function(name: str) -> Function:
    function: Function = getattr(importlib.import_module(VIEWS[name]), name)
    return function


@functools.cache
def _arguments(name: str) -> dict[str, tuple[Any, Any]]:
    """Annotation and default of each option of a view (`inspect.Parameter.empty` where it must be given)."""
    function = _function(name)
    hints = get_type_hints(function)
    _, *options = inspect.signature(function).parameters.values()
    return {option.name: (hints[option.name], option.default) for option in options if option.name not in _OF_THE_SPLIT}


def _complete(name: str, given: Any) -> dict[str, Value]:
    """All options of a view, checked, in the order of its function's signature."""
    if not isinstance(given, Mapping):
        raise NeurodataError(f"the options of view {name!r} are names with values, got {_short(given)}")
    arguments = _arguments(name)
    for key in given:
        if not isinstance(key, str) or len(key) > _MOST_TEXT:
            raise NeurodataError(f"an option of view {name!r} is named by text, got {_short(key)}")
        if key in _OF_THE_SPLIT and key in inspect.signature(_function(name)).parameters:
            raise NeurodataError(
                f"{key!r} of view {name!r} is a part of one recording, and a run's come from its split"
            )
        check_option(f"{name} option", key, arguments)
    values: dict[str, Value] = {}
    for key, (annotation, default) in arguments.items():
        if key not in given and default is inspect.Parameter.empty:
            raise NeurodataError(f"view {name!r} needs the option {key!r}: {_said(annotation)}")
        values[key] = _checked(name, key, given.get(key, default), annotation)
    return values


def _checked(name: str, key: str, value: Any, annotation: Any) -> Value:
    """A value as its function's annotation wants it; whole numbers where floats are wanted become floats."""
    choices = _CHOICES.get(key) or (get_args(annotation) if get_origin(annotation) is Literal else ())
    kinds = get_args(annotation) or (annotation,)
    if value is None and type(None) in kinds:
        return None
    if isinstance(value, bool):
        if bool in kinds:
            return value
    elif isinstance(value, str):
        if choices:
            check_option(f"{name} {key}", value[:_MOST_TEXT], choices)
        if choices or str in kinds:
            return value
    elif isinstance(value, Integral) and int in kinds:
        return int(_bounded(name, key, value))
    elif isinstance(value, Real) and float in kinds:
        return float(_bounded(name, key, value))
    elif isinstance(value, list | tuple) and Sequence[str] in kinds and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise NeurodataError(
        f"option {key!r} of view {name!r} is {_said(annotation)}; got {_short(value)} ({type(value).__name__})"
    )


def _bounded(name: str, key: str, value: Any) -> Any:
    low, high = _BOUNDS[key]
    if not low <= value <= high:  # refuses NaN as well
        raise NeurodataError(f"option {key!r} of view {name!r} is from {low:g} to {high:g}; got {_short(value)}")
    return value


_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Sequence[str]: "a list of texts",
}


def _said(annotation: Any) -> str:
    """An annotation in words."""
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(get_args(annotation))
    kinds = [annotation] if annotation in _WORDS else list(get_args(annotation))
    return " or ".join(_WORDS.get(kind, "null") for kind in kinds)


def _check_cosines(signal: xr.DataArray, period_seconds: Any) -> None:
    """Raise where the drifts of a long, fast signal would fill the memory."""
    size = signal.sizes[names.TIME]
    seconds = float(signal[names.TIME][-1] - signal[names.TIME][0]) if size else 0.0
    if size * 2 * seconds / period_seconds > _MOST_TERMS:
        raise NeurodataError(
            f"signal {signal.name!r} has {size} samples in {seconds:g} s, too many to fit the "
            f"{2 * seconds / period_seconds:.0f} cosines slower than {period_seconds:g} s; they are made for BOLD: take "
            "band_pass with low_hz, or a longer period_seconds"
        )


def _short(value: Any) -> str:
    """What was given, cut short: it may be a million values deep or wide."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number too long to write"
