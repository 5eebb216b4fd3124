"""From raw files into a store: each recording whole or not at all, what is good kept, what is bad listed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurodata.catalogue import list_entries, read_entry
from neurodata.errors import NeurodataError, RawFileError
from neurodata.recording.validate import validate
from neurodata.store.table import write_index
from neurodata.store.write import is_up_to_date, write_recording

from .base import Loader, describe_sources, parse_options

FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of one recording.

    Parameters
    ----------
    recording_id
        ``dataset/recording``.
    status
        ``written``, ``up to date``, ``left to another process`` or ``failed``.
    message
        Why it failed; empty otherwise.
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
    """Return the loader of that name, of a data set or of a format."""
    kind = "formats" if name in list_entries("formats") else "loaders"
    loader: type[Loader] = read_entry(kind, name)
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
        A loader's name.
    raw
        The raw file or folder.
    store
        The store's folder; made where it is missing.
    options
        Loader options, ``key=value``.
    overwrite
        Replace recordings that were made from other files or by another loader version.
    workers
        Processes to convert with; each holds one recording at a time.
    progress
        Called after each recording.

    Returns
    -------
    outcomes
        One per recording, in the order of the loader's sessions.

    Raises
    ------
    NeurodataError
        If there is no such loader or raw folder, an option is wrong, or nothing in the folder can be used.
    ConversionError
        If recordings failed; lists each with its reason. The others are in the store.
    """
    if workers < 1:
        raise NeurodataError(f"workers is the number of processes, at least 1, got {workers}")
    loader_class = find_loader(name)
    chosen = parse_options(loader_class, options)
    sessions = loader_class(raw, **chosen).sessions()
    if not sessions:
        raise RawFileError(f"{raw}: {name!r} found no recording here; check the folder and the loader")
    job = _Job(name, Path(raw), Path(store), chosen, overwrite)
    done: dict[str, Outcome] = {}
    for outcome in _run(job, sessions, workers):
        done[outcome.recording_id] = outcome
        if progress is not None:
            progress(len(done), len(sessions), outcome)
    if Path(store).is_dir():
        write_index(Path(store))
    outcomes = [done[session] for session in sessions]
    if any(outcome.status == FAILED for outcome in outcomes):
        raise ConversionError(name, outcomes)
    return outcomes


@dataclass(frozen=True)
class _Job:
    """What a worker process needs to know."""

    name: str
    raw: Path
    store: Path
    options: dict[str, Any]
    overwrite: bool


def _run(job: _Job, sessions: Sequence[str], workers: int) -> Iterator[Outcome]:
    workers = min(workers, len(sessions))
    if workers == 1:
        yield from (_convert_one(job, session) for session in sessions)
        return
    # spawn: a forked child would inherit the parent's threads and locks
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {pool.submit(_convert_one, job, session): session for session in sessions}
        for future in as_completed(futures):
            try:
                yield future.result()
            except BrokenProcessPool:
                message = "a worker process was killed (out of memory?); run again with fewer workers"
                yield Outcome(futures[future], FAILED, message)


def _convert_one(job: _Job, session: str) -> Outcome:
    try:
        loader = find_loader(job.name)(job.raw, **job.options)
        if not job.overwrite:
            # A missing raw file is for load to explain: it knows what the file is for.
            paths = loader.source_files(session)
            if all(path.is_file() for path in paths) and is_up_to_date(
                job.store, session, describe_sources(paths), loader.used
            ):
                return Outcome(session, "up to date")
        recording = loader.load(session)
        validate(recording)
        return Outcome(session, write_recording(recording, job.store, overwrite=job.overwrite))
    except (NeurodataError, OSError) as error:
        return Outcome(session, FAILED, str(error))
