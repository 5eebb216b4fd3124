"""From raw files into a store: each recording whole or not at all, what is good kept, what is bad listed."""

from __future__ import annotations

import functools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurodata.catalogue import list_entries, read_entry
from neurodata.checks import check_exists, suggest
from neurodata.errors import NeurodataError, RawFileError
from neurodata.recording.validate import validate
from neurodata.store.table import write_index
from neurodata.store.write import is_up_to_date, write_recording
from neurodata.store.write_openings import write_openings

from .base import Loader, describe_sources
from .discover import Found, find_recordings, loader_name, safe_name
from .format_loader import FormatLoader, default_dataset
from .options import OptionError, list_options, parse_options, split_settings

AUTO = "auto"
FAILED, SKIPPED = "failed", "skipped"


@dataclass(frozen=True)
class Outcome:
    """What became of one recording.

    Parameters
    ----------
    recording_id
        ``dataset/recording``; of what was skipped its path.
    status
        ``written``, ``up to date``, ``left to another process``, ``failed`` or, with ``auto``, ``skipped``.
    message
        Why it failed or was skipped; empty otherwise.
    """

    recording_id: str
    status: str
    message: str = ""


Progress = Callable[[int, int, Outcome], None]
"""Called after each recording with (recordings done, recordings in all, what became of it)."""


class ConversionError(NeurodataError):
    """Some recordings could not be converted; the others are in the store.

    Parameters
    ----------
    name
        The loader's name.
    outcomes
        What became of every recording.
    """

    def __init__(self, name: str, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = tuple(outcomes)
        failed = [outcome for outcome in outcomes if outcome.status == FAILED]
        by_message: dict[str, list[str]] = {}
        for outcome in failed:
            by_message.setdefault(outcome.message, []).append(outcome.recording_id)
        listed = "\n".join(f"  - {', '.join(ids)}: {message}" for message, ids in by_message.items())
        kept = len(outcomes) - len(failed)
        super().__init__(
            f"{len(failed)} of {len(outcomes)} recordings could not be converted by {name!r} ({kept} are in the store):"
            f"\n{listed}"
        )


def find_loader(name: str) -> type[Loader]:
    """Return the loader of that name, of a data set or of a format.

    Raises
    ------
    NeurodataError
        If there is none; names the closest one.
    """
    formats = list_entries("formats")
    known = [*list_entries("loaders"), *formats]
    if name not in known:
        raise NeurodataError(
            f"no loader {name!r}{suggest(name, known) or '.'} Known: {', '.join([*known, AUTO])}. To add one, create "
            f"loaders/datasets/{name}.py or loaders/formats/{name}.py"
        )
    loader: type[Loader] = read_entry("formats" if name in formats else "loaders", name)
    return loader


def convert(
    name: str,
    raw: str | Path,
    store: str | Path,
    *,
    options: Sequence[str] = (),
    overwrite: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Convert every recording of a raw folder into a store.

    A recording whose raw files, loader version and options are those in the store is not even loaded. A bad
    recording does not stop the others; after all of them one error lists what failed.

    Parameters
    ----------
    name
        A loader's name; ``auto`` asks all of them and takes whichever knows a file by what is inside it.
    raw
        The raw file or folder.
    store
        The store's folder; made where it is missing.
    options
        Loader options, ``key=value``; with ``auto`` each goes to the loaders that have it.
    overwrite
        Replace recordings that were made from other files or by another loader version.
    workers
        Processes to convert with; each holds one recording at a time.
    progress
        Called after each recording.

    Returns
    -------
    outcomes
        One per recording, in the order of the loader's sessions; with ``auto`` also one per file that was skipped.

    Raises
    ------
    NeurodataError
        If there is no such loader or raw folder, an option is wrong, or nothing in the folder can be used.
    ConversionError
        If recordings failed; lists each with its reason. The others are in the store.
    """
    if workers < 1:
        raise NeurodataError(f"workers is the number of processes, at least 1, got {workers}")
    tasks, skipped = _plan_auto(Path(raw), options) if name == AUTO else (_plan(name, Path(raw), options), [])
    done: dict[str, Outcome] = {}
    for outcome in _run(tasks, Path(store), overwrite, workers):
        done[outcome.recording_id] = outcome
        if progress is not None:
            progress(len(done), len(tasks), outcome)
    if Path(store).is_dir():
        write_index(Path(store))
        write_openings(Path(store))
    outcomes = [done[task.session] for task in tasks] + skipped
    if any(outcome.status == FAILED for outcome in outcomes):
        raise ConversionError(name, outcomes)
    return outcomes


@dataclass(frozen=True)
class _Task:
    """One recording to convert: all that a worker process needs to know."""

    loader: str
    raw: Path
    options: tuple[tuple[str, Any], ...]
    session: str


def _plan(name: str, raw: Path, settings: Sequence[str]) -> list[_Task]:
    loader_class = find_loader(name)
    options = tuple(parse_options(loader_class, settings).items())
    sessions = _open_loader(name, raw, options).sessions()
    if not sessions:
        raise RawFileError(f"{raw}: {name!r} found no recording here; check the folder and the loader")
    return [_Task(name, raw, options, session) for session in sessions]


def _plan_auto(raw: Path, settings: Sequence[str]) -> tuple[list[_Task], list[Outcome]]:
    check_exists("raw data", raw)
    loaders = [find_loader(name) for kind in ("loaders", "formats") for name in list_entries(kind)]
    found, unread = find_recordings(raw, loaders, forgiving=True)
    skipped = [Outcome(_below(raw, entry.path), SKIPPED, entry.reason) for entry in unread]
    if not found:
        shown = "\n".join(f"  - {entry.recording_id}: {entry.message}" for entry in skipped[:20]) or "  (it is empty)"
        raise RawFileError(f"{raw}: no loader recognises anything here; 'neurodata list' shows what is read\n{shown}")
    known = {key for entry in found for key in list_options(entry.loader)}
    unknown = [key for key in split_settings(settings, {}) if key not in known]
    if unknown:
        raise OptionError(
            f"no loader of what was found here has an option {unknown[0]!r}; known: {', '.join(sorted(known))}"
        )
    return [_task_of(entry, raw, settings, len(found)) for entry in found], skipped


def _task_of(entry: Found, raw: Path, settings: Sequence[str], n_found: int) -> _Task:
    """The task of what `auto` found: a format is told how the recording is called, a data set knows."""
    name, claim = loader_name(entry.loader), entry.claim
    own = list_options(entry.loader)
    options = parse_options(entry.loader, [text for text in settings if text.partition("=")[0].strip() in own])
    if not issubclass(entry.loader, FormatLoader):
        return _Task(name, claim.path, tuple(options.items()), f"{name}/{claim.part}")
    dataset = options.setdefault("dataset", None) or default_dataset(raw)
    if "name" in options and n_found > 1:
        raise OptionError(f"option 'name' names one recording, {raw} holds {n_found}")
    options["dataset"] = dataset
    shared = safe_name(claim.part)
    prefix = entry.name.removesuffix(shared).rstrip("-") if claim.part else entry.name
    if prefix:
        options.setdefault("name", prefix)
    session = "-".join(part for part in (options.get("name", ""), shared if claim.part else "") if part)
    return _Task(name, claim.path, tuple(options.items()), f"{dataset}/{session}")


def _below(raw: Path, path: Path) -> str:
    return str(path.relative_to(raw)) if path != raw else path.name


@functools.lru_cache(maxsize=8)
def _open_loader(name: str, raw: Path, options: tuple[tuple[str, Any], ...]) -> Loader:
    """The loader of a folder, which is searched once for all its recordings."""
    return find_loader(name)(raw, **dict(options))


def _run(tasks: Sequence[_Task], store: Path, overwrite: bool, workers: int) -> Iterator[Outcome]:
    workers = min(workers, len(tasks))
    if workers == 1:
        yield from (_convert_one(task, store, overwrite) for task in tasks)
        return
    # spawn: a forked child would inherit the parent's threads and locks
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {pool.submit(_convert_one, task, store, overwrite): task.session for task in tasks}
        for future in as_completed(futures):
            try:
                yield future.result()
            except BrokenProcessPool:
                message = "a worker process was killed (out of memory?); run again with fewer workers"
                yield Outcome(futures[future], FAILED, message)


def _convert_one(task: _Task, store: Path, overwrite: bool) -> Outcome:
    session = task.session
    try:
        loader = _open_loader(task.loader, task.raw, task.options)
        if not overwrite:
            # A missing raw file is for load to explain: it knows what the file is for.
            paths = loader.source_files(session)
            if all(path.is_file() for path in paths) and is_up_to_date(
                store, session, describe_sources(paths), loader.used
            ):
                return Outcome(session, "up to date")
        recording = loader.load(session)
        validate(recording)
        return Outcome(session, write_recording(recording, store, overwrite=overwrite))
    except (NeurodataError, OSError) as error:
        return Outcome(session, FAILED, str(error))
