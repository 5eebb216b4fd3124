"""Blocks within blocks: a tree whose every node is a block model of its own children."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.analyses._sbm_blocks import Blocks
from neurodata.analyses._sbm_cost import Graph, Ints
from neurodata.analyses._sbm_search import fit_blocks

Sums = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Tree:
    """Nodes of the graph, and how they are divided further.

    Parameters
    ----------
    nodes
        Places of the nodes in the whole graph, sorted.
    children
        The parts they are divided into; none at a leaf.
    """

    nodes: Ints
    children: tuple[Tree, ...] = ()

    @property
    def depth(self) -> int:
        """How often the nodes are divided, along the longest way down."""
        return 1 + max(child.depth for child in self.children) if self.children else 0


def grow_tree(graph: Graph, rng: np.random.Generator) -> Tree:
    """Divide a graph, then each part, as long as that costs less; then gather parts, and undo needless divisions."""
    return _dissolve(graph, _gather(graph, _divide(graph, np.arange(graph.n_nodes), rng)))


def _divide(graph: Graph, nodes: Ints, rng: np.random.Generator) -> Tree:
    whole = Tree(nodes)
    if len(nodes) < 2:
        return whole
    part = graph.select(nodes)
    labels, _ = fit_blocks(part, rng, leaves=True)
    divided = Tree(nodes, tuple(Tree(nodes[labels == label]) for label in range(labels.max() + 1)))
    if len(divided.children) < 2 or cost_of_tree(graph, divided) > cost_of_tree(graph, whole) - 1e-9:
        return whole
    return Tree(nodes, tuple(_divide(graph, child.nodes, rng) for child in divided.children))


def _gather(graph: Graph, tree: Tree) -> Tree:
    """Put children together under new parents as long as the whole then costs less."""
    children = tuple(_gather(graph, child) for child in tree.children)
    if len(children) < 3:
        return Tree(tree.nodes, children)
    sums = _sums_of(graph, children)
    sizes = np.array([len(child.nodes) for child in children])
    groups = [[place] for place in range(len(children))]
    now = _cost_of_groups(graph, sums, sizes, groups)
    while len(groups) > 2:
        options = [_join(groups, a, b) for a in range(len(groups)) for b in range(a)]
        costs = [_cost_of_groups(graph, sums, sizes, option) for option in options]
        best = int(np.argmin(costs))
        if costs[best] > now - 1e-9:
            break
        groups, now = options[best], costs[best]
    if len(groups) == len(children):
        return Tree(tree.nodes, children)
    parents = tuple(_parent([children[place] for place in group]) for group in groups)
    return _gather(graph, Tree(tree.nodes, parents)) if len(groups) > 2 else Tree(tree.nodes, parents)


def _dissolve(graph: Graph, tree: Tree) -> Tree:
    """Let children take the place of their parent wherever the whole then costs less."""
    tree = Tree(tree.nodes, tuple(_dissolve(graph, child) for child in tree.children))
    now = cost_of_tree(graph, tree)
    for child in tree.children:
        if child.children:
            rest = tuple(other for other in tree.children if other is not child)
            flatter = Tree(tree.nodes, rest + child.children)
            if cost_of_tree(graph, flatter) < now - 1e-9:
                return _dissolve(graph, flatter)
    return tree


def _parent(children: list[Tree]) -> Tree:
    if len(children) == 1:
        return children[0]
    return Tree(np.sort(np.concatenate([child.nodes for child in children])), tuple(children))


def _join(groups: list[list[int]], a: int, b: int) -> list[list[int]]:
    return [group for place, group in enumerate(groups) if place not in (a, b)] + [groups[b] + groups[a]]


def _sums_of(graph: Graph, children: tuple[Tree, ...]) -> Sums:
    """Joined pairs, weight and observed pairs between children, shape ``(child, child)`` each."""
    nodes = np.concatenate([child.nodes for child in children])
    labels = np.repeat(np.arange(len(children)), [len(child.nodes) for child in children])
    blocks = Blocks(graph.select(nodes), labels, tied=False, leaves=True)
    inside = np.s_[: len(children), : len(children)]
    return blocks.joined[inside], blocks.weight[inside], blocks.pairs[inside]


def _cost_of_groups(graph: Graph, sums: Sums, sizes: Ints, groups: list[list[int]]) -> float:
    """Cost of one division into groups of children and of the division of each group into its children."""
    member = np.zeros((len(sizes), len(groups)), np.int64)
    for place, group in enumerate(groups):
        member[group, place] = 1
    joined, weight, pairs = (np.asarray(member.T @ matrix @ member) for matrix in sums)
    total = graph.cost_of_partition(member.T @ sizes) + graph.cost_between(joined, weight, pairs)
    for group in groups:
        if len(group) > 1:
            own = [matrix[np.ix_(group, group)] for matrix in sums]
            total += graph.cost_of_partition(sizes[group]) + graph.cost_between(own[0], own[1], own[2])
    return total


def cost_of_tree(graph: Graph, tree: Tree) -> float:
    """Nats that describe all pairs among the tree's nodes, and the tree."""
    if not tree.children:
        leaf = Blocks(graph.select(tree.nodes), np.zeros(len(tree.nodes), np.int64), tied=False, leaves=True)
        return leaf.cost()
    sizes = np.array([len(child.nodes) for child in tree.children])
    total = graph.cost_of_partition(sizes) + graph.cost_between(*_sums_of(graph, tree.children))
    return total + sum(cost_of_tree(graph, child) for child in tree.children)


def list_levels(tree: Tree, n_nodes: int) -> list[Ints]:
    """Return the block of each node at every depth, finest first; a leaf higher up stays as it is further down."""
    levels = []
    for depth in range(max(tree.depth, 1), 0, -1):
        labels = np.zeros(n_nodes, np.int64)
        for label, nodes in enumerate(_cut(tree, depth)):
            labels[nodes] = label
        levels.append(labels)
    return levels


def _cut(tree: Tree, depth: int) -> list[Ints]:
    if not tree.children or depth == 0:
        return [tree.nodes]
    return [nodes for child in tree.children for nodes in _cut(child, depth - 1)]
