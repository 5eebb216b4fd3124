"""Latents of a whole recording: one grid of steps, whatever the windows, the channels' order and the stretch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurodata.batches.datamodule import RecordingDataModule
from neurodata.errors import NeurodataError
from neurodata.models.build import make_network
from neurodata.models.embed import embed
from neurodata.recording.recording import Recording
from neurodata.windows.splits import split_by


def encoder_at(worms, rate_hz, window_seconds, **options):
    data = RecordingDataModule(
        worms, inputs="calcium", window_seconds=window_seconds, rate_hz=rate_hz, split=split_by("recording"),
        scaling="recording", identity="recording_channel", channels="all",
    )  # fmt: skip
    torch.manual_seed(0)
    return make_network("perceiver", data.spec, {"size": "tiny", **options}).eval()


@pytest.fixture(scope="module")
def encoder(worms):
    """Steps of 3 samples, windows of 6 steps."""
    return encoder_at(worms, 3.0, 6.0)


@pytest.fixture(scope="module")
def worm(made):
    return made.made_worm("made_up/w9", seed=9)


@pytest.fixture(scope="module")
def latents(encoder, worm):
    return embed(encoder, worm)


def test_one_row_a_step_with_its_middle_in_seconds(encoder, worm, latents):
    assert latents.dims == ("time", "latent")
    assert latents.sizes["latent"] == encoder.n_latents * encoder.width
    np.testing.assert_allclose(latents["time"], np.arange(60) + 0.5)
    assert np.isfinite(latents.values).all()
    assert latents.attrs["recording_id"] == "made_up/w9"
    assert np.ptp(latents.values, axis=0).min() > 1e-3  # they say something of time


@pytest.mark.parametrize(
    ("rate_hz", "window_seconds", "step_seconds"),
    [
        pytest.param(3.0, 6.0, 1.0, id="half a window is whole steps"),
        pytest.param(3.0, 7.0, 1.0, id="half a window is a step and a half"),
        pytest.param(4.0, 4.5, 1.0, id="a window is a step and a half more than three"),
        pytest.param(3.0, 1.0, 1.0, id="a window is one step"),
        pytest.param(2.5, 8.0, 0.8, id="a step is no whole number of samples"),
    ],
)
def test_steps_are_even_and_cover_the_recording(worms, made, rate_hz, window_seconds, step_seconds):
    worm = made.made_worm("made_up/w9", seed=9)
    found = embed(encoder_at(worms, rate_hz, window_seconds), worm)
    np.testing.assert_allclose(np.diff(found["time"]), step_seconds)
    assert found["time"][0] == pytest.approx(step_seconds / 2)
    left = worm.duration_seconds - float(found["time"][-1]) - step_seconds / 2
    assert -step_seconds < left < step_seconds
    assert np.isfinite(found.values).all()


def test_a_window_s_edge_is_no_seam(encoder, worm, latents):
    """What a step says depends on a few seconds around it, so windows cut elsewhere say nearly the same."""
    shifted = embed(encoder, worm, seconds=(3.0, 57.0))
    np.testing.assert_allclose(shifted["time"], np.arange(3, 57) + 0.5)
    inner = slice(4.0, 56.0)
    one, other = latents.sel(time=inner).values, shifted.sel(time=inner).values
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.98


def test_a_stretch_has_the_recording_s_seconds(encoder, worm):
    found = embed(encoder, worm, seconds=(20.0, 40.0))
    np.testing.assert_allclose(found["time"], np.arange(20, 40) + 0.5)


def test_a_stretch_of_one_window_is_what_the_encoder_says_of_it(encoder, worms, made):
    worm = made.made_worm("made_up/w1", labels=[*made.NEURONS, ""], seed=1)
    data = RecordingDataModule(
        worms, inputs="calcium", window_seconds=6.0, rate_hz=3.0, split=split_by("recording"), scaling="recording",
        identity="recording_channel", channels="all",
    )  # fmt: skip
    batch = next(iter(data.covering_dataloader("train", 6.0)))
    with torch.no_grad():
        latents = encoder.encode(encoder.see(batch._replace(**{k: getattr(batch, k)[:1] for k in batch._fields if k != "seconds"})))  # fmt: skip
    found = embed(encoder, worm, seconds=(0.0, 6.0))
    np.testing.assert_allclose(found.values, latents.values[0].flatten(1), atol=1e-4)


def test_the_order_of_channels_does_not_matter(encoder, worm, latents):
    turned = worm.signals["calcium"].isel(channel=np.random.default_rng(0).permutation(10))
    other = Recording(worm.metadata, {"calcium": turned.load(), "wheel": worm.signals["wheel"]}, {}, worm.intervals)
    np.testing.assert_allclose(embed(encoder, other).values, latents.values, atol=1e-4)


def test_where_nothing_was_recorded_there_is_no_number(encoder, worm):
    silent = worm.signals["calcium"].load().copy()
    times = silent["time"].values
    silent[(times >= 19.5) & (times < 30.5)] = np.nan
    found = embed(encoder, Recording(worm.metadata, {"calcium": silent}, {}, {}))
    lost = np.isnan(found.values).all(1)
    assert lost[21:29].all()
    assert not np.isnan(found.values[:19]).any()
    assert not np.isnan(found.values[31:]).any()


def test_a_recording_shorter_than_the_encoder_s_window_is_one_window(encoder, made):
    found = embed(encoder, made.made_worm("made_up/short", seed=3, seconds=4.0))
    assert 3 <= found.sizes["time"] <= 4
    assert np.isfinite(found.values).all()


def test_what_cannot_be_embedded_is_told(encoder, worm, spec):
    with pytest.raises(NeurodataError, match=r"w9: \[10, 12\) s is shorter than the encoder's window of 6 s; take a"):
        embed(encoder, worm, seconds=(10.0, 12.0))
    with pytest.raises(NeurodataError, match=r"only a 'perceiver' encoder can be adapted.* got Linear"):
        embed(make_network("linear", spec, {}), worm)
    two = Recording(worm.metadata, {"a": worm.signals["calcium"], "b": worm.signals["calcium"]}, {}, {})
    with pytest.raises(NeurodataError, match=r"say inputs=…, .* neural signals a, b and events of units none"):
        embed(encoder, two)
