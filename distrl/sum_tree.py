"""Proportional sampling for prioritised replay: sums of masses in two pools, and draws that follow them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


class SumTree:
    """A sum tree over [pool, slot] that sets and draws many entries at once, each in O(log capacity).

    Nodes 2 and 3 are the roots of the pools; node i has children 2i and 2i + 1. Sums are always recomputed from
    children, never adjusted by differences: no drift, and a tree rebuilt from its leaves is equal to the last bit.
    """

    def __init__(self, capacity: int) -> None:
        self._depth = max(0, (capacity - 1).bit_length())  # Levels below a pool's root.
        self._width = 1 << self._depth
        self._nodes = np.zeros(4 * self._width, dtype=np.float64)
        self._first_leaf = 2 * self._width

    def pool_mass(self, pool: int) -> float:
        """Sum of a pool's masses."""
        return float(self._nodes[2 + pool])

    def mass(self, pools: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.float64]:
        """Masses of the entries, [N]."""
        masses: NDArray[np.float64] = self._nodes[self._first_leaf + pools * self._width + slots]
        return masses

    def set(self, pools: NDArray[np.int64], slots: NDArray[np.int64], masses: NDArray[np.float64]) -> None:
        """Sets masses, [N] each; the last counts where an entry is named twice."""
        nodes = self._first_leaf + pools * self._width + slots
        self._nodes[nodes] = masses
        for _ in range(self._depth):
            nodes = nodes >> 1
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

    def find(self, pools: NDArray[np.int64], points: NDArray[np.float64]) -> NDArray[np.int64]:
        """Gives the slot that holds each point of [0, pool mass) laid along the slots' masses, [N].

        Never an entry of mass 0 while its pool has any, whatever the rounding.
        """
        nodes = 2 + pools
        points = points.copy()
        for _ in range(self._depth):
            left = 2 * nodes
            left_mass = self._nodes[left]
            go_right = (points >= left_mass) & (self._nodes[left + 1] > 0)
            points -= np.where(go_right, left_mass, 0.0)
            nodes = left + go_right
        return nodes & (self._width - 1)


def draw(
    tree: SumTree, batch_size: int, success_share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draws a batch in proportion to mass, with at least `success_share` of it from pool 1 when that has any mass.

    Gives slots [N] in random order and each one's probability per draw [N]: expected number in the batch / N. While
    pool 1's own share of the mass fills its quota, that is mass / total mass; else pool 1 gets its quota, pool 0 the
    rest, and draws are proportional inside each. Draws are systematic, one random offset and equal strides through a
    pool: the average is exact, and an entry stands in a batch as often as expected, rounded down or up, so that no
    batch repeats a trajectory by luck.

    The tree must hold some mass.
    """
    masses = np.array([tree.pool_mass(0), tree.pool_mass(1)])
    quota = math.ceil(success_share * batch_size - 1e-9) if masses[1] > 0 else 0
    natural = float(batch_size * masses[1] / masses.sum())
    if natural >= quota:
        # Rounded at random, up as often as needed: the average stays exact and never falls below the quota.
        num_successes = math.floor(natural) + int(rng.random() < natural % 1)
        expected = np.array([batch_size - natural, natural])
    else:
        num_successes = quota
        expected = np.array([batch_size - quota, quota], dtype=np.float64)
    counts = np.array([batch_size - num_successes, num_successes])
    pools = np.repeat(np.array([0, 1]), counts)
    rank = np.concatenate([np.arange(counts[0]), np.arange(counts[1])])
    points = (rank + rng.random(2)[pools]) * (masses / np.maximum(counts, 1))[pools]
    slots = tree.find(pools, points)
    probabilities = expected[pools] / batch_size * tree.mass(pools, slots) / masses[pools]
    shuffled = rng.permutation(batch_size)
    return slots[shuffled], probabilities[shuffled]
