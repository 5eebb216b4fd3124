"""Which dimension of a matrix is time, which counts channels, and which trials."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._variables_inventory import Inventory
from ._variables_names import is_behavior_name, is_channel_name, is_neural_name, is_picture_name, is_stimulus_name
from ._variables_tree import Array

_FEWEST_SAMPLES = 20
"""Shortest dimension that is taken for time where the file has no times."""

_FEWEST_PIXELS = 100
"""Two more dimensions at least this long, with no label for either, are those of images: a film is no table of trials."""

CHANNEL_FIRST = "channel_first"


def _is_sampled(path: str) -> bool:
    return is_behavior_name(path) or is_stimulus_name(path) or is_neural_name(path)


@dataclass(frozen=True)
class Axes:
    """Which dimension is what; ``trial`` is None where there are no trials; ``source`` says how it is known."""

    time: int
    channels: tuple[int, ...]
    trial: int | None
    source: str


@dataclass
class Orienter:
    """Finds the axes of matrices, largest first; each one found helps with the next."""

    found: Inventory
    orientation: str = "auto"
    lengths: dict[int, str] = field(default_factory=dict)
    """Number of samples → how it is known."""
    trials: dict[tuple[int, int], str] = field(default_factory=dict)
    """Numbers of trials and of their samples → how they are known."""

    def __post_init__(self) -> None:
        for times in self.found.times:
            self.lengths.setdefault(times.length, f"length of {times.path}")

    def find(self, array: Array, *, largest: bool) -> Axes | None:
        """Return the axes of a matrix with two or three dimensions, None where it has no time."""
        long = array.long_axes
        timed = [axis for axis in long if any(times.length == array.shape[axis] for times in self.found.times)]
        if len(long) > 3 or (is_picture_name(array.path) and not timed):
            return None
        for trial, time in (long, long[::-1]) if len(long) == 2 else ():
            source = self.trials.get((array.shape[trial], array.shape[time]))
            if source is not None and array.shape[trial] != array.shape[time] and not timed:
                return Axes(time, (), trial, source)
        chosen = self._choose(array, long, timed, largest)
        if chosen is None:
            return None
        axis, source = chosen
        rest = tuple(other for other in long if other != axis)
        if len(rest) == 1:
            return Axes(axis, rest, None, source)
        trial = self._trial_axis(array, axis, rest)
        return Axes(axis, tuple(other for other in rest if other != trial), trial, source)

    def _choose(self, array: Array, long: tuple[int, ...], timed: list[int], largest: bool) -> tuple[int, str] | None:
        if len(timed) == 1:
            return timed[0], self.lengths[array.shape[timed[0]]]
        if self.orientation != "auto" and len(long) == 2:
            return long[-1 if self.orientation == CHANNEL_FIRST else 0], f"option orientation={self.orientation}"
        if len(timed) > 1 and len({array.shape[axis] for axis in timed}) > 1:
            axis = max(timed, key=lambda axis: array.shape[axis])
            return axis, f"{self.lengths[array.shape[axis]]}, the longer of two that fit"
        if len({array.shape[axis] for axis in long}) < len(long) and len(long) == 2:
            return None  # square: a connectome rather than a recording
        if len(long) == 3:
            return self._longest(array, long)
        known = [axis for axis in long if array.shape[axis] in self.lengths]
        if len(known) == 1:
            return known[0], self.lengths[array.shape[known[0]]]
        return self._vote(array, long, largest)

    def _vote(self, array: Array, long: tuple[int, ...], largest: bool) -> tuple[int, str] | None:
        """The dimension that other variables share, the longest where none or several do."""
        votes = {axis: self._sharers(array, array.shape[axis]) for axis in long}
        shared = [axis for axis in long if votes[axis] and array.shape[axis] >= _FEWEST_SAMPLES]
        # What an animal does has samples; numbers without a name may as well be one per channel.
        sampled = [axis for axis in shared if any(_is_sampled(path) for path in votes[axis])]
        shared = sampled or shared
        if len(shared) == 1:
            return shared[0], f"dimension shared with {votes[shared[0]][0]}"
        axis = max(shared or long, key=lambda axis: array.shape[axis])
        trusted = largest or is_neural_name(array.path)
        if array.shape[axis] < _FEWEST_SAMPLES or not trusted or is_channel_name(array.path):
            return None
        return axis, "the longest dimension (assumed)"

    def _longest(self, array: Array, long: tuple[int, ...]) -> tuple[int, str] | None:
        """Of three dimensions without times: the longest that has neither one label per trial nor one per channel."""
        labels = {vector.size for vector in self.found.vectors} | {len(text.rows) for text in self.found.texts}
        free = [axis for axis in long if array.shape[axis] not in labels] or list(long)
        axis = max(free, key=lambda axis: array.shape[axis])
        others = [array.shape[other] for other in long if other != axis]
        if array.shape[axis] < _FEWEST_SAMPLES or (min(others) >= _FEWEST_PIXELS and len(free) == 3):
            return None
        return axis, "the longest of three dimensions (assumed)"

    def _sharers(self, array: Array, length: int) -> list[str]:
        """Variables with a dimension of this length that are not facts about channels, images or connectomes."""
        return [
            other.path
            for other in [*self.found.matrices, *self.found.vectors]
            if other.path != array.path
            and length in other.shape
            and not is_channel_name(other.path)
            and not is_picture_name(other.path)
            and not (len(other.long_axes) == 2 and other.shape[other.long_axes[0]] == other.shape[other.long_axes[1]])
        ]

    def _trial_axis(self, array: Array, time: int, rest: tuple[int, ...]) -> int:
        """The dimension of trials: one label per trial tells, else the place that this kind of file gives them."""
        per_trial = {vector.size for vector in self.found.vectors if not is_channel_name(vector.path)}
        per_channel = {len(text.rows) for text in self.found.texts if is_channel_name(text.path)}
        fits = [axis for axis in rest if array.shape[axis] in per_trial and array.shape[axis] not in per_channel]
        if len(fits) == 1:
            return fits[0]
        if time == max(array.long_axes):  # (trial, channel, time)
            return rest[0]
        if time == min(array.long_axes):  # (time, channel, trial)
            return rest[-1]
        return rest[0] if self.found.tree.trials_first else rest[-1]
