"""What is installed: the wheel holds all that git tracks, and the console script starts quickly and without torch."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = PROJECT["tool"]["setuptools"]["package-dir"]
PINS = dict(
    re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)
)
MADE_UP = "models/pretrained/made-up"
CHECKPOINT = ("model.safetensors", "config.json", "README.md", "golden.safetensors", "run.yaml")
NOT_SHIPPED = ("model.pkl", "pytorch_model.bin", "state.ckpt")
SCRIPTS = ["scripts/setup", "scripts/demo", "scripts/test", ".ci/run"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def in_wheel(path: str) -> str:
    """Where a file of the repository lies once installed: ``loaders/base.py`` → ``neurodata/loaders/base.py``."""
    package = {folder: name.replace(".", "/") for name, folder in FOLDERS.items()}
    top, _, rest = path.partition("/")
    return f"{package[top]}/{rest}"


def tracked() -> list[str]:
    """Files of the package that git tracks, as far as they are still there."""
    listed = subprocess.run(
        ["git", "ls-files", *FOLDERS.values()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel built from a copy: an old build/ beside the sources would leak into it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    for folder in FOLDERS.values():
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (source / MADE_UP).mkdir()
    for name in (*CHECKPOINT, *NOT_SHIPPED):
        (source / MADE_UP / name).write_text("made up")
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation", "-w", out, source]
    subprocess.run(command, check=True)
    [built] = out.glob("neurodata-*.whl")
    return set(zipfile.ZipFile(built).namelist())


def test_wheel_holds_every_tracked_file_under_its_mapped_name(wheel):
    files = tracked()
    assert {"loaders/base.py", "neurodata/py.typed", "neurodata/identity/celegans_neurons.csv"} <= set(files)
    missing = sorted(path for path in files if in_wheel(path) not in wheel)
    assert not missing, f"tracked but not in the wheel: {missing}; see packages and package-data in pyproject.toml"


def test_a_checkpoint_s_files_are_in_the_wheel_and_no_others(wheel):
    held = {name.rpartition("/")[2] for name in wheel if name.startswith(f"{in_wheel(MADE_UP)}/")}
    assert held == set(CHECKPOINT)


def test_wheel_installs_one_name_only(wheel):
    tops = {name.partition("/")[0] for name in wheel}
    assert tops == {"neurodata", f"neurodata-{PROJECT['project']['version']}.dist-info"}
    assert f"neurodata-{PROJECT['project']['version']}.dist-info/licenses/LICENSE" in wheel


def test_every_folder_of_code_is_a_listed_package():
    folders = {str(path.parent.relative_to(ROOT)) for top in FOLDERS.values() for path in (ROOT / top).rglob("*.py")}
    assert {in_wheel(folder).rstrip("/").replace("/", ".") for folder in folders} == set(
        PROJECT["tool"]["setuptools"]["packages"]
    )


def test_every_dependency_is_pinned_within_its_bound():
    from packaging.requirements import Requirement

    pins = {normal(name): version for name, version in PINS.items()}
    extras = PROJECT["project"]["optional-dependencies"]
    [own] = [requirement for requirement in map(Requirement, extras["test"]) if requirement.name == "neurodata"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["test"], *(r for extra in own.extras for r in extras[extra])]
    for requirement in map(Requirement, wanted):
        if requirement.name == "neurodata":
            continue
        version = pins.get(normal(requirement.name))
        assert version is not None, f"{requirement.name} has no pin in constraints.txt"
        assert version in requirement.specifier, f"{requirement} against the pin {version}"
    assert pins["torch"] == "2.13.0", "exact, and without +cpu, so that GPU builds can use the same file"


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_malicious_lightning_releases_are_refused(version):
    [lightning] = [d for d in PROJECT["project"]["dependencies"] if d.startswith("lightning")]
    from packaging.requirements import Requirement

    assert version not in Requirement(lightning).specifier
    assert "2.6.1" in Requirement(lightning).specifier
    assert PINS["lightning"] != version
    assert PINS["pytorch-lightning"] != version


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_strict_bash_and_executable(script):
    path = ROOT / script
    text = path.read_text(encoding="utf-8")
    assert os.access(path, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0


@pytest.mark.parametrize(
    ("script", "arguments", "python", "code", "message"),
    [
        pytest.param("scripts/setup", ["--tset"], None, 2, "expected no argument or --test, got '--tset'", id="unknown option"),
        pytest.param("scripts/setup", [], "/no/such/python", 1, "expected Python 3.11 or newer as /no/such/python", id="no python"),
        pytest.param("scripts/demo", [], "/no/such/python", 1, "expected Python 3.11 or newer", id="demo sets itself up"),
        pytest.param("scripts/test", [], "/no/such/python", 1, "expected Python 3.11 or newer", id="test sets itself up"),
        pytest.param(".ci/run", [], "/no/such/python", 1, "expected Python 3.11 or newer", id="CI lets the exit code through"),
    ],
)  # fmt: skip
def test_set_up_says_what_is_wrong(tmp_path, script, arguments, python, code, message):
    for name in (*SCRIPTS, "pyproject.toml", "constraints.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    environment = os.environ | ({"PYTHON": python} if python else {})
    done = subprocess.run(
        [tmp_path / script, *arguments], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert message in done.stderr
    assert not (tmp_path / ".venv").exists()
    assert not (tmp_path / ".venv.lock").exists()


def run(*arguments: str | Path, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the command line as the console script does, with this interpreter."""
    command = [sys.executable, *flags, "-c", "from neurodata.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def console_script() -> Path:
    found = Path(sys.executable).parent / "neurodata"
    assert found.is_file(), "the package is not installed beside this interpreter"
    return found


def test_console_script_helps_quickly():
    # 1 s is the promise; the bound is doubled, and a busy machine is compared with how slowly it starts Python.
    def seconds(command: list[str | Path]) -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - start

    help_seconds = statistics.median(seconds([console_script(), "--help"]) for _ in range(3))
    bare_seconds = statistics.median(seconds([sys.executable, "-c", "pass"]) for _ in range(3))
    assert help_seconds < max(2.0, 60 * bare_seconds)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "raw"
    done = run("simulate", "calcium", folder, "--recordings", "1", "--seconds", "30")
    assert done.returncode == 0, done.stderr
    return folder


def test_exit_codes_and_no_torch_on_the_way_to_a_store(raw, tmp_path):
    store = tmp_path / "store"
    steps = [
        ("--help",),
        ("convert", "kato_brain_2015", raw, store),
        ("info", store),
        ("validate", store),
        ("verify", store),
    ]
    for step in steps:
        done = run(*step, flags=("-X", "importtime"))
        assert done.returncode == 0, done.stderr[-2000:]
        imported = {
            line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line
        }
        assert "typer" in imported, "importtime lists what is imported"
        assert not imported & {"torch", "lightning", "pytorch_lightning", "torchmetrics"}, step[0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["info", "no/such/store"], 1, "no/such/store", id="a path that does not exist"),
        pytest.param(["convert", "kato_brain_2015", "no/such/raw", "store"], 1, "no/such/raw", id="raw files that do not exist"),
        pytest.param(["convert", "kato_brian_2015", ".", "store"], 1, "kato_brain_2015", id="a loader misspelt"),
        pytest.param(["no-such-command"], 2, "no-such-command", id="a command that does not exist"),
        pytest.param(["info"], 2, "STORE", id="an argument left out"),
        pytest.param(["verify", "--no-such-option", "store"], 2, "no-such-option", id="an option that does not exist"),
    ],
)  # fmt: skip
def test_wrong_use_is_2_and_wrong_data_is_1_with_one_message(arguments, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "nothing is left behind"
