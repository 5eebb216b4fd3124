"""The linear readout begins as regression finds it, and stays so while the rest learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from neurodata.batches.collate import collate
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.loader import WindowLoader
from neurodata.models import linear_start
from neurodata.models.adapt import adapt
from neurodata.models.build import make_network, make_task
from neurodata.models.linear_start import ALPHAS, CS, fit_readout
from neurodata.models.network import make_inputs
from neurodata.recording.recording import Recording
from neurodata.recording.timed import make_intervals, make_signal
from neurodata.store.write import write_recording
from neurodata.windows.splits import split_by

RATE_HZ, SECONDS, N_CHANNELS = 4.0, 120.0, 5
WEIGHTS = np.array([[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0], [0.0, 0.0], [0.5, 0.0]])
"""What each channel says of two wheels; the first wheel lies at 50."""

STATES = ("rest", "run", "sleep")


def recording(number, n_states=2):
    """Smooth activity; a wheel that is a weighted sum of it, and a state by the sign of its first channel."""
    rng, n_samples = np.random.default_rng(number), int(RATE_HZ * SECONDS)
    times = np.arange(n_samples) / RATE_HZ
    hz, phase = rng.uniform(0.02, 0.3, (8, N_CHANNELS)), rng.uniform(0, 2 * np.pi, (8, N_CHANNELS))
    values = np.sin(2 * np.pi * hz * times[:, None, None] + phase).sum(1)
    code = (values[:, 0] > 0).astype(np.int64) * (n_states - 1)
    wheel = values @ WEIGHTS + [50.0, 0.0]
    edges = np.flatnonzero(np.diff(code, prepend=-1, append=-1))
    start, stop = edges[:-1] / RATE_HZ, edges[1:] / RATE_HZ
    codes = code[edges[:-1]]
    names = [f"cell{i}" for i in range(N_CHANNELS)]
    signals = {
        "calcium": make_signal(values, channel_id=names, units="dF/F", rate_hz=RATE_HZ, columns={"label": names}),
        "wheel": make_signal(wheel, channel_id=["one", "two"], units="a.u.", rate_hz=RATE_HZ, role="behavior"),
    }
    intervals = {"state": make_intervals(start, stop, label=[STATES[c] for c in codes], code=codes)}
    metadata = {
        "dataset": "straight", "recording_id": f"straight/r{number}", "modality": "calcium", "licence": "CC-BY-4.0",
        "subject": {"id": f"r{number}", "species": "Mus musculus", "sex": "U"},
    }  # fmt: skip
    return Recording(metadata, signals, {}, intervals)


@pytest.fixture(autouse=True)
def all_windows(monkeypatch):
    """No window is left out, so that regression here is on the same samples."""
    monkeypatch.setattr(linear_start, "MOST_ROWS", 10**6)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    for number in (1, 2, 3):
        write_recording(recording(number), folder)
    return folder


def data_of(store, target, train=("straight/r1", "straight/r2")):
    others = [f"straight/r{n}" for n in (1, 2, 3) if f"straight/r{n}" not in train]
    data = RecordingDataModule(
        store, inputs="calcium", target=target, window_seconds=10.0, rate_hz=RATE_HZ, scaling="none",
        split=split_by("recording", test=others),
    )  # fmt: skip
    data.setup()
    return data


def task_of(data, **options):
    torch.manual_seed(0)
    network = make_network("perceiver", data.spec, {"size": "tiny", "dropout": 0.0, "dropped_identity": 0.0})
    if data.spec.target_kind == "continuous":
        mean, std = data.target_statistics()
        options = {"output_mean": mean.tolist(), "output_std": std.tolist(), **options}
    return make_task("decode", network, {"lags_seconds": [-1.0, 0.0, 1.0], **options}).eval()


def rows_of(task, data, part):
    """What the readout sees of the middle of a part's windows, by channel, lag and feature; and the target there."""
    rows, truth = [], []
    for batch in data.covering_dataloader(part, 10.0):
        lagged, _, _ = task.lagged.terms(make_inputs(batch))
        order = batch.channel_ids[0].argsort()
        rows.append(lagged[:, 10:30, order].flatten(2).flatten(0, 1))
        truth.append(batch.target[:, 10:30].flatten(0, 1))
    return torch.cat(rows).double().numpy(), torch.cat(truth).numpy()


def train_rows(task, data):
    """The same of all windows that the readout is fitted on."""
    rows, truth, which = [], [], []
    for batch in _batches(data):
        lagged, _, _ = task.lagged.terms(make_inputs(batch))
        order = batch.channel_ids[0].argsort()
        rows.append(lagged[:, 10:30, order].flatten(2).flatten(0, 1))
        truth.append(batch.target[:, 10:30].flatten(0, 1))
        which.append(batch.recording.repeat_interleave(20))
    return torch.cat(rows).double().numpy(), torch.cat(truth).numpy(), torch.cat(which).numpy()


def _batches(data):
    dataset = data.train_dataloader().dataset
    return WindowLoader(dataset, 32, collate_fn=collate, sampler=range(len(dataset)))


def readout_alone(task, batch):
    """What the task predicts: the encoder's own readout begins at zero."""
    with torch.no_grad():
        return task.predict_step(batch, 0)


def test_the_readout_predicts_as_ridge_regression_does(store):
    data = data_of(store, "wheel")
    task = task_of(data)
    found = fit_readout(task, data.train_dataloader().dataset)
    assert found.penalty in ALPHAS
    found.apply(task)
    rows, truth, _ = train_rows(task, data)
    assert found.n_samples == len(rows)
    scaler, (mean, std) = StandardScaler().fit(rows), data.target_statistics()
    ridge = Ridge(alpha=found.penalty).fit(scaler.transform(rows), (truth - mean) / std)
    unseen, wanted = rows_of(task, data, "test")
    expected = ridge.predict(scaler.transform(unseen)) * std + mean
    told = torch.cat([readout_alone(task, batch)[:, 10:30].flatten(0, 1) for batch in data.covering_dataloader("test", 10.0)])  # fmt: skip
    np.testing.assert_allclose(told, expected, rtol=0, atol=1e-2)
    np.testing.assert_allclose(told, wanted, rtol=0, atol=0.05 * float(std.max()))
    assert np.abs(expected).max() > 40  # in the wheel's units


def test_the_penalty_is_what_tells_the_last_recording_best(store):
    data = data_of(store, "wheel")
    task = task_of(data)
    rows, truth, which = train_rows(task, data)
    held, scaled, (mean, std) = which == which.max(), StandardScaler().fit_transform(rows), data.target_statistics()
    wanted = (truth - mean) / std
    errors = {
        alpha: np.square(Ridge(alpha=alpha).fit(scaled[~held], wanted[~held]).predict(scaled[held]) - wanted[held]).mean()
        for alpha in ALPHAS
    }  # fmt: skip
    assert fit_readout(task, data.train_dataloader().dataset).penalty == min(errors, key=errors.get)


def test_logistic_regression_decodes_what_is_separable(store):
    data = data_of(store, "state")
    task = task_of(data)
    found = fit_readout(task, data.train_dataloader().dataset)
    assert found.penalty in CS
    found.apply(task)
    right = []
    for batch in data.covering_dataloader("test", 10.0):
        told = readout_alone(task, batch).argmax(-1)
        sure = (batch.target >= 0) & (batch.values[..., 0].abs() > 0.5)  # not where one state becomes the other
        right.append((told == batch.target)[sure])
    assert float(torch.cat(right).float().mean()) > 0.95
    rows, truth, _ = train_rows(task, data)
    scaler = StandardScaler().fit(rows)
    logistic = LogisticRegression(C=found.penalty, class_weight="balanced", tol=1e-6, max_iter=1000).fit(scaler.transform(rows), truth)  # fmt: skip
    batch = next(iter(data.covering_dataloader("test", 10.0)))
    unseen, _ = rows_of(task, data, "test")
    told = readout_alone(task, batch)[:, 10:30].flatten(0, 1)
    np.testing.assert_allclose(told, logistic.predict_proba(scaler.transform(unseen[: len(told)])), atol=0.02)


def test_a_class_that_no_label_has_is_never_told(store, tmp_path):
    """The spec knows three states, the training part has two of them."""
    for number in (1, 2):
        write_recording(recording(number), tmp_path / "store")
    write_recording(recording(3, n_states=3), tmp_path / "store")
    data = data_of(tmp_path / "store", "state")
    assert data.spec.n_outputs == 3
    missing = data.target_counts().tolist().index(0)
    task = task_of(data)
    found = fit_readout(task, data.train_dataloader().dataset)
    assert not found.weight[..., missing].any()
    found.apply(task)
    told = readout_alone(task, next(iter(data.covering_dataloader("test", 10.0))))
    assert float(told[..., missing].max()) < 0.01
    others = [code for code in range(3) if code != missing]
    assert float(told[..., others].amax(-1).min()) > 0.49


def test_one_recording_holds_its_last_fifth(store):
    data = data_of(store, "wheel", train=("straight/r1",))
    found = fit_readout(task_of(data), data.train_dataloader().dataset)
    assert found.weight.shape == (5, 6, 2)  # cells; values and slopes at three lags; wheels
    assert np.isfinite(found.weight).all()
    again = fit_readout(task_of(data), data.train_dataloader().dataset)
    assert np.array_equal(again.weight, found.weight)


def test_channels_that_few_recordings_have_weigh_nothing(store, tmp_path):
    for number in (1, 2, 3):
        whole = recording(number)
        kept = slice(0, N_CHANNELS if number == 1 else N_CHANNELS - 1)
        signals = {**whole.signals, "calcium": whole.signals["calcium"].isel(channel=kept)}
        write_recording(Recording(whole.metadata, signals, {}, whole.intervals), tmp_path / "store")
    data = data_of(tmp_path / "store", "wheel")
    task = task_of(data)
    found = fit_readout(task, data.train_dataloader().dataset)
    found.apply(task)
    lone = data.spec.group_ids[1 + data.spec.vocabulary.index("cell4")]
    assert lone not in found.groups
    assert len(found.groups) == 4
    assert not task.lagged.weight[lone].any()


@pytest.mark.parametrize("strategy", ["head", "full"])
def test_the_readout_stays_as_it_was_fitted_while_adapting(store, strategy):
    data = data_of(store, "wheel")
    model = make_network("perceiver", data.spec, {"size": "tiny"})
    task = adapt(model, data, strategy=strategy, steps=3, batch_size=4)
    found = fit_readout(task, data.train_dataloader().dataset, seed=0)
    assert torch.equal(task.lagged.weight[torch.from_numpy(found.groups)], torch.from_numpy(found.weight).float())
    assert torch.equal(task.lagged.bias, torch.from_numpy(found.bias).float())
    assert task.head.weight.any()  # while this has learned
    again = adapt(model, data, strategy=strategy, steps=3, batch_size=4, linear_start=found)
    assert torch.equal(again.lagged.weight, task.lagged.weight)
    free = adapt(model, data, strategy=strategy, steps=3, batch_size=4, linear_start=False)
    assert not torch.equal(free.lagged.weight, task.lagged.weight)
