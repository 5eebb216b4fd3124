"""Which files are whose: every loader looks inside what it is shown, and the most specific one that knows it wins."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from neurodata.errors import RawFileError

from .base import Claim, Loader


@dataclass(frozen=True)
class Found:
    """One recording that a loader recognised.

    Parameters
    ----------
    loader
        The class that recognised it.
    claim
        Where it lies and what it is read from.
    name
        Its name: where it lies below the folder that was searched, in safe characters; no two are the same.
    """

    loader: type[Loader]
    claim: Claim
    name: str


@dataclass(frozen=True)
class Skipped:
    """A file or folder that no loader reads, and why."""

    path: Path
    reason: str


def find_recordings(
    raw: Path, loaders: Sequence[type[Loader]], *, forgiving: bool = False
) -> tuple[list[Found], list[Skipped]]:
    """Search a file or folder for recordings.

    A folder is shown to the loaders before what is in it; what a claimed folder holds, and the files that belong to a
    claimed file, are not looked at again. Hidden files are passed over and linked folders are not entered.

    Parameters
    ----------
    raw
        The file or folder.
    loaders
        Who is asked. Where several know the same path, the one with the highest `Loader.specificity` has it.
    forgiving
        Whether a loader that fails on a path in a way nobody foresaw is passed over, with that as the reason.

    Returns
    -------
    found
        One per recording, sorted by path.
    skipped
        What nobody knows, and what somebody knows but cannot read, with the reason.
    """
    claims: list[tuple[type[Loader], Claim]] = []
    skipped: list[Skipped] = []
    taken: set[Path] = set()
    # Companions (.fdt, .vmrk, sidecars) may come before the file that they belong to.
    pending = list(_walk(raw, loaders, claims, skipped, forgiving))
    for path in pending:
        if path not in taken:
            winner, made, reason = _ask(path, loaders, forgiving)
            claims += [(winner, claim) for claim in made] if winner else []
            taken.update(file for claim in made for file in claim.files)
            if not made:
                skipped.append(Skipped(path, reason))
    used = {file for _, claim in claims for file in claim.files}
    claims.sort(key=lambda pair: (_order(str(pair[1].path)), _order(pair[1].part)))
    return _name_all(raw, claims), [entry for entry in skipped if entry.path not in used]


def _walk(
    folder: Path,
    loaders: Sequence[type[Loader]],
    claims: list[tuple[type[Loader], Claim]],
    skipped: list[Skipped],
    forgiving: bool,
) -> Iterator[Path]:
    """Every file that lies in no claimed folder; the claims of folders are added to ``claims``."""
    if not folder.is_dir():
        yield folder
        return
    winner, made, reason = _ask(folder, loaders, forgiving)
    if winner:
        claims += [(winner, claim) for claim in made]
        return
    if reason != _UNKNOWN:
        skipped.append(Skipped(folder, reason))
        return
    for path in sorted(folder.iterdir(), key=lambda path: _order(path.name)):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if not path.is_symlink():
                yield from _walk(path, loaders, claims, skipped, forgiving)
        elif path.is_file():
            yield path
        else:
            skipped.append(Skipped(path, "it is neither a file nor a folder (a broken link?)"))


_UNKNOWN = "no loader recognises it"


def _ask(path: Path, loaders: Sequence[type[Loader]], forgiving: bool) -> tuple[type[Loader] | None, list[Claim], str]:
    """Who has a path, what it made of it, and why nobody has it where nobody does."""
    best: list[tuple[type[Loader], list[Claim]]] = []
    reason = _UNKNOWN
    for loader in sorted(loaders, key=lambda loader: (-loader.specificity, loader.__name__)):
        if best and loader.specificity < best[0][0].specificity:
            break
        try:
            made = loader.claim(path)
        except RawFileError as error:
            reason = reason if reason != _UNKNOWN else str(error)
            continue
        except OSError as error:
            reason = f"it cannot be read ({error.strerror})"
            continue
        except Exception as error:
            if not forgiving:
                raise
            reason = f"{loader_name(loader)} failed on it ({type(error).__name__}: {error}); please report this"
            continue
        if made:
            best.append((loader, made))
    if len(best) > 1:
        known = " and ".join(loader_name(loader) for loader, _ in best)
        return None, [], f"{known} both read it; convert it with the one you mean"
    return (*best[0], "") if best else (None, [], reason)


def loader_name(loader: type[Loader]) -> str:
    """Return the name a loader is called by: that of its file."""
    return loader.__module__.rpartition(".")[2]


def safe_name(text: str) -> str:
    """Return text as a name of letters, digits and ``_ . + = -`` that does not begin with a dot or sign."""
    # An accent is left out, not the letter below it.
    text = "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))
    return re.sub(r"[^A-Za-z0-9_.+=-]+", "_", text).lstrip("._+=-")[:128].rstrip("._") or "recording"


def _name_all(raw: Path, claims: list[tuple[type[Loader], Claim]]) -> list[Found]:
    names = [_name(raw, claim) for _, claim in claims]
    counts = Counter(map(_key, names, claims))
    found: list[Found] = []
    given: set[str] = set()
    for pair, name in zip(claims, names):
        if counts[_key(name, pair)] > 1:
            name = f"{name}_{loader_name(pair[0])}"
        unique, number = name, 1
        while _key(unique, pair) in given:
            number += 1
            unique = f"{name}_{number}"
        given.add(_key(unique, pair))
        found.append(Found(*pair, unique))
    return found


def _key(name: str, claimed: tuple[type[Loader], Claim]) -> str:
    """What must differ: some file systems take "A" and "a" for one name. Parts are named by what they lie in."""
    return name if claimed[1].part else name.casefold()


def _name(raw: Path, claim: Claim) -> str:
    inside = claim.path.relative_to(raw) if claim.path != raw else Path()
    parts = list(inside.parts)
    if claim.path.is_file():
        parts = [*parts[:-1], stem(claim.path)]
    elif not parts and not claim.part:
        parts = [claim.path.resolve().name]
    return safe_name("-".join([*parts, *([claim.part] if claim.part else [])]))


def stem(path: Path) -> str:
    """Return a file's name without ``.gz`` and without its suffix."""
    return Path(path.name[:-3] if path.name.lower().endswith(".gz") else path.name).stem


def _order(text: str) -> list[tuple[int, int | str]]:
    """Sort key by which ``run2`` comes before ``run10``."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", text) if part]
