"""``neurodata cache list|clear``."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.text import Text

from neurodata.terminal import out, plain, print_json, print_table

cache_app = typer.Typer(
    no_args_is_help=True, help="The decoded cache: recordings as trainings read them, kept in NEURODATA_CACHE."
)


@cache_app.command("list")
def cache_list(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """Show what is in the decoded cache, how large it is, and what running trainings use."""
    from neurodata.windows.cache import DecodedCache

    cache = DecodedCache()
    table = cache.list()
    if as_json:
        print_json(json.loads(table.to_json(orient="records", date_format="iso")))
        return
    rows = [
        (key[:12], what, f"{n_bytes / 1e6:.1f}", f"{used:%Y-%m-%d %H:%M}", "yes" if in_use else "", "" if all_there else "in part")
        for key, what, n_bytes, used, in_use, all_there in zip(*(table[name] for name in table))
    ]  # fmt: skip
    total = f"{len(table)} entries, {table['bytes'].sum() / 1e6:.1f} MB"
    print_table(f"{cache.folder} · {total}", ("key", "what", "MB", "last used (UTC)", "in use", "there"), rows)


@cache_app.command("clear")
def cache_clear() -> None:
    """Remove everything from the decoded cache that no running training uses; it is decoded again when needed."""
    from neurodata.windows.cache import DecodedCache

    cache = DecodedCache()
    freed, kept = cache.clear(), len(cache.list())
    in_use = f"; {kept} entries stay, live processes use them" if kept else ""
    out.print(Text(plain(f"{cache.folder}: {freed / 1e6:.1f} MB freed{in_use}")), soft_wrap=True)
