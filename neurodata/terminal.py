"""What the command line shows: tables, JSON, a progress bar, and no character that could steer a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

out = Console(width=None if sys.stdout.isatty() else 140)  # a pipe or a log has no width of its own
err = Console(stderr=True)


def plain(text: object) -> str:
    """Return text without what could steer a terminal: names in files are not to be trusted."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; cells are folded, never cut."""
    table = Table(title=plain(title), title_justify="left")
    for column in columns:
        table.add_column(plain(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(value)) for value in row))
    out.print(table)


def print_json(value: Any) -> None:
    """Print a value as JSON, as it is and without colours."""
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar on stderr; the function it gives takes how much is done, of how much, and a word."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[word]}"))  # fmt: skip
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=None, word="")

        def show(done: int, total: int, word: str) -> None:
            bar.update(task, completed=done, total=total, word=plain(word))

        yield show
