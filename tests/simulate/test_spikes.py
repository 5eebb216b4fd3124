"""Simulated spikes: as the truth says, the same for the same seed, decodable, and null where they should be."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from neurodata.errors import NeurodataError
from neurodata.simulate.spikes import BEHAVIOR_HZ, KINDS, LorenzPopulation, SwitchingGlm, simulate_spikes, write_raw


@pytest.fixture(scope="module")
def lorenz() -> LorenzPopulation:
    (made,) = simulate_spikes(1, 90.0, seed=0)
    assert isinstance(made, LorenzPopulation)
    return made


@pytest.fixture(scope="module")
def glm() -> SwitchingGlm:
    (made,) = simulate_spikes(1, 120.0, seed=0, kind="switching_glm")
    assert isinstance(made, SwitchingGlm)
    return made


def counted(recording, seconds: float) -> np.ndarray:
    edges = np.arange(round(recording.seconds / seconds) + 1) * seconds
    return np.column_stack([np.histogram(times, edges)[0] for times in recording.spike_times])


def decoded(recording) -> float:
    """R² of the behaviour in the last fifth, from counts of 50 ms before, now and after."""
    counts = np.sqrt(counted(recording, 0.05))
    inputs = np.column_stack([np.roll(counts, lag, axis=0) for lag in range(-2, 5)])
    target = recording.behavior[:: round(0.05 * BEHAVIOR_HZ)][: len(inputs)]
    cut = int(0.8 * len(inputs))
    model = Ridge(100.0).fit(inputs[:cut], target[:cut])
    return r2_score(target[cut + 20 :], model.predict(inputs[cut + 20 :]))


@pytest.mark.parametrize("kind", KINDS)
def test_rates_are_those_of_the_truth(kind, lorenz, glm):
    recording = lorenz if kind == "lorenz" else glm
    found = np.array([len(times) for times in recording.spike_times])
    expected = recording.rates_hz.sum(axis=0) * recording.bin_seconds
    assert (np.abs(found - expected) < 5 * np.sqrt(expected) + 5).all()
    assert 3 < recording.rates_hz.mean() < 40
    # and in time: of the bins with about the same rate, as many hold a spike as that rate says
    spikes = counted(recording, recording.bin_seconds)[: len(recording.rates_hz)].ravel()
    chance = 1 - np.exp(-recording.rates_hz.ravel() * recording.bin_seconds)
    for level in np.array_split(np.argsort(chance), 20)[10:]:
        assert (spikes[level] > 0).mean() == pytest.approx(chance[level].mean(), rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_recordings_however_many(kind):
    one, other = simulate_spikes(1, 6.0, 3, kind=kind)[0], simulate_spikes(2, 6.0, 3, kind=kind)
    for name in ("behavior", "rates_hz", "states", "state_starts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other[0], name))
    for times, again in zip(one.spike_times, other[0].spike_times):
        np.testing.assert_array_equal(times, again)
    assert not np.array_equal(other[0].behavior, other[1].behavior)
    assert not np.array_equal(one.behavior, simulate_spikes(1, 6.0, 4, kind=kind)[0].behavior)


@pytest.mark.parametrize("kind", KINDS)
def test_times_are_sorted_and_inside(kind, lorenz, glm):
    recording = lorenz if kind == "lorenz" else glm
    for times in recording.spike_times:
        assert (np.diff(times) > 0).all()
        assert times[0] >= 0
        assert times[-1] < recording.seconds
    assert recording.state_starts[0] == 0
    assert len(recording.behavior) == round(recording.seconds * BEHAVIOR_HZ)


def test_the_latents_are_read_out_and_drive_the_rates(lorenz):
    np.testing.assert_allclose(lorenz.latents.std(axis=0), 1.0)
    np.testing.assert_allclose(lorenz.behavior, lorenz.latents[::10] @ lorenz.readout)
    free = lorenz.rates_hz < 200
    expected = lorenz.baseline_hz * np.exp(lorenz.latents @ lorenz.loadings)
    np.testing.assert_allclose(lorenz.rates_hz[free], expected[free])


@pytest.mark.parametrize(("kind", "least"), [("lorenz", 0.8), ("switching_glm", 0.6)])
def test_the_behaviour_is_decoded_unless_it_is_null(kind, least, lorenz, glm):
    assert decoded(lorenz if kind == "lorenz" else glm) > least
    (null,) = simulate_spikes(1, 90.0, 0, kind=kind, behavior_follows_activity=False)
    assert decoded(null) < 0.1


def after(pre: np.ndarray, post: np.ndarray, first: float, last: float) -> int:
    """Pairs of spikes with the second one ``first`` to ``last`` seconds after the first."""
    return int((np.searchsorted(post, pre + last) - np.searchsorted(post, pre + first)).sum())


def test_couplings_and_refractoriness_show_in_correlograms(glm):
    summed = {1.0: [0, 0], -1.0: [0, 0]}
    strength = glm.weights[:, :, :, 1:].sum(axis=3)
    in_all = (np.abs(strength) > 0.15).sum(axis=0)
    for post, pre in np.argwhere(in_all >= 2):
        sign = np.sign(strength[:, post, pre].sum())
        times, others = glm.spike_times[pre], glm.spike_times[post]
        summed[sign][0] += after(times, others, 0.002, 0.012)
        summed[sign][1] += after(times, others, -0.012, -0.002)
    assert summed[1.0][0] > 1.1 * summed[1.0][1] > 100
    assert summed[-1.0][0] < 0.9 * summed[-1.0][1]
    close = sum(int((np.diff(times) < 0.003).sum()) for times in glm.spike_times)
    expected = sum(len(times) ** 2 * 0.003 / glm.seconds for times in glm.spike_times)
    assert close < 0.2 * expected


def test_coupled_neurons_do_not_run_away():
    for seed in range(3):
        (made,) = simulate_spikes(1, 30.0, seed, kind="switching_glm", n_units=40)
        assert made.rates_hz.mean() < 1.5 * made.baseline_hz.mean()
        assert (made.rates_hz >= 199).mean() < 5e-3


@pytest.mark.parametrize("kind", KINDS)
def test_pynwb_reads_what_was_simulated_and_no_truth(kind, tmp_path):
    from pynwb import NWBHDF5IO

    (made,) = write_raw(tmp_path, recordings=1, seconds=6.0, seed=1, kind=kind)
    (path,) = tmp_path.glob("*.nwb")
    with NWBHDF5IO(path, "r") as io:
        file = io.read()
        assert len(file.units) == len(made.spike_times)
        for row, times in enumerate(made.spike_times):
            np.testing.assert_array_equal(file.units.get_unit_spike_times(row), times)
        series = file.processing["behavior"]["Position"]["cursor"]
        np.testing.assert_array_equal(series.data[:], made.behavior)
        assert series.rate == BEHAVIOR_HZ
        states = file.intervals["states"].to_dataframe()
        np.testing.assert_array_equal(states["start_time"], made.state_starts)
        np.testing.assert_array_equal(states["code"], made.states)
        assert states["label"].tolist() == [made.state_names[code] for code in made.states]
        assert states["stop_time"].iloc[-1] == made.seconds
        assert "rates" not in str(file)
        assert set(file.units.colnames) == {"spike_times", "obs_intervals"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"kind": "hawkes"}, "no kind of simulated spikes 'hawkes'", id="kind"),
        pytest.param({"seconds": 2.0}, "at least 5 s long, got 2.0 s", id="too short"),
        pytest.param({"recordings": 0}, "number of recordings must be a positive number", id="none"),
    ],
)
def test_what_cannot_be_simulated_is_said(options, text, tmp_path):
    with pytest.raises(NeurodataError, match=text):
        write_raw(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_recordings_are_not_mixed_with_others(tmp_path):
    write_raw(tmp_path, recordings=1, seconds=5.0)
    with pytest.raises(NeurodataError, match="holds NWB files already"):
        write_raw(tmp_path, recordings=1, seconds=5.0)
    (tmp_path / "file").touch()
    with pytest.raises(NeurodataError, match="expected a folder"):
        write_raw(tmp_path / "file")
