"""HTML in small pieces; whatever text goes in comes out escaped."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #222; background: #fff; margin: 0 auto;
  max-width: 1080px; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .2rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .5rem; border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p { max-width: 72ch; margin: .5rem 0; }
.verdict { border-left: 5px solid #0072b2; background: #f3f7fa; padding: .7rem 1rem; margin: 1rem 0; }
.verdict p { max-width: none; }
.note, figcaption { color: #555; font-size: .87rem; }
figure { margin: 1rem 0; } figure img { width: 100%; height: auto; display: block; }
figcaption { max-width: 90ch; margin-top: .3rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .25rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid #e3e3e3; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; }
td.number, th.number { text-align: right; white-space: nowrap; }
tr.model td, tr.model th { background: #eef5fa; font-weight: 600; }
tr.floor td, tr.floor th { color: #555; font-style: italic; }
td, th { overflow-wrap: break-word; max-width: 26rem; }
code, pre { font: .82rem/1.4 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; background: #f6f6f6; padding: .6rem; margin: 0; max-height: 20rem; overflow-y: auto; }
@media print { body { max-width: none; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


def text(value: object) -> str:
    """Return any value as escaped text; control characters, which HTML forbids, become ``?``."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in str(value))
    return html.escape(shown, quote=True)


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """Return a number with fixed digits and a true minus sign, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:+.{digits}f}".replace("-", "−") if signed else f"{value:.{digits}f}".replace("-", "−")


def paragraph(words: str, kind: str = "") -> str:
    """Return a paragraph of plain words."""
    return f"<p{_class(kind)}>{text(words)}</p>"


def section(title: str, *parts: str) -> str:
    """Return a section of ready HTML parts under a heading."""
    return f"<section><h2>{text(title)}</h2>{''.join(parts)}</section>"


def figure(uri: str, alternative: str, caption: str) -> str:
    """Return an image given as a data URI, with words for those who cannot see it."""
    return (
        f'<figure><img src="{html.escape(uri, quote=True)}" alt="{text(alternative)}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def table(
    header: Sequence[str], rows: Sequence[Sequence[object]], kinds: Sequence[str] = (), numeric: Sequence[int] = ()
) -> str:
    """Return a table; the first cell of a row heads it, ``kinds`` are the rows' classes, ``numeric`` columns go right."""

    def cell(tag: str, at: int, value: object, scope: str = "") -> str:
        return f"<{tag}{scope}{_class('number' if at in numeric else '')}>{text(value)}</{tag}>"

    head = "".join(cell("th", at, name, ' scope="col"') for at, name in enumerate(header))
    body = []
    for place, row in enumerate(rows):
        cells = "".join(
            cell("td" if at else "th", at, value, "" if at else ' scope="row"') for at, value in enumerate(row)
        )
        body.append(f"<tr{_class(kinds[place] if kinds else '')}>{cells}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def definitions(items: Mapping[str, Any]) -> str:
    """Return names and values as a two-column table; what is nested is shown as indented JSON."""
    rows = []
    for name, value in items.items():
        nested = isinstance(value, (Mapping, list)) and len(value) > 0
        shown = (
            f"<pre>{text(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"
            if nested
            else f"<code>{text(value)}</code>"
        )
        rows.append(f'<tr><th scope="row">{text(name)}</th><td>{shown}</td></tr>')
    return f'<div class="scroll"><table><tbody>{"".join(rows)}</tbody></table></div>'


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole document that loads nothing: its policy forbids all but inline styles and data images."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
