"""Two bytes a value: the stated error holds, and missing values stay missing."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurodata.errors import NeurodataError
from neurodata.windows.quantize import FLOAT16, INT16, MISSING, decode_into, encode, make_encoder

BOTH = pytest.mark.parametrize("dtype", [FLOAT16, INT16])


def decoded(encoded):
    out = np.empty(encoded.stored.shape, np.float32)
    decode_into(encoded.stored, encoded.scale, encoded.offset, out)
    return out


def with_gaps(n_times=2000, seed=0):
    """Channels of very different size and offset, with gaps; the last one is missing throughout."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n_times, 6)) * [1e-30, 1e-6, 1.0, 1e4, 1e30, 1.0] + [0, 3e-5, 0, 1e6, 0, 0]
    values[rng.random(values.shape) < 0.1] = np.nan
    values[:, 5] = np.nan
    return values.astype(np.float32)


@BOTH
def test_missing_values_stay_missing_and_no_others_come(dtype):
    values = with_gaps()
    encoded = encode(values, dtype)
    assert encoded.stored.dtype == dtype
    np.testing.assert_array_equal(np.isnan(decoded(encoded)), np.isnan(values))


@BOTH
def test_the_largest_error_is_the_one_that_is_found(dtype):
    values = with_gaps()
    encoded = encode(values, dtype)
    found = np.fmax.reduce(np.abs(decoded(encoded) - values), axis=0, initial=0)
    np.testing.assert_array_equal(encoded.largest_error, found)
    assert encoded.largest_error[5] == 0


def test_int16_errs_by_half_a_step_at_most():
    values = with_gaps()
    encoded = encode(values, INT16)
    spread = np.nanmax(values[:, :5], axis=0).astype(float) - np.nanmin(values[:, :5], axis=0)
    rounding = np.spacing(
        np.nanmax(np.abs(values[:, :5]), axis=0)
    )  # of float32 itself, matters where the offset is large
    assert (encoded.largest_error[:5] <= 0.5001 * spread / 65534 + rounding).all()
    there = encoded.stored[:, :5][encoded.stored[:, :5] != MISSING]
    assert there.min() >= -32767


def test_float16_keeps_eleven_bits_of_every_value():
    values = with_gaps()[:, :5]
    got = decoded(encode(values, FLOAT16))
    there = np.abs(values) > np.nanmax(np.abs(values), axis=0) * 2.0**-28
    assert np.nanmax(np.abs(got - values)[there] / np.abs(values)[there]) <= 2.0**-11


def test_float16_scales_by_powers_of_two():
    scale = encode(with_gaps(), FLOAT16).scale
    np.testing.assert_array_equal(np.frexp(scale)[0], 0.5)


@settings(deadline=None, max_examples=200)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 20), st.integers(1, 4)),
        elements=st.floats(-(2.0**122), 2.0**122, width=32) | st.just(np.nan),
    ),
    st.sampled_from([FLOAT16, INT16]),
)
def test_any_values_come_back_within_the_stated_error(values, dtype):
    encoded = encode(values, dtype)
    got = decoded(encoded).astype(np.float64)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(values))
    assert np.isfinite(encoded.largest_error).all()
    error = np.fmax.reduce(np.abs(got - values), axis=0, initial=0)
    assert (error <= encoded.largest_error * (1 + 1e-6)).all()


@BOTH
def test_blocks_give_what_the_whole_gives(dtype):
    values = with_gaps()
    whole = encode(values, dtype)
    encoder = make_encoder(np.fmin.reduce(values), np.fmax.reduce(values), dtype)
    blocks = [encoder.encode(values[first : first + 300]) for first in range(0, len(values), 300)]
    np.testing.assert_array_equal(np.concatenate(blocks), whole.stored)
    np.testing.assert_array_equal(encoder.largest_error, whole.largest_error)
    facts = json.loads(json.dumps(encoder.facts(), allow_nan=False))
    np.testing.assert_array_equal(np.asarray(facts["scale"], np.float32), whole.scale)
    assert ("offset" in facts) == (dtype == INT16)


@BOTH
def test_a_constant_channel_is_exact(dtype):
    encoded = encode(np.full((5, 2), [3.0, 0.0], np.float32), dtype)
    np.testing.assert_array_equal(encoded.largest_error, 0)


@BOTH
def test_windows_decode_into_part_of_a_batch(dtype):
    values = with_gaps()
    encoded, batch = encode(values, dtype), np.zeros((2, 50, 9), np.float32)
    decode_into(encoded.stored[100:150], encoded.scale, encoded.offset, batch[1, :, :6])
    np.testing.assert_array_equal(batch[1, :, :6], decoded(encoded)[100:150])
    assert not batch[0].any()
    assert not batch[1, :, 6:].any()


def test_every_float16_is_read_as_numpy_reads_it():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = np.append(every[np.isfinite(every)], [np.nan, -np.nan]).astype(np.float16).reshape(-1, 2)
    got = np.empty(every.shape, np.float32)
    decode_into(every, np.float32([1, 0.25]), None, got)
    np.testing.assert_array_equal(got, every.astype(np.float32) * np.float32([1, 0.25]))
    np.testing.assert_array_equal(np.signbit(got)[~np.isnan(got)], np.signbit(every)[~np.isnan(got)])


def test_infinite_values_are_refused():
    values = np.zeros((3, 4), np.float32)
    values[1, 2] = np.inf
    with pytest.raises(
        NeurodataError,
        match=r"float16 cannot hold the values of channel 2, which are infinite or beyond 1e\+37; keep float32",
    ):
        encode(values, FLOAT16)
    values[0, 3] = -np.inf
    with pytest.raises(NeurodataError, match=r"int16 cannot hold the values of channel 2 and 1 more, which are"):
        encode(values, INT16)


@BOTH
def test_values_outside_the_given_extremes_are_refused(dtype):
    encoder = make_encoder(np.float32([-1]), np.float32([1]), dtype)
    with pytest.raises(NeurodataError, match=r"a value lies (6|3) times outside"):
        encoder.encode(np.full((2, 1), 6.0, np.float32))


def test_other_types_are_refused():
    with pytest.raises(NeurodataError, match=r"no type to encode in 'int8'; did you mean 'int16'\?"):
        encode(np.zeros((2, 2), np.float32), "int8")
