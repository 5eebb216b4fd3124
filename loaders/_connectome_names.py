"""Words of published connectomes: what a file's name says, what kinds are called, and which cells are no neurons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from neurodata.errors import RawFileError
from neurodata.identity.celegans import MALE_ONLY, CleanLabel, clean_label, names_of

OTHER_CELLS = ("report", "leave out", "keep")
"""What to do with names that are no neurons: leave known cells out and refuse others, leave all out, or keep all."""

_KINDS = {
    "chemical": ("chemical", "chem", "chemicalsynapse", "synapse", "send", "s", "sp", "c"),
    "electrical": ("electrical", "gapjunction", "gapjunctions", "gap", "elec", "electricalsynapse", "ej", "e"),
    "functional": ("functional", "function"),
    "monoamine": ("monoamine", "monoamines", "monoaminergic"),
    "peptide": ("peptide", "peptides", "neuropeptide", "neuropeptides", "peptidergic"),
    "structural": ("structural", "anatomical", "contact"),
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words}
_PREFIXES = {"aconnectome", "esconnectome", "connectome", "edgelist", "herm", "full"}

_SECTIONS = ("Cook2019", "Cook2019Male")
_SYNAPSES = re.compile(r"White(Whole|A|L4)|Varshney2011|Witvliet(L1_0[1-4]|L2_05|L3_06|A_0[78])")
"""Cook et al. 2019 weigh a connection by the EM sections it is seen in, White et al. 1986, Varshney et al. 2011 and
Witvliet et al. 2021 count synapses (gap junctions)."""

# Cells that the published edge lists name beside neurons: muscles of body, head, pharynx, vulva, uterus, intestine and
# anus; glia; skin, gut, excretory and marginal cells of the pharynx; and functional identities (AWCON lies left or right).
_OTHER_CELL = re.compile(
    r"NMJ|MUSCLE|[DV]?BWM[DVLR0-9]*|M[DV][LR]?\d*|[DV]M[LR]\d+|PM\d[A-Z0-9]*|[UV]M\d?[A-Z]*\d?|MU_?\w*|M?ANAL|MU?INT[LR]?"
    r"|SPH|CEPSH[DVLR]*|GLR[A-Z]*|\w+(?:SO|SH)\d?[DVLR]{0,2}|HYP\d*|INT\d?[A-Z]*|INTESTINE|EXC\w*|BM|MC\d[DVLR]{0,2}"
    r"|E\d[A-Z]{0,2}|GONAD|HMC|SEAM|AWCON|AWCOFF?|\w*MUS\w*|CEPSHEATH\w*|G\d[A-Z]?[LR]?|XXX[LR]?|RECTAL\w*|\w*EPI\w*"
)


@dataclass(frozen=True)
class CellNames:
    """Names of a file made canonical.

    Parameters
    ----------
    of
        Raw name → canonical name, or the raw one of a kept other cell; names that are left out are not in it.
    others
        Raw names that are no neurons.
    problems
        What to say about them.
    sex
        Whose neurons these are.
    """

    of: Mapping[str, str]
    others: tuple[str, ...]
    problems: tuple[str, ...]
    sex: str


@cache
def _names_of(sex: str) -> tuple[str, ...]:
    return (*names_of(), *MALE_ONLY) if sex == "both" else names_of(sex)


@lru_cache(maxsize=8192)
def clean(name: str, sex: str) -> CleanLabel:
    """Return one name made canonical; ``sex`` may be ``"both"``. A folder of tables asks for the same ones again and again."""
    return clean_label(name, names=_names_of(sex))


def kind_of(word: str) -> str | None:
    """Return the kind that a word of a file means, or None."""
    return _KIND_OF.get(re.sub(r"[^a-z]", "", word.lower()))


def read_file_name(stem: str) -> tuple[str | None, str]:
    """Return kind (None where it is not said) and source of a file: ``chemical_Cook2019`` → chemical, Cook2019."""
    parts = [part for part in re.split(r"_", stem) if part]
    named = [kind for kind in (kind_of(part) for part in parts if len(part) > 2) if kind]
    rest = [part for part in parts if part.lower() not in _PREFIXES and not (len(part) > 2 and kind_of(part))]
    return (named[0] if named else None), "_".join(rest) or stem


def units_of(kind: str, source: str) -> str:
    """Return the unit of a published table's weights, ``"a.u."`` where we do not know it."""
    if source in _SECTIONS:
        return "EM sections"
    if _SYNAPSES.fullmatch(source):
        return "gap junctions" if kind == "electrical" else "synapses"
    return "a.u."


def clean_names(raw: Iterable[str], where: str, *, sex: str | None, source: str, other_cells: str) -> CellNames:
    """Return the canonical names of the cells of one file.

    Parameters
    ----------
    raw
        Names as the file has them; the same one may come often.
    where
        The file, for messages.
    sex
        None tells it from the source's name and from neurons that only males have.
    other_cells
        One of `OTHER_CELLS`.

    Raises
    ------
    RawFileError
        If names are neither neurons of that sex nor other cells that are known; lists them all.
    """
    names = list(dict.fromkeys(raw))
    male = set(MALE_ONLY)
    if sex is None:
        is_male = source.lower().endswith("male") and "herm" not in source.lower()
        is_male = is_male or any(clean(name, "both").label in male for name in names)
        sex = "male" if is_male else "hermaphrodite"
    cleaned = {name: clean(name, sex) for name in names}
    of = {name: found.label for name, found in cleaned.items() if found.label}
    strange = [name for name in names if name not in of]
    known = [name for name in strange if is_other_cell(name)]
    unknown = [name for name in strange if name not in set(known)]
    if unknown and other_cells == "report":
        listed = "\n".join(f"  - {name!r}: {cleaned[name].note or 'no name'}" for name in unknown)
        raise RawFileError(
            f"{where}: {len(unknown)} of {len(names)} names are no neurons of the {sex} and no other cells we know:\n"
            f"{listed}\ncorrect them, state another sex, or say other_cells='leave out' or other_cells='keep'"
        )
    notes = []
    aliases = [f"{name} is {found.label}" for name, found in cleaned.items() if found.label and found.note]
    if aliases:
        notes.append(f"older names: {', '.join(aliases)}")
    if strange and other_cells == "keep":
        of |= {name: name for name in strange}
    return CellNames(of, tuple(strange), tuple(notes), sex)


def is_other_cell(name: str) -> bool:
    """Tell whether a name is a muscle, glia or other cell that published edge lists name."""
    return _OTHER_CELL.fullmatch(re.sub(r"[\s_.\-()]+", "", name).upper()) is not None


def in_order(names: Iterable[str], sex: str) -> tuple[str, ...]:
    """Return all neurons of a sex in the usual order, and then the other names that were kept, sorted."""
    neurons = _names_of(sex)
    return (*neurons, *sorted(set(names) - set(neurons)))


def shorten(parts: Sequence[str], most: int = 10) -> str:
    """Return a list as text, the first few and how many more."""
    return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")
