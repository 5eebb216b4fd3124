"""The console script as a user meets it: what it prints, its exit codes, and one clear message for bad input."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import neurodata as nd
from neurodata.store.read import open_recording
from neurodata.store.write import write_recording

WORMS = 3


def run(*arguments: object, cwd: Path | None = None, columns: int = 140) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error::UserWarning", "-c", "from neurodata.cli import main; main()"]
    environment = os.environ | {"COLUMNS": str(columns), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=environment, check=False
    )


def refused(found: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    """Check that a command failed with one clear message."""
    assert found.returncode == code, found.stdout + found.stderr
    assert "Traceback" not in found.stderr
    message = " ".join(found.stderr.split())
    assert message.count("error:") == 1 or code == 2
    for word in words:
        assert word in message, message


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw files of simulated worms."""
    folder = tmp_path_factory.mktemp("raw")
    nd.write_kato_layout(nd.simulate_worms(WORMS, 60.0, seed=1), folder)
    return folder


@pytest.fixture(scope="module")
def store(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store made from them."""
    folder = tmp_path_factory.mktemp("store") / "store"
    nd.convert("kato_brain_2015", raw, folder)
    return folder


def test_convert_info_validate_verify(raw: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert "written" in run("convert", "kato_brain_2015", raw, store).stdout
    assert (store / "index.parquet").exists()
    again = run("convert", "kato_brain_2015", raw, store)
    assert (again.returncode, again.stdout.count("up to date")) == (0, WORMS)
    rows = json.loads(run("info", store, "--json").stdout)
    assert [row["recording_id"] for row in rows] == [f"kato_brain_2015/worm{i + 1}" for i in range(WORMS)]
    one = json.loads(run("info", store / "kato_brain_2015/worm1", "--json").stdout)
    assert one["metadata"]["subject"]["species"] == "Caenorhabditis elegans"
    for command in ("validate", "verify"):
        found = run(command, store, "--json")
        assert (found.returncode, json.loads(found.stdout)) == (0, {"recordings": WORMS, "problems": {}})


def test_damage_is_named_and_exits_1(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    chunk = next((tmp_path / "store/kato_brain_2015/worm2/signals/calcium/calcium/c").rglob("0"))
    chunk = chunk if chunk.is_file() else next(p for p in chunk.rglob("*") if p.is_file())
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    found = run("verify", tmp_path / "store", "--json")
    assert found.returncode == 1
    problems = json.loads(found.stdout)["problems"]
    assert list(problems) == ["kato_brain_2015/worm2"]
    assert "signals/calcium/calcium" in problems["kato_brain_2015/worm2"][0]


def test_empty_store_is_no_error(tmp_path: Path) -> None:
    for command in ("info", "validate", "verify"):
        found = run(command, tmp_path)
        assert found.returncode == 0
        assert "no recordings" in found.stdout


def test_list_names_every_catalogue() -> None:
    found = run("list")
    assert found.returncode == 0
    for name in ("kato_brain_2015", "transformer", "decode", "balanced_accuracy"):
        assert name in found.stdout
    refused(run("list", "network"), "did you mean 'networks'?")


class TestBadInput:
    def test_store_that_does_not_exist(self, tmp_path: Path) -> None:
        refused(run("info", tmp_path / "nowhere"), "no store at", "nowhere")

    def test_raw_folder_that_does_not_exist(self, tmp_path: Path) -> None:
        refused(run("convert", "kato_brain_2015", tmp_path / "nowhere", tmp_path / "store"), "nowhere")
        assert not (tmp_path / "store").exists()

    def test_unknown_loader(self, tmp_path: Path) -> None:
        refused(
            run("convert", "kato_brain_2051", tmp_path, tmp_path / "store"),
            "no loader 'kato_brain_2051'; did you mean 'kato_brain_2015'?",
            "create loaders/datasets/kato_brain_2051.py",
        )

    def test_unknown_option_is_wrong_usage(self, raw: Path, tmp_path: Path) -> None:
        found = run("convert", "kato_brain_2015", raw, tmp_path / "store", "--set", "duration=3")
        refused(found, "duration_seconds", code=2)

    def test_missing_argument_is_wrong_usage(self) -> None:
        refused(run("convert", "kato_brain_2015"), code=2)

    def test_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "raw").mkdir()
        refused(run("convert", "kato_brain_2015", tmp_path / "raw", tmp_path / "store"), "raw_full_data_worm_1.npz")
        assert not (tmp_path / "store").exists()

    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            pytest.param(lambda f: (f / "worm_1_y.csv").unlink(), ["worm_1_y.csv"], id="missing file"),
            pytest.param(
                lambda f: (f / "raw_full_data_worm_2.npz").write_bytes((f / "raw_full_data_worm_2.npz").read_bytes()[:900]),
                ["raw_full_data_worm_2.npz"],
                id="truncated npz",
            ),
            pytest.param(
                lambda f: (f / "worm_1_y.csv").write_text("1,1,1\n"), ["worm_1_y.csv", "3"], id="fewer states than samples"
            ),
            pytest.param(lambda f: spoil_neuron(f, np.nan), ["NaN"], id="a neuron that is NaN only"),
            pytest.param(lambda f: spoil_neuron(f, np.inf), ["infinite"], id="infinite values"),
        ],
    )  # fmt: skip
    def test_spoiled_raw_files(
        self, raw: Path, tmp_path: Path, spoil: Callable[[Path], object], words: list[str]
    ) -> None:
        shutil.copytree(raw, tmp_path / "raw")
        spoil(tmp_path / "raw")
        found = run("convert", "kato_brain_2015", tmp_path / "raw", tmp_path / "store")
        refused(found, "worm2", *words)
        kept = nd.open_store(tmp_path / "store").recording_ids
        assert kept == ("kato_brain_2015/worm1", "kato_brain_2015/worm3")
        assert not (tmp_path / "store/.partial").exists()

    def test_names_that_steer_a_terminal_are_defused(self, store: Path, tmp_path: Path) -> None:
        shutil.copytree(store, tmp_path / "store")
        recording = open_recording(tmp_path / "store/kato_brain_2015/worm1")
        metadata = dict(recording.metadata) | {
            "recording_id": "kato_brain_2015/odd",
            "device": "\x1b[31mred\x07 [bold]x",
        }
        write_recording(recording.replace(metadata=metadata), tmp_path / "store")
        found = run("info", tmp_path / "store/kato_brain_2015/odd")
        assert found.returncode == 0
        assert "\x1b[31m" not in found.stdout
        assert "[bold]x" in found.stdout

    def test_recording_id_that_leaves_the_store(self, store: Path, tmp_path: Path) -> None:
        recording = nd.open_recording(store / "kato_brain_2015/worm1")
        metadata = dict(recording.metadata) | {"recording_id": "../outside"}
        with pytest.raises(nd_error(), match="expected 'dataset/recording'"):
            write_recording(recording.replace(metadata=metadata), tmp_path / "store")
        assert not (tmp_path / "outside").exists()

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            pytest.param("name: [", ["is not YAML"], id="not YAML"),
            pytest.param("- 1", ["must hold keys and values"], id="a list"),
            pytest.param(
                "name: a\nstore: s\nsplit: {}\nrecipe: {windw_seconds: 3}",
                ["recipe.windw_seconds: there is no such key; did you mean 'window_seconds'?"],
                id="unknown key",
            ),
            pytest.param(
                "name: a\nstore: s\nsplit: {by: subject}\nrecipe: {decode: {steps: many}}",
                ["recipe.decode.steps", "'many'"],
                id="wrong type",
            ),
            pytest.param("name: ../a\nstore: s\nsplit: {}", ["name", "'../a'"], id="a name that leaves the folder"),
        ],
    )
    def test_settings(self, tmp_path: Path, content: str, words: list[str]) -> None:
        (tmp_path / "c.yaml").write_text(content)
        refused(run("train", tmp_path / "c.yaml", cwd=tmp_path), *words)
        assert not (tmp_path / "runs").exists()

    def test_split_without_a_test_part(self, store: Path, tmp_path: Path) -> None:
        (tmp_path / "c.yaml").write_text(f"name: a\nstore: {store}\nsplit: {{by: subject, validation: [worm1]}}")
        refused(run("train", tmp_path / "c.yaml", cwd=tmp_path), "the split has no test part")

    def test_report_without_baselines(self, tmp_path: Path) -> None:
        refused(run("report", tmp_path), "holds no predictions")

    def test_demo_needs_both_or_neither(self) -> None:
        refused(run("demo", "kato_brain_2015"), "both a loader and its raw files", code=2)


def nd_error() -> type[Exception]:
    from neurodata.errors import NeurodataError

    return NeurodataError


def spoil_neuron(folder: Path, value: float) -> None:
    path = folder / "raw_full_data_worm_2.npz"
    with np.load(path) as archive:
        values = archive["arr_0"].copy()
    values[:, 3] = value
    np.savez(path, values)


def test_simulate_writes_what_convert_reads(tmp_path: Path) -> None:
    found = run("simulate", "calcium", tmp_path / "raw", "--recordings", 1, "--seconds", 60)
    assert found.returncode == 0
    assert run("convert", "kato_brain_2015", tmp_path / "raw", tmp_path / "store").returncode == 0
    refused(run("simulate", "calzium", tmp_path / "raw"), "did you mean 'calcium'?")


def test_train_evaluate_report(store: Path, tmp_path: Path) -> None:
    settings = {
        "name": "first",
        "store": str(store),
        "split": {"by": "subject", "validation": ["worm2"], "test": ["worm3"]},
        "recipe": {
            "window_seconds": 12.0,
            "network_options": {"n_layers": 1, "token_width": 8, "width": 8, "pooled_width": 8},
            "pretrain": {"steps": 3},
            "decode": {"steps": 3},
            "forecast": {"steps": 3},
        },
    }
    (tmp_path / "c.yaml").write_text(json.dumps(settings))
    found = run("train", tmp_path / "c.yaml", "recipe.seed=3", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    run_folder = tmp_path / "runs/first"
    provenance = json.loads((run_folder / "run.json").read_text())
    assert provenance["seed"] == 3
    for checkpoint in provenance["checkpoints"]:
        assert "kato_brain_2015/worm3" not in checkpoint["trained_on"]
    assert (run_folder / "report.html").exists()
    assert not (run_folder / "resume").exists()
    scores = json.loads(run("evaluate", run_folder, "--json").stdout)
    assert {row["model"] for row in scores["summary"]} >= {
        "transformer", "majority", "shuffled_labels", "logistic", "logistic_lagged", "ridge", "gru", "copy_last",
    }  # fmt: skip
    refused(run("train", tmp_path / "c.yaml", cwd=tmp_path), "is there already")

    decoder = run_folder / "checkpoints/split/decoder-3"
    refused(run("evaluate", decoder, store), "was trained on kato_brain_2015/worm1")
    unseen = tmp_path / "unseen/kato_brain_2015"
    shutil.copytree(store / "kato_brain_2015/worm3", unseen / "worm3")
    [row] = [
        row
        for row in json.loads(run("evaluate", decoder, unseen.parent, "--json").stdout)
        if row["model"] == "transformer" and row["metric"] == "balanced_accuracy"
    ]
    [same] = [row for row in scores["scores"] if row["model"] == "transformer" and row["metric"] == "balanced_accuracy"]
    assert row["value"] == pytest.approx(same["value"], abs=1e-9)
