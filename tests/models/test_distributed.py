"""Two processes that train together do what one with twice the batch does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

import neurodata as nd
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.mixture import Mixture
from neurodata.errors import NeurodataError
from neurodata.models.checkpoints import make_network, make_task
from neurodata.models.processes import check_devices
from neurodata.models.train import decode, fit

STILL = {"dropped_channels": 0.0, "gain": 0.0, "offset": 0.0, "noise": 0.0}
OPTIONS = {"decode": STILL, "forecast": {"dropped_channels": 0.0}, "pretrain": {"hidden_futures": 0.5}}
STEPS = 10


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Simulated worms of which a third is labelled, with a wheel that is recorded now and then."""
    folder = tmp_path_factory.mktemp("distributed")
    nd.write_kato_layout(nd.simulate_worms(3, 100.0, seed=2), folder / "raw")
    nd.convert("kato_brain_2015", folder / "raw", folder / "plain")
    plain = nd.open_store(folder / "plain")
    for recording_id in plain.recording_ids:
        worm, rng = plain[recording_id], np.random.default_rng(len(recording_id))
        turn = np.cumsum(rng.normal(size=(300, 2)), axis=0)
        turn[rng.random(300) < 0.5] = np.nan
        states = worm.intervals["state"].isel(interval=slice(None, None, 3))
        wheel = nd.make_signal(turn, channel_id=["x", "y"], units="m", rate_hz=3.0, role="behavior")
        signals = {"calcium": worm.signals["calcium"], "wheel": wheel}
        nd.write_recording(nd.Recording(dict(worm.metadata), signals, {}, {"state": states}), folder / "store")
    return folder / "store"


def data_of(store, target, batch_size):
    return RecordingDataModule(
        store, inputs="calcium", target=target, split=nd.split_by("subject", test=["worm3"]), window_seconds=12.0,
        batch_size=batch_size, batches_per_epoch=4, seed=3,
    )  # fmt: skip


def trained(store, name, target, devices, learning_rate=3e-3, **options):
    """A task without dropout, trained by processes that see eight windows a step together."""
    data = data_of(store, target, 8 // devices)
    torch.manual_seed(0)
    network = make_network("gru", data.spec, {"width": 8, "dropout": 0.0})
    task = make_task(name, network, OPTIONS[name] | {"learning_rate": learning_rate})
    for module in task.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    start = {key: value.clone() for key, value in task.state_dict().items()}
    settings = {"steps": STEPS, "seed": 0, "precision": "64-true", "accelerator": "cpu", "curve_every": 1}
    fitted = fit(task, data.train_dataloader(), devices=devices, **(settings | options))
    assert any(not torch.equal(value, start[key].to(value.dtype)) for key, value in task.state_dict().items())
    return fitted


def check_the_same(one, two):
    assert one.curve["step"].tolist() == two.curve["step"].tolist()
    np.testing.assert_allclose(two.curve["value"], one.curve["value"], rtol=0, atol=1e-5)
    weights, others = one.task.state_dict(), two.task.state_dict()
    assert weights.keys() == others.keys()
    for name in weights:
        torch.testing.assert_close(others[name], weights[name], rtol=0, atol=1e-5, msg=lambda t, n=name: f"{n}: {t}")


def test_two_processes_learn_classes_as_one_does(store):
    one, two = (trained(store, "decode", "state", devices, average_decay=None) for devices in (1, 2))
    assert one.curve["step"].tolist() == list(range(1, STEPS + 1))
    check_the_same(one, two)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "target"), [("decode", "wheel"), ("forecast", ""), ("pretrain", "")])
def test_two_processes_learn_as_one_does(store, name, target):
    """Values are recorded here and not there, so that processes count different numbers of them."""
    one, two = (trained(store, name, target, devices, average_decay=None) for devices in (1, 2))
    check_the_same(one, two)
    if name == "decode":  # and the weights that came back predict
        loader = data_of(store, target, 4).test_dataloader()
        (found,), (other,) = (decode(fitted.task, loader) for fitted in (one, two))
        np.testing.assert_allclose(other.values, found.values, atol=1e-5)


def mixture_of(store, batch_size):
    """Two sources: neurons that stand for themselves, and the wheel."""
    options = {"split": nd.split_by("subject", test=["worm3"]), "identity": "recording_channel", "seed": 3}
    options |= {"window_seconds": 12.0, "batch_size": batch_size, "batches_per_epoch": 4}
    return Mixture({name: RecordingDataModule(store, inputs=name, **options) for name in ("calcium", "wheel")})


@pytest.mark.slow
def test_two_processes_learn_from_a_mixture_as_one_does(store):
    """A step sees a batch of every source; each process takes its share of each."""
    found = []
    for devices in (1, 2):
        data = mixture_of(store, 8 // devices)
        data.setup()
        torch.manual_seed(0)
        task = make_task("pretrain", make_network("gru", data.spec, {"width": 8, "dropout": 0.0}), {})
        settings = {"steps": 5, "seed": 0, "precision": "64-true", "accelerator": "cpu", "curve_every": 1}
        found.append(fit(task, data.train_dataloader(), devices=devices, average_decay=None, **settings))
    check_the_same(*found)


@pytest.mark.slow
def test_averaged_weights_validation_and_resuming_are_the_same_on_two_devices(store, tmp_path):
    """Interrupted after half of the steps, on two devices; the curve holds both losses."""
    found = []
    for devices in (1, 2):
        validation = data_of(store, "state", 1).covering_dataloader("train", 12.0)
        folder = tmp_path / str(devices)
        options = {"validation": validation, "validate_every": 2, "folder": folder}
        trained(store, "decode", "state", devices, **(options | {"steps": 5}))
        assert (folder / "last.ckpt").exists()
        found.append(trained(store, "decode", "state", devices, **options))
    check_the_same(*found)
    assert found[1].curve["split"].tolist().count("validation") == 5


@pytest.mark.slow
def test_a_training_that_diverges_on_two_devices_says_so_once_and_is_resumed(store, tmp_path):
    trained(store, "decode", "state", 2, folder=tmp_path, steps=5)
    kept = (tmp_path / "last.ckpt").read_bytes()
    with pytest.raises(NeurodataError) as raised:
        trained(store, "decode", "state", 2, learning_rate=1e200, folder=tmp_path)
    told = str(raised.value)
    assert re.match(r"training diverged: the (loss|gradient) became \S+ at step [5-9]; lower learning_rate and ", told)
    assert f"resume from the last good state, '{tmp_path}/last.ckpt' (step 5; --resume does)" in told
    assert told.endswith("held windows of kato_brain_2015/worm1, kato_brain_2015/worm2")
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert (tmp_path / "last.ckpt").read_bytes() == kept
    found = trained(store, "decode", "state", 2, folder=tmp_path)
    assert found.curve["step"].tolist() == list(range(1, STEPS + 1))
    assert found.curve["value"].iloc[-1] < found.curve["value"].iloc[0]


class Die(Callback):
    """The second process is killed in its third step."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_rank == 1 and trainer.global_step == 2:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_training(store):
    with pytest.raises(
        NeurodataError, match=r"one of the 2 processes that train was killed \(signal 9\), .* take fewer"
    ):
        trained(store, "decode", "state", 2, callbacks=[Die()])


SCRIPT = """
import neurodata as nd
from neurodata.batches.datamodule import RecordingDataModule
from neurodata.models.checkpoints import make_network, make_task
from neurodata.models.train import fit

split = nd.split_by("subject", test=["worm3"])
data = RecordingDataModule("store", inputs="calcium", target="state", split=split, window_seconds=12.0, batch_size=2)
task = make_task("decode", make_network("linear", data.spec, {}), {})
if GUARD:
    print("curve", fit(task, data.train_dataloader(), steps=2, seed=0, devices=2, accelerator="cpu").curve.shape)
"""


@pytest.mark.slow
def test_a_script_trains_on_several_devices_if_it_can_be_imported(store):
    for guard, code, told in (
        ('__name__ == "__main__"', 0, "curve (1, 3)"),
        ("True", 1, 'under if __name__ == "__main__":'),
    ):
        (store.parent / "script.py").write_text(SCRIPT.replace("GUARD", guard), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "script.py"], cwd=store.parent, capture_output=True, text=True, timeout=600
        )
        assert (done.returncode, told in done.stdout + done.stderr) == (code, True), done.stderr
        assert (done.stderr == "") == (code == 0)


@pytest.mark.parametrize("devices", [0, -1, 1.5, True])
def test_impossible_numbers_of_devices_are_refused(devices):
    with pytest.raises(NeurodataError, match=r"devices is a number of processes, 1 or more, got"):
        check_devices(devices, "auto")


def test_more_gpus_than_there_are_are_refused():
    with pytest.raises(NeurodataError, match=r"1000 devices were asked for, this machine has \d+ GPUs; take fewer"):
        check_devices(1000, "gpu")
