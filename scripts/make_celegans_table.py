"""Make ``neurodata/identity/celegans_neurons.csv`` from the shared connectome tables.

    python scripts/make_celegans_table.py ../shared/data/celegans/connectomes-pub_utils neurodata/identity/celegans_neurons.csv

Names and their order come from ``chemical_Cook2019.csv``, the function of somatic neurons and who is pharyngeal from
``neuron_features.csv`` (both: Flavell lab, see the README there). What those tables do not say is listed below with
its source.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pandas as pd

PHARYNGEAL_MOTOR = {"M1", "M2", "M3", "M4", "M5", "MC", "MI", "NSM"}
PHARYNGEAL_INTER = {"I1", "I2", "I3", "I4", "I5", "I6"}
"""Albertson & Thomson 1976, Phil Trans R Soc B 275:299-325: five motor and six interneuron types, and MC (marginal cell
motor neuron), MI (motor-interneuron) and NSM (neurosecretory-motor), counted here by their motor side. Cook et al.
2020, J Comp Neurol 528:2767-2784, keep the types and find sensory endings on many of these neurons as well."""

END_ORGANS = {"CANL", "CANR"}
"""Cook et al. 2019, Nature 571:63-71: canal-associated cells without synapses, counted among the end organs."""

BORN_AFTER_HATCHING = (
    r"(VA|VB|VC|VD|AS)\d+|PDB|AVF[LR]"  # P lineages and W
    r"|[AP]QR|[AP]VM|SDQ[LR]"  # Q
    r"|PVD[LR]|PDE[LR]"  # V5
    r"|(PHC|PLN|PVN|PVW)[LR]"  # T
    r"|RM[HF][LR]|DVB|PDA"  # G1, G2, K, Y
)
"""Sulston & Horvitz 1977, Dev Biol 56:110-156: 80 of the 302 neurons arise from postembryonic blast cells."""

HERMAPHRODITE_ONLY = r"HSN[LR]|VC\d"
"""Sulston, Albertson & Thomson 1980, Dev Biol 78:542-576: the eight neurons that a male does not have."""


def unpadded(name: str) -> str:
    """``DB01`` → ``DB1``; ``AS10`` stays."""
    return re.sub(r"(?<=[A-Z])0+(?=\d)", "", name)


def with_letter(name: str, position: int, swap: dict[str, str]) -> str:
    """The name with the letter at ``position`` swapped, or nothing where that letter has no opposite."""
    if len(name) + position < 2 or name[position] not in swap:
        return ""
    letters = list(name)
    letters[position] = swap[letters[position]]
    return "".join(letters)


def partners(name: str, known: set[str]) -> tuple[str, str]:
    """Left/right and dorsal/ventral partner; a partner is one only if there is such a neuron (AVL has none)."""
    left_right = with_letter(name, -1, {"L": "R", "R": "L"})
    dorsal = {"D": "V", "V": "D"}
    dorsal_ventral = [with_letter(name, -2, dorsal) if name[-1] in "LR" else "", with_letter(name, -1, dorsal)]
    found = [other for other in dorsal_ventral if other in known]
    return left_right if left_right in known else "", found[0] if found else ""


def neuron_class(name: str, left_right: str, dorsal_ventral: str) -> str:
    """The anatomical class of White et al. 1986: the name without side, quadrant and place in the cord."""
    if re.fullmatch(r"(AS|[DV][A-D])\d+", name):
        return name.rstrip("0123456789")
    stem = name[:-1] if left_right else name
    if dorsal_ventral:
        return name[:-1] if stem == name else stem[:-1]
    # Lateral neurons of a class with quadrants (RMDL, IL1L) are right already; the three SAB are D, VL and VR.
    return "SAB" if name.startswith("SAB") else stem


def neuron_function(row: pd.Series, name: str, neuron: str) -> str:
    """Sensory, inter, motor or unknown: the features table's, or for the pharynx the literature's."""
    if neuron in PHARYNGEAL_MOTOR | PHARYNGEAL_INTER:
        return "motor" if neuron in PHARYNGEAL_MOTOR else "inter"
    words = {"sensory": "sensory", "interneuron": "inter", "motor": "motor", "unknown": "unknown"}
    found = [word for column, word in words.items() if row[f"cellType:{column}"]]
    if len(found) != 1:
        raise SystemExit(f"{name}: expected one cell type in the features table, got {found}")
    return found[0]


def make_table(folder: Path) -> pd.DataFrame:
    """Return the table of the 302 neurons, in the order of ``chemical_Cook2019.csv``."""
    raw = list(pd.read_csv(folder / "chemical_Cook2019.csv", index_col=0).index)
    features = pd.read_csv(folder / "neuron_features.csv", index_col=0)
    known = {unpadded(name) for name in raw}
    rows = []
    for padded in raw:
        name = unpadded(padded)
        left_right, dorsal_ventral = partners(name, known)
        neuron = neuron_class(name, left_right, dorsal_ventral)
        rows.append(
            {
                "name": name,
                "neuron_class": neuron,
                "function": neuron_function(features.loc[padded], name, neuron),
                "system": "pharyngeal" if features.loc[padded, "cellType:pharynx"] else "somatic",
                "left_right": left_right,
                "dorsal_ventral": dorsal_ventral,
                "is_end_organ": name in END_ORGANS,
                "sex": "hermaphrodite" if re.fullmatch(HERMAPHRODITE_ONLY, name) else "both",
                "born": "postembryonic" if re.fullmatch(BORN_AFTER_HATCHING, name) else "embryonic",
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the packaged table of C. elegans neurons.")
    parser.add_argument("folder", type=Path, help="folder with chemical_Cook2019.csv and neuron_features.csv")
    parser.add_argument("table", type=Path, help="CSV file to write")
    given = parser.parse_args()
    make_table(given.folder).to_csv(given.table, index=False, lineterminator="\n")
