"""A training that diverges stops with one message, and the last good state is there to go on from."""

from __future__ import annotations

import re

import pytest
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file

from neurodata.batches.datamodule import RecordingDataModule
from neurodata.batches.mixture import Mixture
from neurodata.errors import NeurodataError
from neurodata.models.checkpoints import make_network, make_task, save_pretrained
from neurodata.models.task import Task
from neurodata.models.tasks.decode import Decode
from neurodata.models.train import fit
from neurodata.windows.splits import split_by

PER_EPOCH = 5


@pytest.fixture(scope="module")
def data(worms):
    module = RecordingDataModule(
        worms, inputs="calcium", target="state", window_seconds=6.0, rate_hz=3.0, batch_size=2,
        batches_per_epoch=PER_EPOCH, split=split_by("subject", test=["w3"]), scaling="recording",
    )  # fmt: skip
    module.setup()
    return module


def task_of(data, kind=Decode, learning_rate=3e-3):
    torch.manual_seed(0)
    return kind(make_network("linear", data.spec, {}), learning_rate=learning_rate, class_counts=[1, 1, 1])


class At(Callback):
    """Does something to the task before a step, and notes which recordings that step sees."""

    def __init__(self, step, spoil):
        self.step, self.spoil, self.seen = step, spoil, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            self.seen = [f"made_up/w{number + 1}" for number in sorted(set(batch.recording.tolist()))]
            self.spoil(pl_module)


class Weights(Callback):
    """Remembers the weights after every step."""

    def __init__(self):
        self.after = {}

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.after[trainer.global_step] = {name: value.clone() for name, value in pl_module.state_dict().items()}


def set_rate(rate):
    def spoil(task):
        for group in task.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    return spoil


def spoil_loss(task):
    plain = task.loss
    task.loss = lambda batch: plain(batch) * float("nan")


def spoil_gradient(task):
    """The loss is as it was; the square root of zero has an infinite slope."""
    plain = task.loss
    task.loss = lambda batch: plain(batch) + (0.0 * task.head.bias.sum()).square().sqrt()


def diverged(data, folder, step, spoil, **options):
    """Train until it diverges; the message, the recordings of the batch, and the weights after each step before."""
    breaking, weights = At(step, spoil), Weights()
    with pytest.raises(NeurodataError) as raised:
        fit(
            task_of(data), data.train_dataloader(), steps=40, seed=0, folder=folder, callbacks=[breaking, weights],
            **options,
        )  # fmt: skip
    assert "Traceback" not in str(raised.value)
    return str(raised.value), breaking.seen, weights.after


def kept_state(folder):
    """What is kept: step and weights, as any user may open it."""
    assert [path.name for path in folder.iterdir()] == ["last.ckpt"]
    state = TorchCheckpointIO().load_checkpoint(folder / "last.ckpt", weights_only=True)
    for weights in (state["state_dict"], state.get("current_model_state", {})):
        assert all(bool(torch.isfinite(value).all()) for value in weights.values())
    return state["global_step"], state.get("current_model_state", state["state_dict"])


def check_it_goes_on(data, folder, start, **options):
    """With a lower learning rate, from the state that was kept."""
    rates = []

    class Rates(Callback):
        def on_train_batch_start(self, trainer, *_):
            rates.append((trainer.global_step, trainer.optimizers[0].param_groups[0]["lr"]))

    fitted = fit(
        task_of(data, learning_rate=3e-4), data.train_dataloader(), steps=40, seed=0, folder=folder,
        callbacks=[Rates()], **options,
    )  # fmt: skip
    assert rates[0][0] == start
    assert 0 < max(rate for _, rate in rates) <= 3e-4
    assert fitted.curve["step"].tolist() == [10, 20, 30, 40]
    assert all(bool(torch.isfinite(value).all()) for value in fitted.task.state_dict().values())


@pytest.mark.parametrize("average_decay", [0.98, None])
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        pytest.param(spoil_loss, "loss became nan", id="loss"),
        pytest.param(spoil_gradient, "gradient became nan", id="gradient of a finite loss"),
    ],
)
def test_it_stops_at_once_and_says_where_on_what_and_how_to_go_on(data, tmp_path, spoil, what, average_decay):
    told, seen, after = diverged(data, tmp_path, 12, spoil, average_decay=average_decay)
    assert told == (
        f"training diverged: the {what} at step 12; lower learning_rate and resume from the last good state, "
        f"'{tmp_path}/last.ckpt' (step 10; --resume does), or look at the values: the batch held windows of "
        + ", ".join(seen)
    )
    step, weights = kept_state(tmp_path)
    assert step == 10
    assert all(torch.equal(weights[name], after[10][name]) for name in weights)
    check_it_goes_on(data, tmp_path, 10, average_decay=average_decay)


def test_a_state_is_kept_only_once_a_finite_step_was_made_from_it(data, tmp_path):
    """The last step of an epoch makes finite weights from which the next loss overflows."""
    told, _, after = diverged(data, tmp_path, 9, set_rate(1e37))
    assert re.match(r"training diverged: the loss became (nan|inf) at step 10; ", told)
    assert all(bool(torch.isfinite(value).all()) for value in after[10].values())
    step, weights = kept_state(tmp_path)
    assert step == 5
    assert all(torch.equal(weights[name], after[5][name]) for name in weights)
    check_it_goes_on(data, tmp_path, 5)


class Overflow(Callback):
    """A step that ends in infinite weights."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, *_):
        if trainer.global_step == self.step:
            pl_module.head.weight.data[0, 0] = float("inf")


def test_weights_that_overflow_in_the_last_step_of_an_epoch_are_not_kept(data, tmp_path):
    with pytest.raises(NeurodataError) as raised:
        fit(task_of(data), data.train_dataloader(), steps=40, seed=0, folder=tmp_path, callbacks=[Overflow(10)])
    told = (
        "training diverged: the weights of head.weight stopped being finite at step 10; lower learning_rate and resume"
    )
    assert str(raised.value).startswith(told)
    assert kept_state(tmp_path)[0] == 5
    check_it_goes_on(data, tmp_path, 5)


def test_weights_that_overflow_in_the_very_last_step_are_not_handed_out(data):
    with pytest.raises(NeurodataError, match=r"the weights of head.weight stopped being finite at step 7; lower"):
        fit(task_of(data), data.train_dataloader(), steps=7, seed=0, callbacks=[Overflow(7)])


def test_where_nothing_is_kept_yet_one_begins_anew(data, tmp_path):
    told, _, _ = diverged(data, tmp_path, 3, spoil_loss)
    assert "at step 3; lower learning_rate and begin anew: no state has been kept yet, or look at the values" in told
    assert list(tmp_path.iterdir()) == []


def test_a_rate_too_high_from_the_start_is_told_too(data, tmp_path):
    with pytest.raises(NeurodataError, match=r"training diverged: .* at step \d+; lower learning_rate and "):
        fit(task_of(data, learning_rate=1e30), data.train_dataloader(), steps=40, seed=0, folder=tmp_path)
    for path in tmp_path.iterdir():
        kept_state(path.parent)


def test_many_recordings_are_counted_not_listed(data, worms):
    task = task_of(data)
    loader = data.train_dataloader()

    class Many(Callback):
        def on_before_backward(self, trainer, pl_module, loss):
            loader.dataset.recording_ids = [f"made_up/w{number:02}" for number in range(20)]
            batch, _ = pl_module._last
            pl_module._last = (batch._replace(recording=torch.arange(12)), loss.detach() * float("nan"))

    with pytest.raises(NeurodataError, match=r"windows of made_up/w00, .*, made_up/w07 and 4 more$"):
        fit(task, loader, steps=2, seed=0, callbacks=[Many()])


class Pair(Task):
    """Learns from two sources at a time."""

    def __init__(self, network):
        super().__init__(network)
        self.inner = Decode(network)

    def loss(self, batch):
        one, other = batch
        return self.inner.loss(one) + self.inner.loss(other) * self.factor

    factor = 1.0


def test_a_batch_of_several_sources_names_the_recordings_of_all(data, worms):
    """As a mixture hands it out: a tuple of batches, one of each source."""
    one, other = (
        RecordingDataModule(
            worms, inputs="calcium", target="state", window_seconds=6.0, rate_hz=3.0, batch_size=2,
            batches_per_epoch=PER_EPOCH, split=split_by("subject", test=test), scaling="recording",
        )
        for test in (["w2", "w3"], ["w1", "w2"])
    )  # fmt: skip
    loaders = (one.train_dataloader(), other.train_dataloader())
    network = make_network("linear", one.spec, {})
    assert fit(Pair(network), loaders, steps=3, seed=0).curve["step"].tolist() == [3]
    broken = Pair(network)
    broken.factor = float("inf")
    with pytest.raises(NeurodataError, match=r"the loss became inf at step 0; .* windows of made_up/w1, made_up/w3$"):
        fit(broken, loaders, steps=3, seed=0)


def test_a_mixture_names_the_recordings_of_all_its_sources(worms):
    options = {"window_seconds": 6.0, "rate_hz": 3.0, "batch_size": 3, "identity": "recording_channel"}
    sources = {
        name: RecordingDataModule(worms, inputs=name, split=split_by("subject", test=test), **options)
        for name, test in (("calcium", ["w2", "w3"]), ("wheel", ["w1", "w2"]))
    }
    mixture = Mixture(sources)
    mixture.setup()
    task = make_task("pretrain", make_network("linear", mixture.spec, {}), {})
    spoil_loss(task)
    with pytest.raises(NeurodataError, match=r"the loss became nan at step 0; .* windows of made_up/w1, made_up/w3$"):
        fit(task, mixture.train_dataloader(), steps=3, seed=0)


class Stop(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.step:
            raise ConnectionError


@pytest.mark.parametrize("step", [6, 8, 10], ids=lambda step: f"interrupted in step {step}")
@pytest.mark.parametrize("validate_every", [None, 2, 5])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(data, tmp_path, validate_every, step):
    """From the state that an epoch's end has left: the same losses and weights, to the bit."""

    def train(folder, *callbacks):
        options = {"steps": 12, "seed": 0, "folder": tmp_path / folder, "callbacks": callbacks, "curve_every": 1}
        if validate_every is not None:
            options |= {"validation": data.covering_dataloader("train", 12.0), "validate_every": validate_every}
        return fit(task_of(data), data.train_dataloader(), **options)

    whole = train("whole")
    with pytest.raises(ConnectionError):
        train("resumed", Stop(step))
    resumed = train("resumed")
    assert resumed.curve.equals(whole.curve)
    assert whole.curve["split"].tolist().count("validation") == (12 // validate_every if validate_every else 0)
    for name, value in whole.task.state_dict().items():
        assert torch.equal(resumed.task.state_dict()[name], value), name


def test_a_training_resumed_after_its_last_step_gives_what_it_gave(data, tmp_path):
    """Seven steps are no whole number of epochs: averaged weights and the last losses belong to the end."""
    whole = fit(task_of(data), data.train_dataloader(), steps=7, seed=0, folder=tmp_path)
    save_pretrained(whole.task, tmp_path / "saved", {})
    again = fit(task_of(data, learning_rate=1.0), data.train_dataloader(), steps=7, seed=0, folder=tmp_path)
    assert again.curve.equals(whole.curve)
    kept = load_file(tmp_path / "saved/model.safetensors")
    assert all(torch.equal(value, kept[name]) for name, value in again.task.state_dict().items())


def test_a_state_of_other_settings_or_a_damaged_one_is_refused(data, worms, tmp_path):
    fit(task_of(data), data.train_dataloader(), steps=7, seed=0, folder=tmp_path)
    other = Decode(make_network("gru", data.spec, {}))
    told = r"the state to resume from is of another model: network\.\S+ has the shape None there and \(\d.* here; give"
    with pytest.raises(NeurodataError, match=told):
        fit(other, data.train_dataloader(), steps=9, seed=0, folder=tmp_path)
    larger = RecordingDataModule(
        worms, inputs="calcium", target="state", window_seconds=6.0, rate_hz=3.0, batch_size=3,
        batches_per_epoch=PER_EPOCH, split=split_by("subject", test=["w3"]), scaling="recording",
    )  # fmt: skip
    with pytest.raises(NeurodataError, match=r"the saved"):
        fit(task_of(data), larger.train_dataloader(), steps=9, seed=0, folder=tmp_path)
    state = tmp_path / "last.ckpt"
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(
        NeurodataError, match=r"the state '.*last.ckpt' is damaged; delete it to begin this training anew"
    ):
        fit(task_of(data), data.train_dataloader(), steps=9, seed=0, folder=tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="half precision needs a GPU")
def test_half_precision_skips_a_step_whose_gradient_overflows(data):
    """Loss scaling begins too high on purpose, and comes down by skipping steps."""
    fitted = fit(
        make_task("decode", make_network("linear", data.spec, {}), {}), data.train_dataloader(), steps=30, seed=0,
        precision="16-mixed",
    )  # fmt: skip
    assert all(bool(torch.isfinite(value).all()) for value in fitted.task.state_dict().values())
