"""Nodes in blocks, with the sums that tell at once what moving a node or merging two blocks would cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodata.analyses._sbm_cost import Floats, Graph, Ints

Noise = Callable[[int], Floats]

_LESS = 1e-9
"""Nats: costs that differ by less are equal, so that rounding moves nobody."""


class Blocks:
    """A partition that is being improved; its last block is always empty, so a node can always start a new one.

    Parameters
    ----------
    graph
        What is described.
    labels
        Block of each node, shape ``(node,)``; any integers.
    tied
        Whether all pairs of nodes in different blocks share one density and one mean weight.
    leaves
        Whether each block also says that it is not divided further (nested models).
    """

    def __init__(self, graph: Graph, labels: Ints, *, tied: bool, leaves: bool) -> None:
        self.graph, self.tied, self.leaves = graph, tied, leaves
        self._set(labels)

    def _set(self, labels: Ints) -> None:
        graph = self.graph
        self.labels: Ints = np.unique(labels, return_inverse=True)[1].astype(np.int64)
        self.n_blocks = int(self.labels.max()) + 1
        member = (self.labels[:, None] == np.arange(self.n_blocks + 1)).astype(np.float64)
        # Products of float64 are done by BLAS, those of integers are not; counts below 2**53 stay exact.
        self.node_joined: Ints = np.rint(member.T @ graph.present).astype(np.int64)
        self.node_weight: Floats = member.T @ graph.weight
        self.node_pairs: Ints = np.rint(member.T @ graph.observed).astype(np.int64)
        self.size: Ints = member.sum(axis=0).astype(np.int64)
        self.ends: Ints = np.rint(graph.degree @ member).astype(np.int64)
        self.joined: Ints = _halve(np.rint(self.node_joined @ member).astype(np.int64))
        self.weight: Floats = _halve(self.node_weight @ member)
        self.pairs: NDArray[Any]
        if graph.corrected:
            # Poisson edges may join a node to itself: n * n / 2 pairs within a block.
            self.pairs = np.multiply.outer(self.size, self.size).astype(np.float64)
            self.pairs[np.diag_indices_from(self.pairs)] /= 2
        else:
            self.pairs = _halve(np.rint(self.node_pairs @ member).astype(np.int64))

        above = np.triu_indices(self.n_blocks)
        self.total = [sums[above].sum() for sums in (self.joined, self.weight, self.pairs)]

    def cost(self) -> float:
        """Nats that describe the graph with this partition."""
        graph, k = self.graph, self.n_blocks
        sizes = self.size[:k]
        total = graph.cost_of_partition(sizes) + graph.cost_of_degree_factorials()
        total += float(graph.cost_of_degrees(sizes, self.ends[:k]).sum())
        if self.leaves and k > 1:
            total += float(np.log(sizes).sum())
        inside = np.arange(k)
        total += float(self._cost_at((inside, inside)).sum())
        above = np.triu_indices(k, 1)
        if self.tied:
            return total + float(graph.cost_of_pairs(*(sums.sum() for sums in self._sums_at(above))))
        return total + float(self._cost_at(above).sum())

    def _sums_at(self, where: Any) -> tuple[Ints, Floats, NDArray[Any]]:
        return self.joined[where], self.weight[where], self.pairs[where]

    def _cost_at(self, where: Any) -> NDArray[Any]:
        return np.asarray(self.graph.cost_of_pairs(*self._sums_at(where)))

    # ---- moving one node

    def _shift(self, node: int, block: int, sign: int) -> None:
        """Put a node into a block (+1) or take it out (-1) of the sums over blocks."""
        size = self.size
        if sign < 0:
            size[block] -= 1
        shares = (self.node_joined[:, node], self.node_weight[:, node], self._exposure(node))
        for sums, own in zip((self.joined, self.weight, self.pairs), shares, strict=True):
            change = sign * own
            if self.tied:  # what lies between blocks follows from what lies within
                sums[block, block] += change[block]
            else:
                sums[block] += change
                sums[:, block] = sums[block]
        if self.graph.corrected:
            self.pairs[block, block] += sign * 0.5
        if sign > 0:
            size[block] += 1
        self.ends[block] += sign * self.graph.degree[node]

    def _exposure(self, node: int) -> NDArray[Any]:
        """Pairs a node forms with each block while it is in none, shape ``(block,)``."""
        return self.size.astype(np.float64) if self.graph.corrected else self.node_pairs[:, node]

    def _follow(self, node: int, home: int, block: int) -> None:
        """Let all others know that a node has moved."""
        graph = self.graph
        for sums, own in (
            (self.node_joined, graph.present[node]),
            (self.node_weight, graph.weight[node]),
            (self.node_pairs, graph.observed[node]),
        ):
            sums[home] -= own
            sums[block] += own
        self.labels[node] = block

    def _costs_of_insertion(self, node: int) -> Floats:
        """Cost of putting a node that was taken out into each block, up to a constant, shape ``(block,)``."""
        graph, size = self.graph, self.size
        own = (self.node_joined[:, node], self.node_weight[:, node], self._exposure(node))
        costs = self._added_when_tied(own) if self.tied else self._added_when_free(own)
        if graph.corrected:
            costs += graph.cost_of_degrees(size + 1, self.ends + graph.degree[node])
            costs -= graph.cost_of_degrees(size, self.ends)
        costs -= np.log(np.maximum(size, 1) if self.leaves else size + 1)
        used = int((size > 0).sum())
        if used:
            n = graph.n_nodes
            costs += np.where(size > 0, graph.cost_of_number(n, used), graph.cost_of_number(n, used + 1))
        return np.asarray(costs)

    def _added_when_free(self, own: tuple[NDArray[Any], ...]) -> Floats:
        joined, weight, pairs = self.joined + own[0], self.weight + own[1], self.pairs + own[2]
        if self.graph.corrected:
            pairs[np.diag_indices_from(pairs)] += 0.5
        after = self.graph.cost_of_pairs(joined, weight, pairs)
        return np.asarray((after - self._cost_at(...)).sum(axis=1))

    def _added_when_tied(self, own: tuple[NDArray[Any], ...]) -> Floats:
        inside = np.arange(len(self.size))
        sums = self._sums_at((inside, inside))
        joined, weight, pairs = (within + share for within, share in zip(sums, own, strict=True))
        if self.graph.corrected:
            pairs = pairs + 0.5
        costs = self.graph.cost_of_pairs(joined, weight, pairs) - self.graph.cost_of_pairs(*sums)
        outside = (
            whole - within.sum() - share - missed
            for whole, within, share, missed in zip(
                self.total, sums, own, (0, 0.0, 0.5 if self.graph.corrected else 0), strict=True
            )
        )
        return np.asarray(costs + self.graph.cost_of_pairs(*outside))

    def sweep(self, nodes: Iterable[int], only: Ints | None = None, noise: Noise | None = None) -> bool:
        """Move each node to the block where it costs least, one after another; tell whether any moved.

        Parameters
        ----------
        nodes
            Whom to move, in this order.
        only
            Blocks that may be chosen; all, and a new one, where None.
        noise
            Makes what is added to the costs of the blocks before a node chooses: heat, to leave poor optima.
        """
        moved = False
        for node in nodes:
            home = int(self.labels[node])
            self._shift(node, home, -1)
            costs = self._costs_of_insertion(node)
            if noise is not None:
                costs += noise(len(costs))
            best = int(np.argmin(costs)) if only is None else int(only[np.argmin(costs[only])])
            if costs[best] > costs[home] - _LESS:
                best = home
            self._shift(node, best, +1)
            if best != home:
                moved = True
                self._follow(node, home, best)
                if self.size[home] == 0 and only is not None:
                    break  # one side of a proposed split emptied: nothing is left to decide
                if self.size[home] == 0 or best == self.n_blocks:
                    self._set(self.labels)
        self._set(self.labels)  # also drops what rounding has gathered in the sums
        return moved

    def anneal(self, rng: np.random.Generator, temperatures: Iterable[float]) -> None:
        """Let nodes choose blocks with chances ``exp(-cost / temperature)``, one sweep per temperature."""
        for temperature in temperatures:
            # Adding Gumbel noise to the costs and taking the least draws from just these chances.
            self.sweep(
                rng.permutation(self.graph.n_nodes).tolist(),
                noise=lambda n, heat=temperature: -heat * rng.gumbel(size=n),  # type: ignore[misc]
            )

    def settle(self, rng: np.random.Generator, max_sweeps: int = 12) -> None:
        """Move nodes and merge blocks until neither lowers the cost."""
        for _ in range(max_sweeps):
            moved = self.sweep(rng.permutation(self.graph.n_nodes).tolist())
            merged = self.merge()
            if not moved and not merged:
                return

    # ---- merging two blocks

    def merge(self) -> bool:
        """Merge the best two blocks as long as that lowers the cost; tell whether any were merged."""
        merged = False
        while self.n_blocks > 1:
            left, right = np.triu_indices(self.n_blocks, 1)
            gains = self._costs_of_merging(left, right)
            best = int(np.argmin(gains))
            if gains[best] > -_LESS:
                break
            self._set(np.where(self.labels == right[best], left[best], self.labels))
            merged = True
        return merged

    def _costs_of_merging(self, left: Ints, right: Ints) -> Floats:
        """What merging each two blocks would add to the cost, shape ``(pair of blocks,)``."""
        graph, k = self.graph, self.n_blocks
        diagonal = [np.diagonal(sums) for sums in (self.joined, self.weight, self.pairs)]
        within = [
            own[left] + own[right] + between
            for own, between in zip(diagonal, self._sums_at((left, right)), strict=True)
        ]
        inside = self._cost_at((np.arange(k), np.arange(k)))
        costs = np.asarray(graph.cost_of_pairs(*within)) - inside[left] - inside[right]
        if self.tied:
            between = [sums[left, right].sum() for sums in (self.joined, self.weight, self.pairs)]
            fewer = (whole - part for whole, part in zip(between, self._sums_at((left, right)), strict=True))
            costs += np.asarray(graph.cost_of_pairs(*fewer)) - float(graph.cost_of_pairs(*between))
        else:
            now = self._cost_at((slice(0, k), slice(0, k)))
            rows = (sums[left, :k] + sums[right, :k] for sums in (self.joined, self.weight, self.pairs))
            change = np.asarray(graph.cost_of_pairs(*rows)) - now[left] - now[right]
            pair = np.arange(len(left))
            change[pair, left] = change[pair, right] = 0.0
            costs += change.sum(axis=1) - now[left, right]
        size, ends, log_factorial = self.size, self.ends, graph.log_factorial
        costs += np.asarray(graph.cost_of_degrees(size[left] + size[right], ends[left] + ends[right]))
        costs -= np.asarray(
            graph.cost_of_degrees(size[left], ends[left]) + graph.cost_of_degrees(size[right], ends[right])
        )
        costs += log_factorial[size[left]] + log_factorial[size[right]] - log_factorial[size[left] + size[right]]
        if self.leaves:
            costs += np.log((size[left] + size[right]) / (size[left] * size[right]))
        return np.asarray(costs + graph.cost_of_number(graph.n_nodes, k - 1) - graph.cost_of_number(graph.n_nodes, k))


def cost_of_repeats(graph: Graph, labels: Ints) -> float:
    """Nats a corrected model spends on edges that cannot be: a pair joined twice, a node joined to itself.

    Poisson edges of mean ``m`` cost ``m`` per pair that is not joined twice as well; given that no pair is, the chance
    of an edge is ``m / (1 + m)`` and the cost ``log(1 + m)``. The integrals are not closed then, so the difference is
    taken at the posterior means of the parameters, for a finished partition only.
    """
    if not graph.corrected:
        return 0.0
    blocks = Blocks(graph, labels, tied=False, leaves=False)
    own, k = blocks.labels, blocks.n_blocks
    rate = (1 + blocks.joined[:k, :k]) / (1 / graph.density + blocks.pairs[:k, :k])
    share = (1 + graph.degree) * blocks.size[own] / (blocks.size[own] + blocks.ends[own])
    mean = rate[np.ix_(own, own)] * np.multiply.outer(share, share)
    above = np.triu_indices(graph.n_nodes, 1)
    return float((mean[above] - np.log1p(mean[above])).sum() + np.diagonal(mean).sum() / 2)


def _halve(sums: NDArray[Any]) -> NDArray[Any]:
    """Count pairs within a block once: they were met from both ends."""
    where = np.diag_indices_from(sums)
    sums[where] = sums[where] // 2 if sums.dtype.kind == "i" else sums[where] / 2
    return sums
