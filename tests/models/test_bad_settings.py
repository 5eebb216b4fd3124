"""What cannot be trained is refused before anything is written: one message that names the key, and no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
import yaml

import neurodata as nd
from neurodata.cli import main
from neurodata.errors import NeurodataError
from neurodata.models.recipe import Recipe
from neurodata.models.run import leave_one_subject_out

SMALL = {"n_layers": 1, "token_width": 8, "width": 8, "pooled_width": 8}
SHORT = {"steps": 1, "batch_size": 2}
SETTINGS = {
    "name": "bad",
    "split": {"by": "subject", "validation": ["worm2"], "test": ["worm3"]},
    "recipe": {
        "window_seconds": 12.0, "network_options": SMALL, "pretrain": SHORT, "decode": SHORT, "forecast": SHORT,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bad_settings")
    nd.write_kato_layout(nd.simulate_worms(3, 60.0, seed=2), folder / "raw")
    nd.convert("kato_brain_2015", folder / "raw", folder / "store")
    return folder / "store"


@pytest.fixture
def train(store, tmp_path, monkeypatch, capsys):
    """Type ``neurodata train c.yaml …``; the exit code and what stood on stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*changes: str, text: str | None = None) -> tuple[int, str]:
        settings = yaml.safe_dump(SETTINGS | {"store": str(store)}) if text is None else text
        Path("c.yaml").write_text(settings, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["neurodata", "train", "c.yaml", *changes])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code), capsys.readouterr().err

    return run


def check_refused(found, key, text, code=1):
    """One message, for a person, and nothing begun."""
    returned, told = found
    assert returned == code, told
    assert "Traceback" not in told
    assert "unexpected" not in told
    assert told.startswith("error: ")
    assert told.count("error:") == 1
    assert text in told
    lines = [line.strip(" -").removeprefix("error: ") for line in told.splitlines()]
    assert any(line.startswith(f"{key}: ") for line in lines), told
    assert not Path("runs").exists()


UNKNOWN_KEYS = [
    ("nmae=x", "nmae", "there is no such key; did you mean 'name'?"),
    ("recipe.decode.stepz=3", "recipe.decode.stepz", "there is no such key; did you mean 'steps'?"),
    ("recipe.learning_rate=3", "recipe.learning_rate", "there is no such key"),
    ("split.tset=[worm3]", "split.tset", "there is no such key; did you mean 'test'?"),
]
WRONG_TYPES = [
    ("recipe.decode.steps=many", "recipe.decode.steps", "a valid integer, unable to parse string as an integer, got 'many'"),
    ("recipe.decode.steps=2.5", "recipe.decode.steps", "a valid integer, got a number with a fractional part, got 2.5"),
    ("recipe.rate_hz=fast", "recipe.rate_hz", "a valid number, unable to parse string as a number, got 'fast'"),
    ("recipe=5", "recipe", "a valid dictionary or instance of Recipe, got 5"),
    ("recipe.network_options=[1]", "recipe.network_options", "a valid dictionary, got [1]"),
    ("recipe.decode.options={gain: {a: 1}}", "recipe.decode.options.gain", "expected a number, text, true or false, or a list"),
    ("recipe.decode.options={gain: big}", "recipe.decode.options", "wrong type of gain='big' (default 0.1)"),
    ("recipe.network_options.n_layers=1.5", "recipe.network_options", "wrong type of n_layers=1.5 (default "),
    ("split=[]", "split", "a valid dictionary or instance of SplitSettings, got []"),
    ("split.test=worm3", "split.test", "expected a list of names, or a fraction above 0 and below 1, got 'worm3'"),
    ("select={species: 3}", "select.species", "expected a name, or a list of names, got 3"),
    ("name=", "name", "a valid string, got None"),
]  # fmt: skip
WRONG_VALUES = [
    ("recipe.decode.steps=-1", "recipe.decode.steps", "greater than or equal to 0, got -1"),
    ("recipe.pretrain.steps=-1", "recipe.pretrain.steps", "greater than or equal to 0, got -1"),
    ("recipe.decode.batch_size=0", "recipe.decode.batch_size", "greater than 0, got 0"),
    ("recipe.rate_hz=0", "recipe.rate_hz", "greater than 0, got 0"),
    ("recipe.rate_hz=-3", "recipe.rate_hz", "greater than 0, got -3"),
    ("recipe.rate_hz=.inf", "recipe.rate_hz", "a finite number, got inf"),
    ("recipe.decode.learning_rate=0", "recipe.decode.learning_rate", "greater than 0, got 0"),
    ("recipe.decode.learning_rate=.nan", "recipe.decode.learning_rate", "a finite number, got nan"),
    ("recipe.precision=8-bit", "recipe.precision", "'32-true', '16-mixed', 'bf16-mixed' or '64-true', got '8-bit'"),
    ("recipe.members=0", "recipe.members", "greater than or equal to 1, got 0"),
    ("recipe.devices=0", "recipe.devices", "greater than or equal to 1, got 0"),
    ("recipe.seed=-1", "recipe.seed", "greater than or equal to 0, got -1"),
    ("recipe.horizons_seconds=[]", "recipe.horizons_seconds", "expected at least one, got []"),
    ("recipe.horizons_seconds=[-1.0]", "recipe.horizons_seconds.0", "greater than 0, got -1.0"),
    ("recipe.lags_seconds=[.nan]", "recipe.lags_seconds.0", "a finite number, got nan"),
    ("recipe.identity=name", "recipe.identity", "'label', 'channel_id', 'order', 'recording_channel' or 'subject_channel', got 'name'"),
    ("split.guard_seconds=-1", "split.guard_seconds", "greater than or equal to 0, got -1"),
    ("split.by=tiem", "split.by", "'subject', 'recording', 'time' or 'intervals', got 'tiem'"),
    ("name=../x", "name", "should match pattern"),
    ("recipe.decode.options={dropped_channels: 2.0}", "recipe.decode.options", "dropped_channels must be between 0 and 1, got 2.0"),
    ("recipe.decode.options={label_smoothing: 3}", "recipe.decode.options", "label_smoothing must be between 0 and 1, got 3"),
    ("recipe.decode.options={noise: -0.1}", "recipe.decode.options", "noise must be 0 or more, got -0.1"),
    ("recipe.decode.options={gain: .inf}", "recipe.decode.options.gain", "expected finite numbers, got inf"),
    ("recipe.decode.options={warmup_steps: -5}", "recipe.decode.options", "warmup_steps must be 0 or more, got -5"),
    ("recipe.forecast.options={weight_decay: -1}", "recipe.forecast.options", "weight_decay must be 0 or more, got -1"),
    ("recipe.pretrain.options={hidden_patches: 2.0}", "recipe.pretrain.options", "hidden_patches must be between 0 and 1, got 2.0"),
    ("recipe.pretrain.options={patch_seconds: -1.0}", "recipe.pretrain.options", "patch_seconds must be between 0 and 12, got -1.0"),
    ("recipe.network_options.dropout=7", "recipe.network_options", "has to be between 0 and 1, but got 7"),
    ("recipe.views=[{band_pass: {low_hz: 5, high_hz: 2}}]", "recipe.views", "its lower edge below its upper; got 5.0 to 2.0 Hz"),
]  # fmt: skip
UNKNOWN_NAMES = [
    ("recipe.network=transfromer", "recipe.network", "no network 'transfromer'; did you mean 'transformer'?"),
    ("recipe.network=tensor_factors", "recipe.network", "is fitted to whole arrays, by its estimator, and not to windows"),
    ("recipe.network=gru", "recipe.network_options", "network 'gru' has no n_layers, pooled_width, token_width; it has width, dropout"),
    ("recipe.network_options.patch_sample=6", "recipe.network_options", "has no patch_sample; it has token_width, "),
    ("recipe.decode.options={gian: 0.1}", "recipe.decode.options", "task 'decode' has no gian; it has "),
    ("recipe.pretrain.options={mask: 0.1}", "recipe.pretrain.options", "task 'pretrain' has no mask; it has "),
    ("recipe.forecast.options={linear: true}", "recipe.forecast.options", "task 'forecast' has no linear; it has "),
    ("recipe.decode.options={learning_rate: 1.0}", "recipe.decode.options.learning_rate", "what recipe.decode.learning_rate says"),
    ("recipe.forecast.options={horizons_seconds: [1.0]}", "recipe.forecast.options.horizons_seconds", "what recipe.horizons_seconds says"),
    ("recipe.inputs=calzium", "recipe.inputs", "no signal 'calzium'; did you mean 'calcium'?"),
    ("recipe.target=stat", "recipe.target", "has no target 'stat'; it has intervals state"),
    ("recipe.views=[{band_pas: {low_hz: 1}}]", "recipe.views", "no view 'band_pas'; did you mean 'band_pass'?"),
    ("select={specie: x}", "select", "no column or metadata entry 'specie'; did you mean 'species'?"),
    ("select={species: Mus musculus}", "select", "is chosen by {'species': 'Mus musculus'}"),
    ("store=nowhere", "store", "no store at 'nowhere'; 'neurodata convert LOADER RAW STORE' makes one"),
]  # fmt: skip
IMPOSSIBLE_WINDOWS = [
    ("recipe.network_options.patch_samples=5", "recipe.network_options", "patch_samples=5 must divide the window of 36 samples"),
    ("recipe.network_options.patch_samples=0", "recipe.network_options", "patch_samples=0 must divide the window of 36 samples"),
    ("recipe.network_options.n_heads=3", "recipe.network_options", "2 * n_heads=6 must divide token_width=8"),
    ("recipe.window_seconds=0", "recipe.window_seconds", "greater than 0, got 0"),
    ("recipe.window_seconds=12.1", "recipe.window_seconds", "a window of 12.1 s at 3 Hz is 36.3 samples; choose lengths that give"),
    ("recipe.window_seconds=0.1", "recipe.window_seconds", "a window of 0.1 s at 3 Hz is 0.3 samples"),
    ("recipe.window_seconds=120", "recipe.window_seconds", "no stretch holds a window of 120 s; the longest lasts 59."),
    ("recipe.horizons_seconds=[12.0]", "recipe.horizons_seconds", "horizons of 12 s do not fit a window of 12 s"),
]  # fmt: skip
EMPTY_SPLITS = [
    ("split.test=[worm1,worm3]", "split", "the split leaves train empty; the store has 3 recordings"),
    ("split.test=[]", "split.test", "the split has no test part; name recordings or fractions for it"),
    ("split.validation=[]", "split.validation", "the split has no validation part"),
    ("split.test=[worm9]", "split", "no subject 'worm9' to put into test; known: "),
    ("split={by: recording, validation: [worm2], test: [kato_brain_2015/worm7]}", "split", "no recording 'kato_brain_2015/worm7' to put into test"),
    ("split.test=0.5", "split", "a split by subject takes lists of names"),
    ("split={by: time, validation: 0.2, test: 0}", "split.test", "a fraction above 0 and below 1, got 0"),
    ("split={by: time, validation: 0.2, test: 1.5}", "split.test", "a fraction above 0 and below 1, got 1.5"),
    ("split={by: time, validation: 0.5, test: 0.5}", "split", "fractions must leave something to train on"),
    ("split={by: time, validation: 0.2, test: 0.3, guard_seconds: 500}", "split", "less than the guard gaps of 500 s"),
    ("split={by: time, validation: 0.2, test: 0.3, guard_seconds: 1}", "split", "take guard_seconds=12 or more"),
    ("split={by: intervals, intervals: splt}", "split", "no interval table 'splt'. Known: state"),
    ("split.same_animal=[[worm1, worm3]]", "split", "same_animal names 'worm1'"),
    ("select={subject: [kato_brain_2015/worm2, kato_brain_2015/worm3]}", "split", "the split leaves train empty"),
    ("recipe={target: '', forecast: {steps: 0}}", "recipe", "nothing would be scored, as forecast.steps is 0 and there is no target"),
    ("recipe={decode: {steps: 0}, forecast: {steps: 0}}", "recipe", "nothing would be scored, as forecast.steps is 0 and decode.steps is 0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "key", "text"),
    [
        pytest.param(*case, id=case[0])
        for case in (*UNKNOWN_KEYS, *WRONG_TYPES, *WRONG_VALUES, *UNKNOWN_NAMES, *IMPOSSIBLE_WINDOWS, *EMPTY_SPLITS)
    ],
)
def test_settings_that_cannot_work_are_refused_by_their_key(train, change, key, text):
    check_refused(train(change), key, text)


def test_every_wrong_key_is_told_at_once(train):
    _, told = found = train("recipe.decode.stepz=3", "recipe.rate_hz=0", "nmae=x")
    check_refused(found, "recipe.rate_hz", "the settings are wrong:")
    assert told.count("\n  - ") == 3


@pytest.mark.parametrize(
    ("change", "key"), [("recipe.decode.steps=[", "recipe.decode.steps"), ("name.seed=1", "name.seed")]
)
def test_a_change_that_cannot_be_made_is_refused(train, change, key):
    check_refused(train(change), key, "is not YAML" if "[" in change else "'name' is 'bad' and holds no keys")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("- a\n- b\n", "must hold keys and values, got list", id="a list"),
        pytest.param("name: [", "is not YAML", id="no YAML"),
        pytest.param("", "must hold keys and values, got NoneType", id="empty"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused(train, text, told):
    code, found = train(text=text)
    assert (code, found.count("error:")) == (1, 1)
    assert f"error: 'c.yaml' {told}" in found
    assert not Path("runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has what is asked for")
def test_precision_that_only_a_gpu_has_is_refused_without_one(train):
    check_refused(train("recipe.precision=16-mixed"), "recipe.precision", "16-mixed needs a GPU; take bf16-mixed")


@pytest.mark.parametrize("change", ["recipe.decode.steps", "--resumee", "--runs"])
def test_what_cannot_be_meant_is_wrong_usage(train, change):
    code, told = train(change)
    assert code == 2
    assert "Traceback" not in told
    assert ("expected key=value, got 'recipe.decode.steps'" in told) == (not change.startswith("--"))
    assert not Path("runs").exists()


def test_a_run_that_is_there_is_left_alone(train):
    Path("runs/bad").mkdir(parents=True)
    Path("runs/bad/thesis.tex").write_text("x", encoding="utf-8")
    code, told = train()
    assert (code, told.count("error:")) == (1, 1)
    assert "run 'runs/bad' is there already; choose another name, delete it, or --resume" in told
    assert [path.name for path in Path("runs/bad").iterdir()] == ["thesis.tex"]


def test_a_place_where_no_folder_can_be_made_is_refused(train):
    Path("runs").write_text("x", encoding="utf-8")
    code, told = train()
    assert code == 1
    assert "error: the run's folder 'runs/bad' cannot be made: Not a directory" in told


def test_a_recipe_that_cannot_work_clears_no_run(store, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(NeurodataError, match=r"^recipe.network: no network 'transfromer'"):
        leave_one_subject_out(
            nd.open_store(store), Recipe(network="transfromer"), tmp_path / "run", command="", title=""
        )
    assert (tmp_path / "run/run.json").read_text(encoding="utf-8") == "{}"
