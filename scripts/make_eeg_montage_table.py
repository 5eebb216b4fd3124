"""Make ``neurodata/identity/eeg_positions_1005.csv`` from the template montage that MNE-Python ships.

    python scripts/make_eeg_montage_table.py neurodata/identity/eeg_positions_1005.csv

``standard_1005`` of MNE-Python (BSD-3-Clause; made for it by R. Oostenveld from the MNI "Colin 27" head, after
Oostenveld & Praamstra 2001, Clin Neurophysiol 112:713-719) is set on channels of its own names, so that the positions
come out as in any MNE recording: metres, head frame (origin between the ears, x to the right ear, y to the nose).
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import mne

OLD_NAMES = {"T3", "T4", "T5", "T6"}
"""American Clinical Neurophysiology Society 1991: now T7, T8, P7 and P8; listed twice by the template."""


def main() -> None:
    """Write the table to the path of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    montage = mne.channels.make_standard_montage("standard_1005")
    info = mne.create_info(montage.ch_names, 1.0, "eeg")
    info.set_montage(montage)
    with parser.parse_args().table.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["label", "x", "y", "z"])
        for channel in info["chs"]:
            if channel["ch_name"] not in OLD_NAMES:
                table.writerow([channel["ch_name"], *(f"{value:.7f}" for value in channel["loc"][:3])])


if __name__ == "__main__":
    main()
