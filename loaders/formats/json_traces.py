"""Traces in JSON: WormWideWeb's worms, and plain lists with times and names."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from neurodata import names
from neurodata.errors import RawFileError
from neurodata.recording.recording import Recording
from neurodata.recording.timed import clock_of, make_signal

from ..base import Claim
from ..format_loader import FormatLoader
from ._calcium_behavior import behavior_signals, sample_events, state_intervals
from ._calcium_json import WORDS, Parsed, parse, session_of
from ._calcium_names import WORM, name_channels
from ._calcium_rate import check_rate_option, regular_or_not
from ._tables_json import levels, mentions, read_json, sections

_KEPT = ("uid", "dataset_type", "paper_id", "max_t", "num_neurons", "n_neuron", "avg_timestep", "mean_timestep")
_SPECIES = {"c. elegans": WORM, "celegans": WORM, "worm": WORM, "mouse": "Mus musculus", "zebrafish": "Danio rerio"}


class JsonTraces(FormatLoader):
    """Traces in ``.json`` files: the worms of WormWideWeb (Flavell lab), old and new layout, and plain JSON of others.

    WormWideWeb:

    - ``signals/calcium``: ``trace_original`` (``trace_array_original``), ratios as measured, in arbitrary units;
      ``signals/calcium_zscored``: ``trace_array``. Where only the latter is there it is ``calcium``, its units
      ``z-score``. The file is (neuron, time).
    - Labels of neurons (``labeled``, ``label``) by number, which counts from 1: canonical ``label`` (certain or empty),
      ``label_raw``, and what else the file says (``rating`` is its ``confidence`` of 0 … 5; ``neuron_class``, ``LR``,
      ``DV``, ``region``, ``roi_id``, ``comments``).
    - Every list with one number per sample is a signal of its own (``velocity``, ``head_curvature``, ``pumping`` …) on
      the same clock, ``role`` behavior, in arbitrary units, for the files name none; keys with ``stim``, ``heat`` … are
      stimuli.
    - ``intervals/reversals``: ``reversal_events``; ``events/events``: ``event``, in samples counted from 1.
    - Times are ``timestamp_confocal`` (seconds). Without them the rate is that of ``mean_timestep`` (s) or
      ``avg_timestep`` (minutes; told from seconds and samples a minute by its size). What models found out about the
      neurons (``encoding``, ``tau_vals`` …) is not read.

    Others: a list of lists called ``traces``, ``dff``, ``calcium``, ``activity``, ``F`` … (turned by its times, its
    names, or so that the longer side is time), an object with a list per neuron, a list with an object per neuron
    (``{"name": …, "trace": […]}``) or per sample, or lists of one length beside a ``time``. ``time``, ``timestamps`` …
    are in seconds; ``fps``, ``rate_hz``, ``dt`` … are read too. A list with a word per sample is intervals of states.

    Neurons' names tell that it is *C. elegans*; ``null`` and ``NaN`` are missing values. A file may have 256 MB, for it
    has to be parsed whole.

    Parameters
    ----------
    raw
        A file, or a folder that is searched for them.
    rate_hz
        Sampling rate; overrules the file's times.
    units
        Physical unit of ``calcium``, where the file does not say.
    common
        As every format: ``dataset``, ``name``, ``subject``, ``species``.

    References
    ----------
    Atanas AA et al. 2023, Cell 186:4134-4151, doi:10.1016/j.cell.2023.07.035; https://wormwideweb.org
    """

    version: ClassVar[int] = 1
    specificity: ClassVar[int] = 1

    def __init__(
        self, raw: str | Path, *, rate_hz: float | None = None, units: str | None = None, **common: str | None
    ) -> None:
        super().__init__(raw, rate_hz=rate_hz, units=units, **common)
        check_rate_option(rate_hz)
        self.rate_hz, self.units = rate_hz, units

    @classmethod
    def claim(cls, path: Path) -> list[Claim]:
        """Return the traces that a file holds.

        Raises
        ------
        RawFileError
            If it mentions traces and cannot be parsed.
        """
        if path.suffix.lower() != ".json" or not path.is_file() or path.stat().st_size < 100:
            return []
        if not mentions(path, WORDS):
            return []
        return [Claim(path, (path,))] if _parsed(path)[0] is not None else []

    def read(self, session: str, claim: Claim) -> Recording:
        """Return one file.

        Raises
        ------
        RawFileError
            If lists are not of one length, or a label is of a neuron that is not there.
        """
        path = claim.path
        parsed, found = _parsed(path)
        if parsed is None:
            raise RawFileError(f"{path}: expected JSON with traces; did the file change?")
        n_time, n_channels = parsed.traces["calcium"].shape
        stated = WORM if parsed.is_worm_wide_web and self.species is None else self.species
        numbered = "neuron" if parsed.is_worm_wide_web else ""
        named = name_channels(parsed.labels or [""] * n_channels, path.name, species=stated, numbered=numbered)
        clock, said, problems = self._clock(path, parsed, n_time)
        signals = {
            signal: make_signal(
                values,
                channel_id=named.channel_id,
                units=self.units if self.units and signal == "calcium" else parsed.units[signal],
                columns={**parsed.columns, **named.columns},
                sampling_rate_source=said,
                **clock,
            )
            for signal, values in parsed.traces.items()
        }
        for key, there in (("max_t", n_time), ("num_neurons", n_channels), ("n_neuron", n_channels)):
            if isinstance(found.get(key), int) and found[key] != there:
                problems.append(f"{key!r} is {found[key]}, the traces have {there}")
                warnings.warn(f"{path}: {problems[-1]}", stacklevel=2)
        times = _edges(signals["calcium"])
        signals |= behavior_signals(parsed, found, clock, said)
        extra: dict[str, Any] = {"label_problems": list(named.problems)} if named.problems else {}
        extra |= {"problems": problems} if problems else {}
        kept = {key: found[key] for key in _KEPT if _is_plain(found.get(key))}
        extra |= {"file_says": kept} if kept else {}
        uid = session_of(found)
        species = named.species or (WORM if parsed.is_worm_wide_web else _species(found))
        metadata = self.describe(
            session,
            modality="calcium",
            subject={"id": uid, "species": species},
            session=uid,
            extra=extra or None,
        )
        return Recording(
            metadata, signals, events=sample_events(found, times), intervals=state_intervals(parsed, found, times)
        )

    def _clock(self, path: Path, parsed: Parsed, n_time: int) -> tuple[dict[str, Any], str, list[str]]:
        """What `make_signal` takes for time, where it is from, and what is wrong with the file's times."""
        problems: list[str] = []
        time = parsed.time
        if time is not None and (len(time) != n_time or not np.isfinite(time).all() or (np.diff(time) <= 0).any()):
            problems.append(f"{parsed.time_key!r} ({len(time)} times) does not increase over the {n_time} samples")
            warnings.warn(f"{path}: {problems[0]}; it is not used", stacklevel=3)
            time = None
        if self.rate_hz is not None:
            overruled = parsed.time_key if time is not None else parsed.rate_source
            said = "option rate_hz" + (f" ({overruled} is overruled)" if overruled else "")
            return {"rate_hz": self.rate_hz, "start_seconds": 0.0 if time is None else float(time[0])}, said, problems
        if time is not None:
            return regular_or_not(time), parsed.time_key, problems
        if parsed.rate_hz is not None:
            return {"rate_hz": parsed.rate_hz}, parsed.rate_source, problems
        return {}, "unknown", problems


_last: dict[tuple[str, int, int], tuple[Parsed | None, dict[str, Any]]] = {}


def _parsed(path: Path) -> tuple[Parsed | None, dict[str, Any]]:
    """What a file holds; the last one is kept, for it is claimed and then read."""
    status = path.stat()
    key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
    if key not in _last:
        _last.clear()  # before parsing: two files at once would take twice the memory
        parsed = None
        for content in levels(read_json(path)):
            parsed = parse(path, content)
            if parsed is not None:
                break
        listed = reversed(list(sections(content))) if isinstance(content, dict) and parsed is not None else ()
        found = {str(name): value for name, value in listed if parsed is None or name not in parsed.used}
        _last[key] = (parsed, found)
    return _last[key]


def _edges(signal: Any) -> NDArray[np.float64] | None:
    """Time of each sample and of the end of the last one, in seconds; None where the rate is unknown."""
    clock = clock_of(signal)
    if clock is not None and clock.unit != names.SECONDS:
        return None
    times = np.asarray(signal[names.TIME].values, np.float64)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return np.append(times, times[-1] + step) if len(times) else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return 0 < len(value) <= 20 and all(isinstance(item, str) and item.isprintable() for item in value)
    if isinstance(value, float):
        return bool(np.isfinite(value))
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, (bool, int)) and abs(value) < 1 << 53


def _species(found: dict[str, Any]) -> str:
    said = found.get("species")
    text = said.strip() if isinstance(said, str) else ""
    words = text.split()
    if len(words) == 2 and text.isascii() and words[0].isalpha() and words[0].istitle() and words[1].islower():
        return text if words[1].isalpha() else ""
    return _SPECIES.get(text.lower(), "")
