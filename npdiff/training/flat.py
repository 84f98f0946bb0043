"""The memory of a training run: weights, moments, average and gradient, each one flat array.

A model whose parameters are views into one array can be updated in one pass
(:mod:`npdiff.kernels.adamw`). The pass writes to a second set of arrays, and the two sets are used
in turn: until a step is complete the state before it is whole, and no step asks for memory.

The gradient is of no use once the moments after it are there. So the new first moment is written
over it, and the array of the old one takes the next gradient. P parameters need 8 P numbers: two
sets of weights, second moments and averages, and two arrays that are first moment and gradient by
turns.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from npdiff import tree
from npdiff.acceleration import idle_threads, kernels_allowed
from npdiff.backend import Array, namespace
from npdiff.runtime.shards import Reduction
from npdiff.runtime.threads import ThreadPool
from npdiff.slices import split
from npdiff.training.optimizer import Moments, State

A = TypeVar("A")

#: A parameter begins at a multiple of so many elements: of 64 bytes in float32.
ALIGNMENT = 16


class Layout:
    """Where each parameter of a model stands in a flat array.

    Parameters of two or more axes, to which weight decay applies, come first.

    Attributes
    ----------
    parts : the elements of each parameter, in the order of the tree
    size : elements of the flat array, the gaps between parameters included
    decayed : how many of them weight decay applies to
    """

    def __init__(self, model: Any) -> None:
        shapes = [tuple(leaf.shape) for leaf in tree.leaves(model)]
        self.parts = [slice(0)] * len(shapes)
        self.size = self.decayed = 0
        for i in sorted(range(len(shapes)), key=lambda i: len(shapes[i]) < 2):
            end = self.size + math.prod(shapes[i])
            self.parts[i] = slice(self.size, end)
            self.size = -(-end // ALIGNMENT) * ALIGNMENT
            if len(shapes[i]) > 1:
                self.decayed = self.size

    def views(self, flat: Array, like: Any) -> Any:
        """A tree like the model whose leaves are the parameters in ``flat``."""
        parts = iter(self.parts)
        return tree.map(lambda leaf: flat[next(parts)].reshape(leaf.shape), like)


class Flat:
    """A run's state and gradient in flat arrays, and the kernels that work on them.

    Parameters
    ----------
    state : what to begin with; it is copied
    workers : whose threads share the work
    """

    def __init__(self, state: State, workers: ThreadPool) -> None:
        from npdiff.kernels import adamw  # the folder may be missing
        from npdiff.kernels.vectors import Vectors

        self._kernels, self._workers = adamw, workers
        leaf, self._layout = tree.leaves(state.model)[0], Layout(state.model)

        def pair() -> tuple[Array, Array]:
            xp, size = namespace(leaf), self._layout.size
            return xp.zeros(size, dtype=leaf.dtype), xp.zeros(size, dtype=leaf.dtype)

        model, means, second, average = pair(), pair(), pair(), pair()
        self._sets = [Vectors(model[i], means[i], second[i], average[i]) for i in range(2)]
        self._sums = means[1], means[0]
        like = state.model
        views = [Vectors(*(self._layout.views(a, like) for a in s)) for s in self._sets]
        self._states = [
            State(model=v.model, average=v.average, moments=Moments(v.first, v.second))
            for v in views
        ]
        self._gradients = views[1].first, views[0].first
        self._turn = 0
        self._take(self.state, state)

    @classmethod
    def of(cls, state: State, workers: ThreadPool) -> Self | None:
        """The state in flat arrays; None where kernels are not allowed or do not cover it."""
        if not kernels_allowed() or len({leaf.dtype for leaf in tree.leaves(state)}) > 1:
            return None
        try:
            return cls(state, workers)
        except ImportError:
            return None

    @property
    def state(self) -> State:
        """The state at present. Its arrays are written to by the second step from now."""
        return self._states[self._turn]

    def sum(
        self, f: Callable[[A], tuple[Array, Any]], shards: Sequence[A], reduction: Reduction
    ) -> tuple[Array, Array, Any]:
        """The sum of losses and of gradients over all shards, added up in their order.

        Parameters
        ----------
        f : the loss and the gradient of a shard
        shards : of this machine
        reduction : joins it to the others

        Returns
        -------
        loss, norm : arrays without axes, the norm that of the gradient
        gradient : a tree of views, overwritten by the next update
        """
        total, loss = self._sums[self._turn], None
        for own, gradient in self._workers.results(f, shards):
            self._add(gradient, first=loss is None)
            loss = own if loss is None else loss + own
            del gradient  # or it would be kept until the next has come
        everywhere = reduction.total(total)
        if everywhere is not total:
            total[:] = everywhere
        with idle_threads(self._workers.as_idle()):
            norm = self._kernels.global_norm(total)
        return reduction.total(loss), norm, self._gradients[self._turn]

    def _add(self, gradient: Any, first: bool) -> None:
        """Add a shard's gradient to the sum, or begin the sum with it."""
        total, terms = self._sums[self._turn], [leaf.reshape(-1) for leaf in tree.leaves(gradient)]

        def add(piece: tuple[Array, slice, int]) -> None:
            term, part, start = piece
            place = total[start + part.start : start + part.stop]
            if first:
                place[:] = term[part]
            else:
                place += term[part]

        chunk = self._kernels.chunk_size(total)
        pieces = [
            (term, part, own.start)
            for term, own in zip(terms, self._layout.parts, strict=True)
            for part in split(own.stop - own.start, chunk)
        ]
        self._workers.parallel_for(add, pieces)

    def apply_gradient(self, state: State, gradient: Any, **options: Any) -> State:
        """The state after a step, in the other set of arrays.

        Parameters
        ----------
        state, gradient : the present ones; others are copied to their places first
        options : of :func:`npdiff.kernels.adamw.adamw`
        """
        turn, other = self._turn, 1 - self._turn
        if state is self._states[other]:
            raise RuntimeError("this state has given way to the one after it: advance that")
        self._take(self._states[turn], state)
        self._take(self._gradients[turn], gradient)
        with idle_threads(self._workers.as_idle()):
            self._kernels.adamw(
                self._sets[turn],
                self._sums[turn],
                self._sets[other],
                decayed=self._layout.decayed,
                **options,
            )
        self._turn = other
        return self.state

    @staticmethod
    def _take(own: Any, given: Any) -> None:
        """Copy a tree to its place, unless it is there."""
        if own is not given:
            for place, leaf in zip(tree.leaves(own), tree.leaves(given), strict=True):
                place[...] = leaf
