"""A checkpoint answers its golden batch as it did when it was saved, and a golden file is believed as little as any other."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from neurodata.batches.batch import Batch
from neurodata.errors import CheckpointError
from neurodata.models.checkpoints import GOLDEN, WEIGHTS, from_pretrained, save_pretrained
from neurodata.models.golden import _make_batch, check_golden, make_golden

PREDICTING = [("decode", "gru"), ("decode", "linear"), ("forecast", "transformer")]


@pytest.fixture
def saved(tmp_path, spec, task_of, batch_of):
    """A checkpoint with its golden batch, the task and the batch."""
    task, batch = task_of("decode", "gru", spec).eval(), batch_of(spec, n_windows=2)
    save_pretrained(task, tmp_path / "saved", {"seed": 0}, golden=batch)
    return tmp_path / "saved", task, batch


def rewrite(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(("task_name", "network_name"), PREDICTING)
def test_what_was_saved_answers_as_it_did(tmp_path, task_name, network_name, spec, task_of, batch_of):
    save_pretrained(task_of(task_name, network_name, spec), tmp_path, {}, golden=batch_of(spec))
    assert check_golden(tmp_path) == 0.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_rounded_model_answers_as_it_will_once_opened_and_the_task_is_left_as_it_was(
    tmp_path, dtype, spec, task_of, batch_of
):
    task, batch = task_of("decode", "gru", spec).train(), batch_of(spec)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    state = torch.get_rng_state()
    save_pretrained(task, tmp_path, {}, dtype=dtype, golden=batch)
    assert torch.equal(torch.get_rng_state(), state)
    assert task.training
    assert all(torch.equal(value, before[name]) for name, value in task.state_dict().items())
    assert check_golden(tmp_path) == 0.0
    whole = make_golden(task, batch)["output"]
    assert 0 < (load_file(tmp_path / GOLDEN)["output"] - whole).abs().max() < 0.1


def test_a_golden_file_holds_the_batch_and_the_answer_by_name(saved, spec, task_of, batch_of, tmp_path):
    folder, task, batch = saved
    golden = load_file(folder / GOLDEN)
    assert set(golden) == {*(f"batch.{name}" for name in Batch._fields), "output"}
    assert all(torch.equal(golden[f"batch.{name}"], value) for name, value in batch._asdict().items())
    assert torch.equal(golden["output"], task.predict_step(batch, 0))
    forecast = make_golden(task_of("forecast", "linear", spec), batch)
    assert {key: value.shape for key, value in forecast.items() if key.startswith("output")} == {
        "output.0": (2, 2, 7), "output.1": (2, 7)
    }  # fmt: skip


class Pair(torch.nn.Module):
    """Two signals in, one answer out: what a task of several batches looks like from outside."""

    device = torch.device("cpu")

    def predict_step(self, batches, index):
        assert isinstance(batches, tuple)
        return batches[0].values.sum(2) + batches[1].values.sum(2)


def test_several_batches_are_told_apart(spec, batch_of):
    one, two = batch_of(spec), batch_of(spec, n_channels=4, seed=1)
    golden = make_golden(Pair(), (one, two))
    assert torch.equal(golden["batch.1.values"], two.values)
    assert torch.equal(golden["output"], one.values.sum(2) + two.values.sum(2))
    assert {key.split(".")[1] for key in golden if key.startswith("batch")} == {"0", "1"}
    for found, given in zip(_make_batch(golden, "here"), (one, two)):  # as a checkpoint is asked again
        assert all(torch.equal(a, b) for a, b in zip(found, given))


def test_windows_that_share_their_memory_are_written_out(tmp_path, spec, task_of, batch_of):
    batch = batch_of(spec)
    shared = batch._replace(recorded=batch.present[:, None].expand_as(batch.values))
    save_pretrained(task_of("decode", "linear", spec), tmp_path, {}, golden=shared)
    assert check_golden(tmp_path) == 0.0


def test_another_model_answers_differently(saved):
    folder, _, _ = saved
    rewrite(folder / WEIGHTS, lambda weights: weights["head.bias"].add_(torch.tensor([0.0, 0.0, 1.0])))
    assert 0.01 < check_golden(folder) < 1


def test_a_number_that_is_lost_is_infinitely_far(saved):
    folder, _, _ = saved
    rewrite(folder / GOLDEN, lambda tensors: tensors["output"][0, 0].fill_(float("nan")))
    assert check_golden(folder) == float("inf")


def test_a_model_saved_again_without_a_golden_batch_keeps_no_old_one(saved):
    folder, task, _ = saved
    save_pretrained(task, folder, {})
    assert not (folder / GOLDEN).exists()
    with pytest.raises(
        CheckpointError, match=r"there is no '.*golden.safetensors'; save_pretrained\(…, golden=batch\)"
    ):
        check_golden(folder)


def test_a_task_that_predicts_nothing_is_told_so(spec, batch_of):
    with pytest.raises(CheckpointError, match=r"task 'Silent' predicts nothing, so it has no golden output"):
        make_golden(Silent(), batch_of(spec))


class Silent(Pair):
    def predict_step(self, batches, index):
        raise NotImplementedError


class Worded(Pair):
    def predict_step(self, batches, index):
        return torch.zeros(2), "two"


def test_a_large_golden_batch_is_refused_and_nothing_written(tmp_path, spec, task_of, batch_of):
    batch = batch_of(spec, n_windows=50_000, n_channels=5)
    with pytest.raises(
        CheckpointError, match=r"a golden batch of [\d,]+ bytes, more than 16,777,216; a few windows do"
    ):
        save_pretrained(task_of("decode", "linear", spec), tmp_path / "new", {}, golden=batch)
    assert not (tmp_path / "new").exists()


def test_answers_that_are_no_tensors_are_named(spec, batch_of):
    with pytest.raises(CheckpointError, match=r"a golden file holds tensors; output.1 of task 'Worded' are none"):
        make_golden(Worded(), batch_of(spec))


# --- hostile golden files ---------------------------------------------------------------------------------------


def drop(name):
    return lambda tensors: tensors.pop(name)


def put(name, *shape, dtype=torch.float32):
    return lambda tensors: tensors.update({name: torch.zeros(shape, dtype=dtype)})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param(drop("batch.present"), r"golden.safetensors' lacks batch.present", id="a field is missing"),
        pytest.param(put("batch.more", 3), r"expected the fields values, .* of 1 batches, found more", id="a field too many"),
        pytest.param(put("weights", 3), r"expected batch.… and output.…, found weights", id="a name of another kind"),
        pytest.param(put("batch.values", 10**12, 0, 7), r"batch: values does not fit the rest, or is empty", id="endless, empty"),
        pytest.param(put("batch.seconds", 10**12, 0), r"seconds does not fit the rest", id="one dimension too many"),
        pytest.param(put("batch.present", 2, 6, dtype=torch.bool), r"present does not fit the rest", id="other channels"),
        pytest.param(put("batch.0.values", 2, 18, 7), r"lacks batch.0.recorded", id="half of several batches"),
        pytest.param(lambda t: t["batch.channel_ids"].fill_(10**6), r"cannot take its golden batch: ", id="an unknown id"),
        pytest.param(lambda t: t["batch.channel_ids"].fill_(-(10**6)), r"cannot take its golden batch: ", id="negative id"),
        pytest.param(put("output", 2, 18, 4), r"expects \{'output': \(2, 18, 4\)\}, the model gives \{'output': \(2, 18, 3\)", id="shape"),
        pytest.param(drop("output"), r"expects \{\}, the model gives \{'output'", id="no answer"),
        pytest.param(put("output.0", 2, 18, 3), r"expects \{'output': .*'output.0'", id="an answer too many"),
    ],
)  # fmt: skip
def test_a_golden_file_that_does_not_fit_is_refused(saved, change, text):
    folder, _, _ = saved
    rewrite(folder / GOLDEN, change)
    with pytest.raises(CheckpointError, match=text):
        check_golden(folder)


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\xff" * 8 + b[8:], lambda b: b"PK\x03\x04 a zip"],
    ids=["cut in half", "empty", "a header of 2 ** 64 bytes", "a torch file"],
)  # fmt: skip
def test_a_damaged_golden_file_is_refused_and_the_model_opens_still(saved, damage):
    folder, _, _ = saved
    (folder / GOLDEN).write_bytes(damage((folder / GOLDEN).read_bytes()))
    with pytest.raises(CheckpointError, match=r"golden.safetensors' cannot be read"):
        check_golden(folder)
    from_pretrained(folder)


def test_a_large_golden_file_is_not_read(saved):
    folder, _, _ = saved
    with (folder / GOLDEN).open("r+b") as file:
        file.truncate(10**12)  # takes no room on the disk
    with pytest.raises(CheckpointError, match=r"holds 1,000,000,000,000 bytes, more than 16,777,216; a few windows do"):
        check_golden(folder)


def test_a_folder_that_is_no_checkpoint(saved, tmp_path):
    shutil.copytree(saved[0], tmp_path / "copy")
    (tmp_path / "copy/config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*copy': expected a folder with model.safetensors"):
        check_golden(tmp_path / "copy")
