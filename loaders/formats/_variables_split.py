"""Files that hold several recordings: an array of structs, each with signals of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ._variables_inventory import make_inventory, unwrap
from ._variables_tree import Array, Cells, Node, Struct, Tree, list_leaves

_FEWEST_SAMPLES = 20


def split_recordings(tree: Tree) -> list[tuple[str, Tree]]:
    """Return a file as its recordings: one per element of a struct array (or cells of structs) that hold signals.

    Returns
    -------
    parts
        Pairs of a part's name, empty where the file is one recording, and a tree that holds this element only, with
        everything that stands beside the array.
    """
    array = _find_array(tree.root)
    if array is None:
        return [("", tree)]
    width = len(str(len(array.items)))
    parts = []
    for number, item in enumerate(array.items):
        root = _replace(tree.root, array, item)
        assert isinstance(root, Struct)  # only an element of the root was replaced
        parts.append((f"{number + 1:0{width}d}", replace(tree, root=root)))
    return parts


def _find_array(node: Node) -> Cells | None:
    """The outermost array whose elements all hold times with samples of their length, or matrices."""
    if isinstance(node, Cells):
        if len(node.items) == 1:
            return _find_array(node.items[0])
        return node if node.items and all(_holds_recording(item) for item in node.items) else None
    if isinstance(node, Struct):
        inner = (_find_array(member) for member in node.fields.values())
        return next((array for array in inner if array is not None), None)
    return None


def _holds_recording(node: Node) -> bool:
    node = unwrap(node)
    if not isinstance(node, Struct):
        return False
    long = [leaf for leaf in list_leaves(node) if isinstance(leaf, Array) and leaf.size >= _FEWEST_SAMPLES]
    if any(len(leaf.long_axes) >= 2 and max(leaf.shape) >= _FEWEST_SAMPLES for leaf in long):
        return True
    found = make_inventory(Tree(Path(), node))
    return any(times.length == leaf.size and times.path != leaf.path for times in found.times for leaf in long)


def _replace(node: Node, target: Node, by: Node) -> Node:
    if node is target:
        return by
    if isinstance(node, Struct):
        fields = {name: _replace(member, target, by) for name, member in node.fields.items()}
        return Struct(node.path, fields, node.kind, node.shape)
    if isinstance(node, Cells) and len(node.items) == 1:
        return Cells(node.path, (_replace(node.items[0], target, by),), node.shape, node.kind)
    return node
