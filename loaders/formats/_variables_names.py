"""What labs call their variables: the words by which times, rates, events and neurons are known."""

from __future__ import annotations

import re

from ..discover import safe_name

_TAKEN = {"time", "channel", "unit", "event", "interval", "segment", "segment_start", "segment_first"}


def last_name(path: str) -> str:
    """Return a variable's own name, without the structs that hold it and without an index."""
    return re.sub(r"\[\d*\]", "", path.rpartition(".")[2])


def words(name: str) -> set[str]:
    """Return the words of a name in small letters: ``frameTimes_ms`` is ``frame``, ``times`` and ``ms``."""
    split = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", last_name(name))
    return {part.lower() for part in re.split(r"[^A-Za-z0-9]+", split) if part}


def _joined(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", last_name(name).lower())


_TIME_WORDS = {
    "t", "ts", "tt", "time", "times", "timestamp", "timestamps", "tvec", "timevec", "timevector", "taxis", "timeaxis",
    "timebase", "frametimes", "frametime", "tstamps", "tstamp", "timebins", "tbins", "edges", "binedges", "bins",
    "tout", "tspan", "seconds", "tv",
}  # fmt: skip
_EVENT_WORDS = {
    "spike", "spikes", "spk", "spks", "event", "events", "lick", "licks", "reward", "rewards", "onset", "onsets",
    "offset", "offsets", "stim", "stims", "cue", "cues", "press", "presses", "pulse", "pulses", "trigger", "triggers",
    "ttl", "ttls", "ap", "aps", "trial", "trials", "go", "choice", "response", "ripple", "ripples", "st", "spiketimes",
    "eventtimes", "licktimes", "rewardtimes", "stimtimes", "start", "starts", "stop", "stops", "end", "ends",
}  # fmt: skip
_SPIKE_WORDS = {"spike", "spikes", "spk", "spks", "ap", "aps", "st", "spiketimes", "spiketrain", "spiketrains", "train", "trains"}  # fmt: skip
_RATE_NAMES = {
    "fs", "rate", "fps", "srate", "samprate", "samplerate", "samplingrate", "samplingfrequency", "samplefrequency",
    "samplingfreq", "sfreq", "framerate", "imagingrate", "sf", "fsample", "hz", "ratehz", "freq", "frequency",
    "volumerate", "scanrate", "imrate", "imfs", "cafs", "eegfs", "fr", "fhz", "samplefreq", "acqrate", "fsamp", "sr",
}  # fmt: skip
_PERIOD_NAMES = {
    "dt", "tr", "binsize", "binwidth", "frameperiod", "sampleperiod", "samplingperiod", "samplinginterval",
    "sampleinterval", "frameinterval", "timestep", "tstep", "deltat", "repetitiontime", "bin", "framedur",
    "frameduration", "tbin",
}  # fmt: skip
_CHANNEL_WORDS = {
    "centroid", "centroids", "roi", "rois", "xy", "xyz", "coord", "coords", "coordinates", "snr", "iscell", "label",
    "labels", "id", "ids", "name", "names", "depth", "depths", "cluster", "clusters", "region", "regions", "area",
    "areas", "electrode", "electrodes", "channel", "channels", "chan", "chans", "chanlocs", "elec", "location",
    "locations", "quality", "tuning", "neuronid", "cellid", "unitid",
}  # fmt: skip
_LABEL_WORDS = {"label", "labels", "name", "names", "channel", "channels", "chan", "chans", "electrode", "electrodes", "roi", "rois", "neuron", "neurons", "region", "regions", "columns"}  # fmt: skip
_PLACE_WORDS = {"centroid", "centroids", "xy", "xyz", "coord", "coords", "coordinates", "location", "locations", "elec"}
_UNIT_WORDS = {
    "clu", "cluster", "clusters", "unit", "units", "neuron", "neurons", "cell", "cells", "index", "id", "ids", "spikeid",
}  # fmt: skip
_BEHAVIOR = re.compile(
    r"pos|vel|speed|hand|run|wheel|pupil|lick|force|beh|kin|cursor|joint|angle|head|whisk|face|motion|ball|treadmill|"
    r"emg|state|accel|target|finger|eye|gaze|turn|curvature|locom"
)
_STIMULUS = re.compile(r"stim|visual|audio|sound|odou?r|light|opto|laser|contrast|grating|image_?id|led")
_PICTURE = re.compile(
    r"img|image|mask|template|corr|connect|weight|coef|stat|dist|kernel|filter|psd|spectr|covar|contour|spatial|pix|"
    r"footprint|adjacen|matrix|receptive|waveform|^(a|sc|len|cm|fc|map|maps|strf|rf|pca|pcs|a_or|cn)$"
)
_NEURAL = re.compile(
    r"dff|df_?f|df_over_f|deltaf|fluo|calcium|gcamp|^ca$|^ca_|deconv|trace|spike|spk|rates?$|firing|lfp|eeg|ecog|meg|bold|"
    r"neural|neuron|^f$|^f_|^c$|^s$|^activity|raster|counts?$|^mua|csd|units?$|^y?data$|^d$|^x$|^tc$|^ts$|^bold"
)
_MODALITIES = (
    ("seeg", r"seeg|stereo_?eeg"), ("ecog", r"ecog|ieeg"), ("eeg", r"eeg"), ("meg", r"(^|[^a-z])meg"),
    ("fmri", r"fmri|bold|(^|_)tr$"), ("lfp", r"lfp|csd"),
    ("calcium", r"dff|df_?f|deltaf|fluo|calcium|gcamp|(^|_|\.)ca(_|$)|deconv|suite2p|caiman|neuropil|fneu"),
    ("spikes", r"spike|spk|firing|unit|raster|mua|(^|_)aps?$"),
)  # fmt: skip
_MS, _US, _MINUTES = {"ms", "msec", "msecs", "millis", "milliseconds"}, {"us", "usec", "microseconds"}, {"min", "mins", "minutes"}  # fmt: skip


def is_time_name(path: str) -> bool:
    """Tell whether a variable is called as times of samples are."""
    found = words(path)
    named = bool(found & _TIME_WORDS) or _joined(path) in _TIME_WORDS or "time" in _joined(path)
    return named and not (is_event_name(path) and not found & {"bin", "bins", "edges"})


def is_event_name(path: str) -> bool:
    """Tell whether a variable is called as moments at which something happened are."""
    return bool(words(path) & _EVENT_WORDS) or _joined(path) in _EVENT_WORDS


def is_spike_name(path: str) -> bool:
    """Tell whether a variable is called as spikes are."""
    return bool(words(path) & _SPIKE_WORDS) or "spike" in _joined(path)


def is_train_name(path: str) -> bool:
    """Tell whether cells of sorted times are called as spikes are, or lie in something that is."""
    found = set().union(*(words(part) for part in re.split(r"[.\[]", path) if part))
    return is_spike_name(path) or bool(found & (_SPIKE_WORDS | _UNIT_WORDS)) or "spike" in path.lower()


def is_unit_name(path: str) -> bool:
    """Tell whether a variable is called as the numbers of units are."""
    return bool(words(path) & _UNIT_WORDS)


def is_behavior_name(path: str) -> bool:
    """Tell whether a variable is called as something the animal does."""
    return _BEHAVIOR.search(last_name(path).lower()) is not None


def is_stimulus_name(path: str) -> bool:
    """Tell whether a variable is called as something that is done to the animal."""
    return _STIMULUS.search(last_name(path).lower()) is not None


def is_place_name(path: str) -> bool:
    """Tell whether a matrix is called as the positions of channels are."""
    return bool(words(path) & _PLACE_WORDS)


def is_channel_name(path: str) -> bool:
    """Tell whether a variable is called as facts about channels are."""
    return bool(words(path) & _CHANNEL_WORDS)


def is_label_name(path: str) -> bool:
    """Tell whether a variable is called as the names of channels are."""
    return bool(words(path) & _LABEL_WORDS) or _joined(path).endswith(("labels", "names", "label", "name"))


def is_picture_name(path: str) -> bool:
    """Tell whether a matrix is called as something that has no time: an image, a connectome, weights."""
    return _PICTURE.search(last_name(path).lower()) is not None


def is_neural_name(path: str) -> bool:
    """Tell whether a variable is called as neural activity is."""
    return _NEURAL.search(last_name(path).lower()) is not None


def rate_of(path: str, value: float) -> float | None:
    """Return the rate in Hz that a scalar of this name states, None where it states none."""
    if not 0 < value < 1e7:
        return None
    name = _joined(path)
    khz = name.endswith("khz")
    name = re.sub(r"k?hz$", "", name) or "hz"
    if name in _RATE_NAMES or khz:
        return value * (1000 if khz else 1)
    unit = unit_of(path)
    plain = re.sub(r"(ms|msec|us|usec|sec|s)$", "", name) if name not in _PERIOD_NAMES else name
    if plain in _PERIOD_NAMES:
        # Nobody samples neurons at less than 0.1 Hz: a period of ten or more is in milliseconds.
        return 1.0 / (value * (unit or (1e-3 if value >= 10 else 1.0)))
    return None


def unit_of(path: str) -> float | None:
    """Return the seconds per unit that a name states (``_ms``, ``_us``, ``_min``), None where it states none."""
    found = words(path)
    for scale, names in ((1e-3, _MS), (1e-6, _US), (60.0, _MINUTES), (1.0, {"s", "sec", "secs", "seconds"})):
        if found & names:
            return scale
    return None


def units_of(path: str, *, counts: bool) -> str:
    """Return the physical unit that a name states, ``a.u.`` where it states none."""
    found, name = words(path), last_name(path).lower()
    if re.search(r"dff|df_?f|df_over_f|deltafoverf|fluo_mean", name) and "deriv" not in name:
        return "dF/F"
    if counts and is_spike_name(path):
        return "spikes/bin"
    for unit in ("uV", "mV", "cm", "mm", "deg", "rad", "Hz"):
        if unit.lower() in found:
            return unit
    return "a.u."


def modality_of(paths: list[str], *, has_spikes: bool, counts: bool) -> str:
    """Return the modality that the names of neural signals suggest, ``other`` where they suggest none."""
    for modality, pattern in _MODALITIES:
        if any(re.search(pattern, path.lower()) for path in paths):
            return modality
    return "spikes" if counts or (has_spikes and not paths) else "other"


def name_of(path: str, taken: set[str]) -> str:
    """Return a variable's path as a safe name that is not taken, and take it."""
    base = safe_name(re.sub(r"\[[\d:]*\]", "", path)).replace("..", ".")
    if base in _TAKEN:
        base = f"{base}_values"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name
