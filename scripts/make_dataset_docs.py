"""Write docs/datasets.md, what each data set's loader finds: ``python scripts/make_dataset_docs.py FOLDER_OF_DATA``."""

from __future__ import annotations

import sys
from pathlib import Path

from neurodata import names
from neurodata.catalogue import list_entries, read_entry, read_summary
from neurodata.loaders.base import Loader
from neurodata.recording.recording import Recording

PAGE = Path(__file__).resolve().parents[1] / "docs" / "datasets.md"
HEAD = """# Data sets

Made by `scripts/make_dataset_docs.py` from the published files; a test compares the two. `neurodata convert NAME FOLDER
STORE` converts one, `neurodata convert auto FOLDER STORE` finds it by itself. Channels, rate and duration are those of
the recordings as stored; a range where they differ.

| name | modality | species | recordings (subjects) | main signal or units | rate (Hz) | duration | what can be decoded | licence |
|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(make_page(Path(sys.argv[1])), encoding="utf-8")


def make_page(data: Path) -> str:
    """Return the page, from the published files below ``data``."""
    rows, sheets = [], []
    for name in list_entries("loaders"):
        loader = read_entry("loaders", name)
        opened = loader(data / loader.facts.data_folder)
        recordings = [opened.load(session) for session in opened.sessions()]
        rows.append(_row(name, loader, recordings))
        sheets.append(_sheet(name, recordings[0]))
    return HEAD + "".join(rows) + "\n" + "\n".join(sheets)


def _row(name: str, loader: type[Loader], recordings: list[Recording]) -> str:
    subjects = {recording.subject_key for recording in recordings}
    main = [_main(loader, recording) for recording in recordings]
    cells = (
        f"[`{name}`](#{name})",
        loader.facts.modality,
        f"*{loader.facts.species}*",
        f"{len(recordings)} ({len(subjects)})",
        _range([size for size, _ in main]) + (f" in `{loader.facts.signal}`" if loader.facts.signal else " units"),
        _range([rate for _, rate in main]),
        _range([recording.duration_seconds or None for recording in recordings], " s"),
        ", ".join(f"`{target}`" for target in loader.facts.targets) or "–",
        recordings[0].metadata["licence"],
    )
    return "| " + " | ".join(cells) + " |\n"


def _main(loader: type[Loader], recording: Recording) -> tuple[int, float | None]:
    if loader.facts.signal is None:
        return (0 if recording.units is None else recording.units.sizes[names.UNIT]), None
    signal = recording.signals_stored[loader.facts.signal]
    return signal.sizes[names.CHANNEL], signal.attrs.get(names.SAMPLING_RATE)


def _range(values: list[float | None] | list[int], unit: str = "") -> str:
    known = sorted({round(value, 2) for value in values if value is not None})
    if not known:
        return "unknown"
    return f"{known[0]:g}{unit}" if len(known) == 1 else f"{known[0]:g}–{known[-1]:g}{unit}"


def _sheet(name: str, recording: Recording) -> str:
    members = "\n".join(line.strip() for line in repr(recording).splitlines())
    return (
        f"## {name}\n\n{read_summary('loaders', name)}\n\nCitation: {recording.metadata['citation']}\n\n"
        f"The first recording:\n\n```\n{members}\n```\n"
    )


if __name__ == "__main__":
    main()
