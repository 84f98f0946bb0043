"""The memory of a training run: weights, moments, average and gradient, each one flat array.

If the parameters of a model are views into one array, one pass updates them all
(:mod:`npdiff.kernels.adamw`). The pass writes to a second set of arrays, and the two sets
alternate: the state before a step stays complete until the step is complete, and no step allocates
memory.

The gradient is not needed after the update of the moments. So the new first moment overwrites it,
and the next gradient overwrites the old first moment. P parameters need 8 P elements: two sets of
weights, second moments and averages, and two arrays that alternate as first moment and gradient.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from npdiff import tree
from npdiff.acceleration import idle_threads, kernels_allowed
from npdiff.backend import Array, namespace
from npdiff.runtime.shards import Reduction
from npdiff.runtime.threads import ThreadPool
from npdiff.slices import split_range
from npdiff.training.optimizer import Moments, State

A = TypeVar("A")

#: Every parameter starts at a multiple of this many elements: 64 bytes in float32.
ALIGNMENT = 16


class Layout:
    """The positions of a model's parameters in a flat array.

    Parameters of two or more axes, to which weight decay applies, come first.

    Attributes
    ----------
    parts : the slice of each parameter, in the order of the tree
    size : the length of the flat array, including the gaps between parameters
    decayed : the length of its first part, to which weight decay applies
    """

    def __init__(self, model: Any) -> None:
        shapes = [tuple(leaf.shape) for leaf in tree.leaves(model)]
        self.parts = [slice(0)] * len(shapes)
        self.size = self.decayed = 0
        for i in sorted(range(len(shapes)), key=lambda i: len(shapes[i]) < 2):
            end = self.size + math.prod(shapes[i])  # the next start is rounded up
            self.parts[i] = slice(self.size, end)
            self.size = -(-end // ALIGNMENT) * ALIGNMENT
            if len(shapes[i]) > 1:
                self.decayed = self.size

    def views(self, flat: Array, like: Any) -> Any:
        """A tree like the model whose leaves are views of ``flat``."""
        parts = iter(self.parts)
        return tree.map(lambda leaf: flat[next(parts)].reshape(leaf.shape), like)


class Flat:
    """The state and the gradient of a run in flat arrays, and the kernels that update them.

    Parameters
    ----------
    state : the initial state, which is copied
    workers : the threads that run the kernels
    """

    def __init__(self, state: State, workers: ThreadPool) -> None:
        from npdiff.kernels import adamw  # the folder may be missing
        from npdiff.kernels.vectors import Vectors

        self._kernels, self._workers = adamw, workers
        leaf, self._layout = tree.leaves(state.model)[0], Layout(state.model)

        def pair() -> tuple[Array, Array]:
            xp, size = namespace(leaf), self._layout.size
            return xp.zeros(size, dtype=leaf.dtype), xp.zeros(size, dtype=leaf.dtype)

        # Set i: weights, first moment means[i], second moment, average. While set i is current,
        # the gradient is summed in means[1 - i], which the update turns into the first moment.
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
        """The state in flat arrays; None if kernels are off or do not support its dtypes."""
        if not kernels_allowed() or len({leaf.dtype for leaf in tree.leaves(state)}) > 1:
            return None
        try:
            return cls(state, workers)
        except ImportError:
            return None

    @property
    def state(self) -> State:
        """The current state. The step after the next one overwrites its arrays."""
        return self._states[self._turn]

    def sum(
        self, f: Callable[[A], tuple[Array, Any]], shards: Sequence[A], reduction: Reduction
    ) -> tuple[Array, Array, Any]:
        """The sums of the losses and gradients of all shards, in the order of the shards.

        Parameters
        ----------
        f : returns the loss and the gradient of a shard
        shards : of this machine
        reduction : sums over machines

        Returns
        -------
        loss, norm : scalar arrays: the loss and the norm of the gradient
        gradient : a tree of views, overwritten by the next update
        """
        total, loss = self._sums[self._turn], None
        for term, gradient in self._workers.results(f, shards):
            self._add(gradient, first=loss is None)
            loss = term if loss is None else loss + term
            del gradient  # frees it before the next one arrives
        everywhere = reduction.total(total)
        if everywhere is not total:
            total[:] = everywhere
        with idle_threads(self._workers.as_idle()):
            norm = self._kernels.global_norm(total)
        return reduction.total(loss), norm, self._gradients[self._turn]

    def _add(self, gradient: Any, first: bool) -> None:
        """Add a shard's gradient to the sum, or start the sum with it."""
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
            for part in split_range(own.stop - own.start, chunk)
        ]
        self._workers.parallel_for(add, pieces)

    def apply_gradient(self, state: State, gradient: Any, **options: Any) -> State:
        """The state after a step, in the other set of arrays.

        Parameters
        ----------
        state, gradient : usually the current ones; others are copied into the arrays first
        options : of :func:`npdiff.kernels.adamw.adamw`
        """
        turn, other = self._turn, 1 - self._turn
        if state is self._states[other]:
            raise RuntimeError(
                "the arrays of this state were overwritten by a later step: pass the latest state"
            )
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
    def _take(views: Any, given: Any) -> None:
        """Copy a tree into the arrays, unless it is the tree of their views."""
        if views is not given:
            for place, leaf in zip(tree.leaves(views), tree.leaves(given), strict=True):
                place[...] = leaf
