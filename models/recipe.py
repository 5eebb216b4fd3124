"""Settings of one run, checked: what a YAML file may say and what the demo uses."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from neurodata.checks import suggest
from neurodata.errors import NeurodataError, UsageError
from neurodata.windows.splits import SplitRule, split_by

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


def _option(value: Any) -> Any:
    """A number, text, true or false, or a list of such: what an option of a network or a task can be."""
    several = value if isinstance(value, list) else [value]
    if not all(isinstance(one, (bool, int, float, str)) for one in several):
        raise ValueError("expected a number, text, true or false, or a list of these")
    if not all(isfinite(one) for one in several if isinstance(one, float)):
        raise ValueError("expected finite numbers")
    return value


def _names_or_fraction(value: Any) -> Any:
    """Names of what goes into a part of a split, or the share of each recording that does."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1:
        return float(value)
    raise ValueError("expected a list of names, or a fraction above 0 and below 1")


def _names(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, list) and value and all(isinstance(one, str) for one in value)):
        return value
    raise ValueError("expected a name, or a list of names")


def _not_empty(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        raise ValueError("expected at least one")
    return value


Options = dict[str, Annotated[Any, AfterValidator(_option)]]
NamesOrFraction = Annotated[Any, AfterValidator(_names_or_fraction)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stage(_Settings):
    """One stage of training: how many steps of which task, with what options.

    ``steps = 0`` leaves the stage out. ``batch_size`` counts windows per device. ``options`` go to the task's
    constructor.
    """

    steps: Count
    learning_rate: Positive = 5e-3
    batch_size: Annotated[int, Field(gt=0)] = 16
    options: Options = Field(default_factory=dict)


class Recipe(_Settings):
    """Everything that decides the numbers of a run, data and split aside.

    Parameters
    ----------
    inputs, target
        Names of the input signal (or of events, counted in the clock's bins) and of the decoded intervals, signal or
        events.
    identity
        What makes channels of different recordings the same one; see `neurodata.windows.spec.DataSpec`.
    rate_hz, window_seconds
        Clock and length of windows.
    views
        Filters and the like that the input signal passes, in this order; see `neurodata.windows.views.make_views`.
    scaling
        How activity is scaled for decoding: see `neurodata.batches.datamodule.RecordingDataModule`. Forecasts always
        use training statistics.
    network, network_options
        Name in the catalogue and its keyword arguments.
    pretrain, decode, forecast
        The stages; ``forecast`` is also run for the GRU.
    lags_seconds
        Lags besides 0 that the lagged baselines and the decoder's linear readout see; positive ones are later samples.
    members
        Networks trained from different seeds whose probabilities are averaged.
    horizons_seconds
        Of forecasts.
    precision, compile_network
        As for ``lightning.Trainer`` and ``torch.compile``.
    devices
        Processes that train together, one on each GPU or CPU; see `neurodata.models.train.fit`.
    seed
        Of everything.
    """

    inputs: str = "calcium"
    target: str = "state"
    identity: Literal["label", "channel_id", "order", "recording_channel", "subject_channel"] = "label"
    rate_hz: Positive = 3.0
    window_seconds: Positive = 24.0
    views: list[str | dict[str, Any]] = Field(default_factory=list)
    scaling: Literal["training", "recording", "none", "robust"] = "recording"
    network: str = "transformer"
    network_options: Options = Field(default_factory=dict)
    pretrain: Stage = Stage(steps=200)
    decode: Stage = Stage(steps=150)
    forecast: Stage = Stage(steps=250, learning_rate=3e-3)
    lags_seconds: tuple[Finite, ...] = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)
    members: Annotated[int, Field(ge=1)] = 1
    horizons_seconds: Annotated[tuple[Positive, ...], AfterValidator(_not_empty)] = (1.0, 2.0, 5.0)
    precision: Literal["32-true", "16-mixed", "bf16-mixed", "64-true"] = "32-true"
    compile_network: bool = False
    devices: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


def demo_recipe(*, quick: bool, seed: int) -> Recipe:
    """Return the demo's settings: the full recipe, or a quick one for simulated worms."""
    if not quick:
        return Recipe(seed=seed)
    stages = {"pretrain": Stage(steps=40), "decode": Stage(steps=60), "forecast": Stage(steps=60)}
    return Recipe(seed=seed, network_options={"n_layers": 1}, **stages)


class SplitSettings(_Settings):
    """Arguments of `neurodata.windows.splits.split_by`."""

    by: Literal["subject", "recording", "time", "intervals"] = "subject"
    validation: NamesOrFraction = Field(default_factory=list)
    test: NamesOrFraction = Field(default_factory=list)
    guard_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    intervals: str = "split"
    same_animal: list[list[str]] = Field(default_factory=list)

    def make_rule(self) -> SplitRule:
        """Return the rule these settings describe."""
        return split_by(
            self.by,
            validation=self.validation,
            test=self.test,
            guard_seconds=self.guard_seconds,
            intervals=self.intervals,
            same_animal=self.same_animal,
        )


class RunSettings(_Settings):
    """A YAML file for ``neurodata train``.

    Parameters
    ----------
    name
        The run is written to ``runs/<name>/``.
    store
        The store's folder.
    select
        Which recordings of the store the run is about: column of the store's table → value or values. Empty: all.
    split
        Which recordings are trained, chosen and scored on.
    recipe
        All else.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    store: str
    select: dict[str, Annotated[Any, AfterValidator(_names)]] = Field(default_factory=dict)
    split: SplitSettings
    recipe: Recipe = Recipe()


def read_settings(fields: dict[str, Any], changes: list[str]) -> RunSettings:
    """Return checked settings of a run.

    Parameters
    ----------
    fields
        What the YAML file holds.
    changes
        ``key=value`` or ``recipe.decode.steps=300``; the value is YAML.

    Raises
    ------
    NeurodataError
        Lists every unknown key and wrong value with its path.
    UsageError
        If a change is not ``key=value``.
    """
    import yaml

    fields = dict(fields)
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise UsageError(f"expected key=value, got {change!r}")
        try:
            _set(fields, path.split("."), yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise NeurodataError(f"{path}: {text!r} is not YAML: {error}") from error
    try:
        return RunSettings.model_validate(fields)
    except ValidationError as error:
        problems = [_explain(entry) for entry in error.errors(include_url=False)]
        raise NeurodataError("the settings are wrong:\n" + "\n".join(f"  - {p}" for p in problems)) from error


def _set(fields: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        inner = fields.get(key) or {}
        if not isinstance(inner, dict):
            raise NeurodataError(f"{'.'.join(path)}: {key!r} is {inner!r} and holds no keys")
        fields[key] = dict(inner)
        fields = fields[key]
    fields[path[-1]] = value


def _explain(entry: Any) -> str:
    path = ".".join(map(str, entry["loc"]))
    if entry["type"] == "extra_forbidden":
        model: type[BaseModel] = RunSettings
        for key in entry["loc"][:-1]:
            annotation = model.model_fields[str(key)].annotation if str(key) in model.model_fields else None
            model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
        return f"{path}: there is no such key{suggest(str(entry['loc'][-1]), model.model_fields)}"
    return f"{path}: {entry['msg'].removeprefix('Value error, ')}, got {entry['input']!r}"
