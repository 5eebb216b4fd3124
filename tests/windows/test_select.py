"""Windows lie wholly inside their stretches and leave no sample out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurodata.errors import NeurodataError
from neurodata.windows.select import make_windows
from neurodata.windows.splits import Stretch


@given(
    start=st.floats(0, 50),
    length=st.floats(4, 40),
    window=st.integers(1, 12),
    stride=st.one_of(st.none(), st.floats(0.1, 4)),
    rate_hz=st.sampled_from([1.0, 3.0, 2.5]),
)
def test_property_windows_cover_every_sample_of_a_stretch_and_no_other(start, length, window, stride, rate_hz):
    stretch = Stretch("a/b", start, start + length)
    inside = [k for k in range(300) if start - 1e-9 <= k / rate_hz < start + length - 1e-9]
    if window > len(inside):
        with pytest.raises(NeurodataError, match="no stretch holds a window"):
            make_windows([stretch], rate_hz, window / rate_hz, stride)
        return
    windows = make_windows([stretch], rate_hz, window / rate_hz, min(stride or 0, window / rate_hz) or None)
    found = [windows.locate(i) for i in range(len(windows))]
    covered = {k for _, first in found for k in range(first, first + window)}
    assert covered == set(inside)
    assert {name for name, _ in found} == {"a/b"}
    if stride is None:
        assert len(found) == len(inside) - window + 1


def test_windows_of_several_stretches_are_counted_through():
    stretches = [Stretch("a/b", 0, 10), Stretch("a/c", 0, 3), Stretch("a/b", 20, 26.5)]
    windows = make_windows(stretches, rate_hz=2, window_seconds=4, stride_seconds=4)
    found = [windows.locate(i) for i in range(len(windows))]
    assert found == [("a/b", 0), ("a/b", 8), ("a/b", 12), ("a/b", 40), ("a/b", 45)]
    assert windows.locate(-1) == ("a/b", 45)
    assert windows.length == 8


@pytest.mark.parametrize("index", [5, -6])
def test_a_window_that_is_not_there(index):
    windows = make_windows([Stretch("a/b", 0, 3)], 2, 1, None)
    assert len(windows) == 5
    with pytest.raises(IndexError, match=f"window {index} of 5"):
        windows.locate(index)


def test_a_stretch_that_begins_between_two_samples_begins_with_the_later_one():
    assert make_windows([Stretch("a/b", 0.1, 1.0)], 10, 0.9).locate(0) == ("a/b", 1)
    assert make_windows([Stretch("a/b", 0.11, 1.2)], 10, 0.9).locate(0) == ("a/b", 2)


def test_no_window_fits():
    with pytest.raises(NeurodataError, match=r"no stretch holds a window of 8 s; the longest lasts 7.5 s"):
        make_windows([Stretch("a/b", 0, 7.5), Stretch("a/c", 3, 5)], 2.0, 8.0)
    with pytest.raises(NeurodataError, match=r"the longest lasts 0 s"):
        make_windows([], 2.0, 8.0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.0, 8.0, None), "rate_hz must be a positive number"),
        ((2.0, np.nan, None), "window_seconds must be a positive number"),
        ((3.0, 0.5, None), r"0.5 s at 3 Hz is 1.5 samples; choose lengths"),
        ((3.0, 0.01, None), r"is 0.03 samples"),
        ((3.0, 1.0, -1.0), "stride_seconds must be a positive number"),
    ],
)
def test_impossible_windows_are_refused(arguments, text):
    with pytest.raises(NeurodataError, match=text):
        make_windows([Stretch("a/b", 0, 30)], *arguments)
