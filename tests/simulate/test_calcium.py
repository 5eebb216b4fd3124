"""Simulated worms: stable, reproducible, of realistic difficulty, and null where they should be."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score

from neurodata.errors import NeurodataError, RawFileError
from neurodata.loaders.datasets import kato_brain_2015
from neurodata.loaders.datasets.kato_brain_2015 import KatoBrain2015
from neurodata.recording.validate import validate
from neurodata.simulate.calcium import SimulatedWorm, simulate_worms
from neurodata.simulate.kato_layout import write_kato_layout
from neurodata.simulate.motor_states import STATES, make_drive, record_chances, simulate_states
from neurodata.simulate.wiring import list_neurons, make_weights, padded, random_connectome, read_connectome


@pytest.fixture(scope="module")
def worms() -> list[SimulatedWorm]:
    return simulate_worms(5, 600.0, seed=0)


def features(worm: SimulatedWorm, shared: list[str]) -> np.ndarray:
    """Z-scored activity and derivative of the shared named neurons, missing values at the mean."""
    traces = worm.traces[:, [worm.labels.tolist().index(name) for name in shared]]
    traces = np.nan_to_num((traces - np.nanmean(traces, axis=0)) / np.nanstd(traces, axis=0))
    slope = np.gradient(traces, axis=0)
    return np.c_[traces, slope / slope.std(axis=0)]


def decode_held_out(worms: list[SimulatedWorm]) -> np.ndarray:
    """Balanced accuracy of each worm's states, decoded by a model of the other worms."""
    shared = sorted(set.intersection(*(set(worm.labels.tolist()) - {""} for worm in worms)))
    inputs, states = [features(worm, shared) for worm in worms], [worm.states for worm in worms]
    scores = []
    for held in range(len(worms)):
        train = [i for i in range(len(worms)) if i != held]
        model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300)
        model.fit(np.concatenate([inputs[i][::4] for i in train]), np.concatenate([states[i][::4] for i in train]))
        # Balanced accuracy over the states that the worm shows; scikit-learn's own warns where one is missing.
        present, predicted = np.unique(states[held]), model.predict(inputs[held])
        scores.append(recall_score(states[held], predicted, labels=present, average="macro", zero_division=0))
    return np.array(scores)


def test_five_worms_take_less_than_five_seconds():
    start = time.process_time()
    simulate_worms(5, 600.0, seed=1)
    assert time.process_time() - start < 5


def test_the_same_seed_gives_the_same_worms_however_many(worms):
    again = simulate_worms(2, 600.0, seed=0)
    for one, other in zip(worms, again):
        for field in dataclasses.fields(SimulatedWorm):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
    assert not np.array_equal(simulate_worms(1, 600.0, seed=2)[0].states, worms[0].states)
    assert not np.array_equal(worms[0].states[:1000], worms[1].states[:1000])


def test_recordings_look_like_the_published_ones(worms):
    for worm in worms:
        n_samples, n_channels = worm.traces.shape
        assert 109 <= n_channels <= 135
        assert 30 <= (worm.labels != "").sum() <= 47
        assert 2.7 <= worm.rate_hz <= 3.1
        assert n_samples == round(worm.rate_hz * worm.seconds)
        named = np.flatnonzero(worm.labels != "")
        np.testing.assert_array_equal(worm.labels[named], worm.neurons[worm.channels[named]])
        assert len(np.unique(worm.channels)) == n_channels
        assert 0.02 < np.nanmedian(np.nanstd(worm.traces, axis=0)) < 0.4
    assert len({worm.rate_hz for worm in worms}) == 5
    assert "VB02" in worms[0].labels, "names are zero-padded as in the published files"


def test_clocks_are_jittered_and_states_are_those_of_the_samples_times(worms):
    for worm in worms:
        steps = np.diff(worm.times) * worm.rate_hz
        assert worm.times[0] == 0
        assert (steps > 0).all()
        assert 0.1 < steps.std() < 0.3
        assert worm.times[-1] < worm.seconds
        np.testing.assert_array_equal(worm.states, worm.driving_states)


def test_runs_are_missing_and_bleaching_is_slow(worms):
    missing = [np.isnan(worm.traces) for worm in worms]
    for worm, where in zip(worms, missing):
        assert 0 < where.any(axis=0).sum() <= 4
        assert not where.all(axis=0).any()
        longest = np.diff(np.flatnonzero(np.diff(np.r_[0, where[:, where.any(axis=0)][:, 0], 0]) != 0)).max()
        assert longest / worm.rate_hz > 1.8
        assert worm.bleaching[0] == 1
        assert 0.7 < worm.bleaching[-1] < 1.3
    assert len({float(worm.bleaching[-1]) for worm in worms}) == 5
    assert not np.isnan(simulate_worms(1, 60.0, seed=0, missing_runs=0)[0].traces).any()


def test_dynamics_are_stable_and_follow_the_equation(worms):
    worm = worms[0]
    assert worm.weights.shape == (302, 302)
    assert np.abs(np.linalg.eigvals(np.abs(worm.weights))).max() == pytest.approx(0.5)
    signs = np.sign(worm.weights)
    one_sign = [len(set(row[row != 0])) <= 1 for row in signs]
    assert all(one_sign), "a neuron's connections have one sign"
    assert 0.15 < (signs < 0).sum() / (signs != 0).sum() < 0.3
    assert (worm.activity >= 0).all()
    assert worm.activity.max() < 20
    assert 0.5 < worm.activity.mean() < 2


def test_command_neurons_follow_their_states(worms):
    activity = {state: [] for state in STATES}
    for worm in worms:
        z = (worm.activity - worm.activity.mean(axis=0)) / worm.activity.std(axis=0)
        for code, state in enumerate(STATES):
            if (worm.states == code).any():
                activity[state].append(z[worm.states == code].mean(axis=0))
    mean = {state: np.mean(values, axis=0) for state, values in activity.items()}
    neurons = worms[0].neurons.tolist()

    def at(state: str, name: str) -> float:
        return float(mean[state][neurons.index(name)])

    assert at("revsus", "AVAL") > 0.5 > -0.5 > at("fwd", "AVAL")
    assert at("slow", "RIBL") > 0.4 > -0.4 > at("revsus", "RIBL")
    assert at("dt", "SMDDL") > 1 > at("vt", "SMDDL")
    assert at("vt", "SMDVL") > 0.7 > at("dt", "SMDVL")


def test_states_dwell_and_follow_each_other_as_in_real_worms():
    starts, codes = simulate_states(100_000.0, np.random.default_rng(0))
    dwell = np.diff(starts)
    names = np.array(STATES)[codes[:-1]]
    # Medians of the five published worms, seconds.
    for state, median in {"dt": 7.23, "vt": 6.54, "revsus": 12.89, "rev1": 3.10, "rev2": 3.44}.items():
        assert np.median(dwell[names == state]) == pytest.approx(median, rel=0.1)
    assert (np.diff(codes) != 0).all()
    after_reversal = np.array(STATES)[codes[1:]][names == "revsus"]
    assert set(after_reversal) == {"dt", "vt", "nostate"}
    assert np.mean(after_reversal == "vt") == pytest.approx(81 / 123, abs=0.05)
    assert STATES == kato_brain_2015.STATES


def test_how_active_a_worm_is_altogether_tells_nothing():
    neurons = list_neurons()
    drive = make_drive(neurons, np.random.default_rng(0))
    chance = record_chances(neurons)
    assert chance.sum() == pytest.approx(122)
    tuned = (make_drive(neurons, np.random.default_rng(1)) == drive).all(axis=0)
    assert tuned.sum() == 35
    assert np.abs(drive[:, tuned] @ chance[tuned]).max() > 4, "the tuned neurons alone would tell"
    np.testing.assert_allclose(drive @ chance, 0, atol=1e-9)
    squares = drive**2 @ chance
    np.testing.assert_allclose(squares, squares.mean())


def test_states_are_decoded_from_other_worms_but_not_easily(worms):
    scores = decode_held_out(worms)
    assert 0.45 < scores.mean() < 0.75
    assert scores.min() > 0.3


@pytest.mark.parametrize(
    "null",
    [
        pytest.param({"states_drive_activity": False}, id="states do not drive activity"),
        pytest.param({"shuffle_names": True}, id="shuffled names"),
    ],
)
def test_null_worms_are_decoded_at_chance(null):
    scores = np.concatenate([decode_held_out(simulate_worms(5, 600.0, seed, **null)) for seed in (0, 1)])
    error = scores.std(ddof=1) / np.sqrt(len(scores))
    assert abs(scores.mean() - 1 / 8) < 3 * error + 0.01
    assert scores.mean() < 0.2


def test_null_switches_change_only_what_they_say(worms):
    shuffled = simulate_worms(1, 600.0, 0, shuffle_names=True)[0]
    np.testing.assert_array_equal(shuffled.traces, worms[0].traces)
    assert sorted(shuffled.labels) == sorted(worms[0].labels)
    assert (shuffled.labels != worms[0].labels).any()
    null = simulate_worms(1, 600.0, 0, states_drive_activity=False)[0]
    np.testing.assert_array_equal(null.states, worms[0].states)
    assert (null.driving_states == null.states).mean() < 0.6
    assert not np.array_equal(null.activity, worms[0].activity)


def test_random_wiring_has_the_degrees_of_the_connectome():
    counts = random_connectome(302, np.random.default_rng(0))
    assert (counts > 0).sum() == pytest.approx(3709, rel=0.15)
    assert np.median(counts[counts > 0]) == 3
    assert not counts.diagonal().any()


@pytest.mark.parametrize("table", ["chemical_Cook2019.csv", "chemical_WhiteA.csv"])
def test_a_connectome_file_is_used(table, real_data):
    path = real_data("celegans/connectomes-pub_utils") / table
    counts = read_connectome(path)
    neurons = list_neurons().tolist()
    assert counts[neurons.index("AVAL"), neurons.index("VA08")] >= 0
    if table == "chemical_Cook2019.csv":
        assert (counts > 0).sum() == 3709
        weights = make_weights(counts, list_neurons(), np.random.default_rng(0))
        assert (weights[neurons.index("RMED")] <= 0).all(), "GABAergic neurons inhibit"
        worm = simulate_worms(1, 60.0, 0, connectome=path)[0]
        np.testing.assert_array_equal(worm.weights != 0, counts != 0)
        assert np.isfinite(worm.activity).all()


def write_table(path, pre, post, cell="1"):
    path.write_text("\n".join([",".join(["", *post]), *(",".join([name, *[cell] * len(post)]) for name in pre)]))
    return path


def test_rows_are_pre_and_columns_post_whatever_their_order(tmp_path):
    neurons = list_neurons().tolist()
    shuffled = list(reversed(neurons))
    path = write_table(tmp_path / "c.csv", shuffled, neurons, cell="0")
    lines = path.read_text().splitlines()
    row = shuffled.index("AVAL") + 1
    cells = lines[row].split(",")
    cells[neurons.index("VB02") + 1], cells[1] = "7", ""
    lines[row] = ",".join(cells)
    path.write_text("\n".join(lines).replace("VB02", "VB2"))
    counts = read_connectome(path)
    assert counts[neurons.index("AVAL"), neurons.index("VB02")] == 7
    assert counts.sum() == 7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda p: p / "none.csv", r"none.csv: expected a CSV table .*No such file", id="missing"),
        pytest.param(
            lambda p: write_table(p / "c.csv", ["AVAL"], ["AVAL"]), r"expected the 302 .*, got 1 × 1", id="small"
        ),
        pytest.param(
            lambda p: write_table(p / "c.csv", list_neurons(), list_neurons(), "x"), r"could not convert", id="text"
        ),
        pytest.param(
            lambda p: write_table(p / "c.csv", list_neurons(), list_neurons(), "-1"),
            r"negative or infinite",
            id="negative",
        ),
        pytest.param(
            lambda p: write_table(p / "c.csv", list_neurons(), list_neurons(), "inf"), r"infinite", id="infinite"
        ),
    ],
)
def test_bad_connectome_is_explained(make, message, tmp_path):
    with pytest.raises(RawFileError, match=message):
        simulate_worms(1, 60.0, 0, connectome=make(tmp_path))


def test_names_are_padded_once():
    assert [padded(name) for name in ("VB2", "VB02", "AS10", "AVAL", "I2L", "DD6")] == [
        "VB02", "VB02", "AS10", "AVAL", "I2L", "DD06",
    ]  # fmt: skip


@pytest.mark.parametrize("with_times", [True, False])
def test_the_loader_reads_what_was_written(worms, with_times, tmp_path):
    write_kato_layout(worms, tmp_path / "raw", with_times=with_times)
    loader = KatoBrain2015(tmp_path / "raw", duration_seconds=600.0)
    assert len(loader.sessions()) == 5
    for worm, session in zip(worms, loader.sessions()):
        recording = loader.load(session)
        validate(recording)
        calcium = recording.signals["calcium"]
        np.testing.assert_array_equal(calcium.values, worm.traces)
        np.testing.assert_array_equal(calcium["label_raw"].values, worm.labels)
        assert (calcium["label"].values != "").sum() == (worm.labels != "").sum(), "every name is known"
        codes = recording.intervals["state"]["code"].values
        np.testing.assert_array_equal(codes, worm.states[np.r_[True, np.diff(worm.states) != 0]])
        if with_times:
            np.testing.assert_array_equal(calcium["time"].values, worm.times)
        else:
            assert calcium.attrs["sampling_rate_hz"] == pytest.approx(worm.rate_hz)


def test_recordings_are_not_mixed_with_older_ones(worms, tmp_path):
    write_kato_layout(worms[:1], tmp_path)
    with pytest.raises(NeurodataError, match="holds recordings already; choose an empty folder"):
        write_kato_layout(worms[:1], tmp_path)
    with pytest.raises(NeurodataError, match="expected a folder to write to, this is a file"):
        write_kato_layout(worms[:1], tmp_path / "worm_0_y.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param((0, 60.0, 0), "number of worms must be a positive number, got 0", id="no worm"),
        pytest.param((1, -1.0, 0), "length in seconds must be a positive number, got -1.0", id="negative length"),
        pytest.param((1, 2.0, 0), "at least 10 s long, got 2.0 s", id="too short"),
    ],
)
def test_wrong_numbers_are_explained(arguments, message):
    with pytest.raises(NeurodataError, match=message):
        simulate_worms(*arguments)
