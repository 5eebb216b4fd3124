"""The console script: what a user types, and one clear message where it goes wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from neurodata.cache_commands import cache_app
from neurodata.errors import NeurodataError, UsageError
from neurodata.terminal import err, out, plain, print_json, print_table, progress

if TYPE_CHECKING:
    from neurodata.report.scores import Scores
    from neurodata.store.files import Files

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Neural recordings in one schema and one store, and models that learn from them. "
    "Exit code 0: done; 1: the data or the run is wrong; 2: wrong usage. Add --debug for tracebacks.",
)

app.add_typer(cache_app, name="cache")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
SIMULATED = ("spikes", "eeg", "seeg", "fmri", "eeg_fmri")
"""Modalities whose raw files ``neurodata.simulate.NAME.write_raw`` makes; worms have more options."""

StorePath = Annotated[
    str, typer.Argument(metavar="STORE[/DATASET/RECORDING]", help="A store, or one recording of it: a folder or a URL.")
]
store_app = typer.Typer(no_args_is_help=True, help="Look after a store's files.")
app.add_typer(store_app, name="store")


def main() -> None:
    """Run the command line."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except BrokenPipeError:  # `neurodata info … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        known = isinstance(error, NeurodataError)
        message = str(error) if known else f"{type(error).__name__}: {error} (unexpected; --debug shows where)"
        err.print(Text(f"error: {plain(message)}"), soft_wrap=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)


@app.command("list")
def list_command(
    kind: Annotated[
        str, typer.Argument(help="loaders, networks, tasks, metrics, analyses, pretrained … (all if left out)")
    ] = "",
) -> None:
    """List what can be named: loaders, networks, tasks, metrics, analyses, pretrained checkpoints."""
    from neurodata.catalogue import CATALOGUES, list_entries, read_summary
    from neurodata.checks import check_option

    if kind:
        check_option("catalogue", kind, CATALOGUES)
    for name in [kind] if kind else CATALOGUES:
        entries = list_entries(name)
        if entries or kind:
            print_table(name, ("name", "what it is"), [(entry, read_summary(name, entry)) for entry in entries])


@app.command()
def convert(
    loader: Annotated[str, typer.Argument(help="A name from 'neurodata list loaders' or 'formats', or auto.")],
    raw: Annotated[Path, typer.Argument(help="The raw file or folder.")],
    store: Annotated[Path, typer.Argument(help="The store; made where it is missing.")],
    option: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the loader.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Recordings converted at the same time.")] = 1,
    overwrite: Annotated[bool, typer.Option(help="Replace recordings made from other files.")] = False,
) -> None:
    """Convert raw files into a store. Running it again resumes, or says that all is up to date."""
    from neurodata.loaders.convert import convert as convert_all

    with progress("converting") as show:
        outcomes = convert_all(
            loader,
            raw,
            store,
            options=option or (),
            overwrite=overwrite,
            workers=workers,
            progress=lambda done, total, outcome: show(done, total, outcome.recording_id),
        )
    print_table(str(store), ("recording", "outcome", ""), [(o.recording_id, o.status, o.message) for o in outcomes])


@app.command()
def info(path: StorePath, as_json: Json = False) -> None:
    """Show a store's recordings, or everything about one recording."""
    from neurodata.store.read import open_recording
    from neurodata.store.store import Store, open_place

    found = open_place(path)
    if not isinstance(found, Store):
        recording = open_recording(found)
        if as_json:
            print_json({"metadata": dict(recording.metadata), "duration_seconds": recording.duration_seconds, "members": repr(recording).splitlines()[1:]})  # fmt: skip
            return
        out.print(Text(plain(repr(recording))))
        print_table("metadata", ("field", "value"), recording.metadata.items())
        return
    table = found.table
    if as_json:
        print_json(json.loads(table.to_json(orient="records")))
    elif table.empty:
        out.print(Text(f"{path} holds no recordings; 'neurodata convert LOADER RAW {path}' adds some"))
    else:
        shown = {"recording_id": "recording", "species": "species", "modality": "modality", "n_channels": "channels", "sampling_rate_hz": "Hz", "duration_seconds": "seconds", "signals": "signals", "events": "events", "intervals": "intervals"}  # fmt: skip
        shown |= {"graphs": "graphs"} if table["graphs"].any() else {}
        rows = [
            [f"{v:.4g}" if isinstance(v, float) else v for v in row] for row in table[[*shown]].itertuples(index=False)
        ]
        print_table(f"{path} · {len(table)} recordings", shown.values(), rows)


def _check_all(path: str, what: str, check: Callable[[Path | Files], list[str]], as_json: bool) -> None:
    """Run a check on every recording; print what is wrong, exit 1 where anything is."""
    from neurodata.store.store import Store, open_place

    found = open_place(path)
    folders = [found.path / name for name in found.recording_ids] if isinstance(found, Store) else [found]
    problems: dict[str, list[str]] = {}
    with progress(what) as show:
        for number, folder in enumerate(folders):
            name = "/".join(folder.parts[-2:])
            problems[name] = check(folder)
            show(number + 1, len(folders), name)
    bad = {name: lines for name, lines in problems.items() if lines}
    if as_json:
        print_json({"recordings": len(folders), "problems": bad})
    elif not folders:
        out.print(Text(f"{path} holds no recordings; there was nothing to {what}"))
    elif not bad:
        out.print(Text(f"{what}: {len(folders)} recordings, nothing wrong"))
    for name, lines in bad.items() if not as_json else ():
        text = f"{name}: {len(lines)} problems\n" + "\n".join(f"  - {line}" for line in lines)
        err.print(Text(plain(text)), soft_wrap=True)
    if bad:
        raise typer.Exit(1)


@app.command()
def validate(path: StorePath, as_json: Json = False) -> None:
    """Check every recording against the schema; lists every breach with its path."""
    from neurodata.store.verify import schema_problems

    _check_all(path, "validate", schema_problems, as_json)


@app.command()
def verify(path: StorePath, as_json: Json = False) -> None:
    """Hash every array again and compare with what was written; names what was lost, changed or damaged."""
    from neurodata.store.verify import verify_recording

    _check_all(path, "verify", verify_recording, as_json)


@store_app.command("index")
def store_index(store: Annotated[Path, typer.Argument(help="The store's folder.")]) -> None:
    """Write index.parquet and openings.parquet anew: what a remote reader needs; see docs/remote.md."""
    from neurodata.store.store import open_store
    from neurodata.store.table import write_index
    from neurodata.store.write_openings import write_openings

    n_recordings = len(open_store(store))
    write_index(store)
    write_openings(store)
    out.print(Text(f"index.parquet and openings.parquet of {store} describe {n_recordings} recordings"), soft_wrap=True)


@app.command()
def export(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="nwb")],
    recording: Annotated[str, typer.Argument(metavar="STORE/DATASET/RECORDING", help="One recording of a store.")],
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    overwrite: Annotated[bool, typer.Option(help="Replace a file of that name.")] = False,
) -> None:
    """Write one recording as a file of another format, from which 'convert' reads the same recording back."""
    from neurodata.checks import check_option
    from neurodata.exports.to_nwb import to_nwb
    from neurodata.store.read import open_recording

    check_option("format to export", form, ["nwb"])
    out.print(Text(plain(f"written: {to_nwb(open_recording(recording), file, overwrite=overwrite)}")), soft_wrap=True)


@app.command()
def simulate(
    modality: Annotated[str, typer.Argument(help="calcium, spikes, eeg, seeg, fmri or eeg_fmri")],
    folder: Annotated[Path, typer.Argument(help="Where the raw files go.")],
    recordings: Annotated[int, typer.Option(min=1, help="How many animals.")] = 5,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    seconds: Annotated[float, typer.Option(min=1.0, help="Length of each recording.")] = 600.0,
    connectome: Annotated[
        Path | None, typer.Option(help="Of calcium: a connectome CSV (rows pre, columns post).")
    ] = None,
) -> None:
    """Simulate recordings with known truth, as raw files in the field's own format."""
    import importlib

    from neurodata.checks import check_exists, check_option
    from neurodata.simulate.calcium import simulate_worms
    from neurodata.simulate.kato_layout import write_kato_layout

    check_option("modality to simulate", modality, ["calcium", *SIMULATED])
    if connectome is not None:
        if modality != "calcium":
            raise UsageError(f"--connectome wires simulated worms (calcium), not {modality}")
        check_exists("connectome", connectome)
    if modality == "calcium":
        write_kato_layout(simulate_worms(recordings, seconds, seed, connectome=connectome), folder)
    else:
        simulator = importlib.import_module(f"neurodata.simulate.{modality}")
        simulator.write_raw(folder, recordings=recordings, seconds=seconds, seed=seed)
    out.print(
        Text(
            f"{recordings} recordings of {seconds:g} s in {folder}; convert them with: neurodata convert auto {folder} STORE"
        )
    )


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Settings; see docs/training.md.")],
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE …", help="Changes, such as recipe.seed=1.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on where an interrupted run of this name stopped.")] = False,
    runs: Annotated[Path, typer.Option(help="Folder the run is written to.")] = Path("runs"),
) -> None:
    """Train on one split and score its test part; writes runs/NAME with checkpoints, predictions, scores and a log."""
    import yaml

    from neurodata.checks import check_exists
    from neurodata.models.check_run import about
    from neurodata.models.recipe import read_settings
    from neurodata.models.run import train_run
    from neurodata.report.page import write_report
    from neurodata.store.store import open_store

    check_exists("settings file", config)
    try:
        fields = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NeurodataError(f"{str(config)!r} is not YAML: {error}") from error
    if not isinstance(fields, dict):
        raise NeurodataError(f"{str(config)!r} must hold keys and values, got {type(fields).__name__}")
    settings = read_settings(fields, changes or [])
    with about("split"):
        rule = settings.split.make_rule()
    with about("store"):
        store = open_store(settings.store)
    with about("select"):
        store = store.select(**settings.select) if settings.select else store
        if not len(store):
            raise NeurodataError(f"no recording of {settings.store!r} is chosen by {settings.select}")
    command = f"neurodata train {config} {' '.join(changes or [])}".strip()
    folder = train_run(store, rule, settings.recipe, runs / settings.name, command=command, resume=resume)
    (folder / "config.yaml").write_text(
        yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), encoding="utf-8"
    )
    _score_run(folder, as_json=False)
    out.print(Text(f"report: {write_report(folder)}"))


def _score_run(folder: Path, *, as_json: bool) -> None:
    from neurodata.report.run_folder import read_run
    from neurodata.report.scores import make_scores, write_scores

    run = read_run(folder)
    scores = make_scores(run.predictions)
    write_scores(scores, folder / "metrics.json")
    if as_json:
        print((folder / "metrics.json").read_text(encoding="utf-8"), end="")
    else:
        _print_scores(scores)


def _print_scores(scores: Scores) -> None:
    """One table per target: a row per predictor, a column per subject, mean and interval."""
    from neurodata.report.scores import FIRST_METRIC

    for (kind, target, horizon), rows in scores.summary.groupby(["kind", "target", "horizon_seconds"], dropna=False):
        metric = FIRST_METRIC[str(kind)]
        rows = rows[rows["metric"] == metric].sort_values("mean", ascending=False)
        same = (scores.table["kind"] == kind) & (scores.table["metric"] == metric) & (scores.table["target"] == target)
        if horizon == horizon:  # not NaN: a forecast
            same &= scores.table["horizon_seconds"] == horizon
        by_subject = scores.table[same].groupby(["model", "subject"])["value"].mean().unstack()
        subjects = [str(s).split("/")[-1] for s in by_subject.columns]
        lines = []
        for model, role, mean, low, high in rows[["model", "role", "mean", "low", "high"]].to_numpy(object):
            values = [f"{v:.3f}" for v in by_subject.loc[model]]
            interval = f"{low:.3f} … {high:.3f}" if low == low else "one subject"
            lines.append([model, role, *values, f"{mean:.3f}", interval])
        ahead = f" · {horizon:g} s ahead" if horizon == horizon else ""
        title = f"{target}{ahead}: {metric} (chance {rows['chance'].iloc[0]:.3f})"
        print_table(title, ["predictor", "role", *subjects, "mean", "95 % CI over subjects"], lines)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(metavar="RUN|CHECKPOINT", help="A run's folder, or a saved decoder.")],
    store: Annotated[str | None, typer.Argument(help="Recordings to score a checkpoint on.")] = None,
    allow_seen: Annotated[bool, typer.Option(help="Score a checkpoint on animals it was trained on, too.")] = False,
    as_json: Json = False,
) -> None:
    """Score a run from its saved predictions, or a checkpoint on a store, beside chance and baselines."""
    from neurodata.checks import check_exists

    check_exists("run or checkpoint", model)
    if (model / "run.json").exists():
        _score_run(model, as_json=as_json)
        return
    if store is None:
        raise typer.BadParameter("a checkpoint needs a STORE to be scored on; a run's folder holds run.json")
    from neurodata.models.evaluate import evaluate_checkpoint
    from neurodata.report.scores import make_score_table
    from neurodata.store.store import open_store

    table = make_score_table(evaluate_checkpoint(model, open_store(store), allow_seen=allow_seen))
    shown = table[["recording", "model", "role", "metric", "value", "chance"]]
    if as_json:
        print_json(json.loads(shown.to_json(orient="records")))
    else:
        rows = [[f"{v:.3f}" if isinstance(v, float) else v for v in row] for row in shown.itertuples(index=False)]
        print_table(str(model), shown.columns, rows)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Make one self-contained HTML page of a run; refuses one that shows a model without its baselines."""
    from neurodata.report.page import write_report

    out.print(Text(f"report: {write_report(run)}"))


@app.command()
def demo(
    loader: Annotated[str, typer.Argument(help="A loader; simulated worms where none is given.")] = "",
    raw: Annotated[Path | None, typer.Argument(help="Its raw files.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for store, run and report.")] = Path("demo_output"),
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Folds trained at the same time.")] = min(2, os.cpu_count() or 1),
) -> None:
    """Do the whole job: raw files to a store, leave-one-animal-out decoding and forecasts, scores and a report."""
    from neurodata.checks import check_exists
    from neurodata.models.recipe import demo_recipe
    from neurodata.models.run import leave_one_subject_out
    from neurodata.report.page import write_report
    from neurodata.store.store import open_store

    if bool(loader) != (raw is not None):
        raise typer.BadParameter("give both a loader and its raw files, or neither for simulated worms")
    if raw is not None:
        check_exists("raw files", raw)
    simulated = raw is None
    command = " ".join(["neurodata demo", *([loader, str(raw)] if loader else []), f"--seed {seed}"])
    if raw is None:
        loader, raw = "kato_brain_2015", output / "raw"
        simulate("calcium", raw, recordings=5, seed=seed, seconds=480.0, connectome=None)
    convert(loader, raw, output / "store", workers=1, overwrite=True)
    store = open_store(output / "store")
    recipe = demo_recipe(quick=simulated, seed=seed)
    n_folds = store.table["subject"].nunique()
    with progress("leave one animal out") as show:
        done: list[str] = []

        def finished(name: str) -> None:
            done.append(name)
            show(len(done), n_folds, name)

        show(0, n_folds, "")
        title = f"{'Simulated worms' if simulated else loader}: leave one animal out"
        folder = leave_one_subject_out(store, recipe, output / "run", command=command, title=title, workers=workers, progress=finished)  # fmt: skip
    _score_run(folder, as_json=False)
    out.print(Text(f"report: {write_report(folder)}"), soft_wrap=True)
