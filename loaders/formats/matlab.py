"""MATLAB files of any lab: which variable is what stands in a map, or is recognised."""

from __future__ import annotations

from pathlib import Path

from neurodata.errors import RawFileError

from ._matlab_v5 import is_v4, is_v5, list_v5, read_v5
from ._matlab_v73 import is_v73, list_v73, read_v73
from ._variables_loader import VariablesLoader
from ._variables_tree import Tree

_EEGLAB = {"nbchan", "srate"}


class Matlab(VariablesLoader):
    """MATLAB files (``.mat`` of version 4, 5, 6, 7 and 7.3), nested structs and cell arrays included.

    With a map (``--set map=FILE.yaml``, docs/variable-maps.md) exactly what the map names is read. Without one,
    variables are recognised by name and shape:

    - times of samples: increasing vectors called ``time``, ``t``, ``timestamps``, ``fluo_time`` …; rates: scalars
      called ``fs``, ``fps``, ``srate``, ``frame_rate``, ``dt``, ``TR`` …; the one in the innermost struct counts.
    - ``signals/PATH``: matrices. Time is the dimension as long as a time vector, else the one that other variables
      share, else the longest (stated in ``orientation_source``). Vectors of that length are signals of one channel;
      cells with one trace each are one signal. Three dimensions, or cells of matrices (FieldTrip), are trials: pieces
      of one signal with ``intervals/trials``. Where trials really were is not known unless the file says it.
    - ``events/spikes`` with ``units``: cells of sorted times, or spike times with a vector of cluster numbers. Other
      sorted vectors called ``licks``, ``onsets`` … are events; starts with stops are intervals.
    - an array of structs that each hold signals is one recording per element.

    Assumed units of time are warned of. What was found and not used is listed in ``extra/not_read``. Nothing is
    recognised where names and shapes say too little: the message lists the variables and gives a map to start from.

    Files before version 7.3 can only be read whole (up to 4 GiB unpacked, sizes checked first); version 7.3 is read
    piece by piece. Odd: MATLAB stores whole numbers of class ``double`` as integers, which they stay. Not read:
    objects, tables, function handles. EEGLAB's own files are for ``mne_raw``.
    """

    version = 1

    @classmethod
    def is_mine(cls, path: Path) -> bool:
        """Tell whether a file is MATLAB's, and not EEGLAB's."""
        with path.open("rb") as stream:
            first = stream.read(128)
        if is_v5(first) or (path.suffix.lower() == ".mat" and is_v4(path)):
            names = set(list_v5(path))
        elif is_v73(path):
            names = set(list_v73(path))
        else:
            return False
        return not (names >= _EEGLAB or names == {"EEG"} or "datfile" in names)

    @classmethod
    def is_lazy(cls, path: Path) -> bool:
        """Tell whether a file is of version 7.3."""
        return is_v73(path)

    @classmethod
    def open_tree(cls, path: Path, *, objects: bool = False) -> Tree:
        """Look through a file; the versions before 7.3 are read whole."""
        if is_v73(path):
            return read_v73(path)
        tree = read_v5(path)
        if not tree.root.fields:
            raise RawFileError(f"{path}: the MATLAB file holds no variables")
        return tree
