"""A map to start from, for a file in which nothing is recognised."""

from __future__ import annotations

from ._variables_names import name_of
from ._variables_tree import Array, Tree, list_leaves

_MOST = 5


def starting_map(tree: Tree) -> str:
    """Return a YAML map of a file's largest variables, to be corrected by hand."""
    arrays = [leaf for leaf in list_leaves(tree.root) if isinstance(leaf, Array) and leaf.size > 1]
    arrays = sorted(arrays, key=lambda array: -array.size)[:_MOST]
    names: set[str] = set()
    lines = ["signals:"]
    for array in arrays:
        shape = " x ".join(map(str, array.shape))
        lines += [
            f"  {name_of(array.path, names)}:  # {array.kind}, {shape}",
            f"    variable: {array.path}",
            "    orientation: time_first  # or channel_first",
            "    units: a.u.",
            "    rate_hz: 30.0  # a number, or the name of a variable; or time: NAME",
        ]
    lines += ["metadata:", "  modality: other", "  species: unknown"]
    return "\n".join(lines) if arrays else "signals: {}"
