"""The interface of a convolution algorithm."""

from typing import Protocol

from npdiff.backend import Array


class ConvAlgorithm(Protocol):
    """A convolution of blocks of a few samples of one shape with one weight array.

    Made for the shapes of one call; has no scratch, so that threads may use it at the same time.
    Weights are converted once (:meth:`forward_weights`, :meth:`backward_weights`) and then passed
    with every block. Blocks are C-contiguous ``(B, *space, C)``.
    """

    #: Identifies the layout of the converted weights.
    name: str
    #: Spatial size of the output.
    out: tuple[int, ...]
    #: Largest number of samples that a block should have.
    block: int

    def forward_weights(self, w: Array) -> Array:
        """The weights in the layout that :meth:`forward` needs."""
        ...

    def forward(
        self, x: Array, weights: Array, out: Array, bias: Array | None, residual: Array | None
    ) -> None:
        """Write the convolution of a block, plus bias, plus residual, to ``out``.

        Parameters
        ----------
        x : ``(B, *space, C)``
        weights : from :meth:`forward_weights`
        out : ``(B, *out, F)``, C-contiguous
        bias : ``(F,)``, or ``(B, F)``, one for each sample, or None
        residual : ``(B, *out, F)``, or None
        """
        ...

    def backward_weights(self, w: Array) -> Array:
        """The weights in the layout that :meth:`backward` needs."""
        ...

    def gradient(self) -> Array:
        """Zeros to which :meth:`backward` adds the cotangent of the weights, in its layout."""
        ...

    def backward(self, x: Array, dy: Array, weights: Array, gradient: Array) -> Array:
        """The cotangent of a block, ``(B, *space, C)``, in scratch; adds to ``gradient``.

        Parameters
        ----------
        x, dy : the block and the cotangent of its convolution, ``(B, *out, F)``
        weights : from :meth:`backward_weights`
        gradient : from :meth:`gradient`
        """
        ...

    def weight_gradient(self, gradient: Array) -> Array:
        """The sum in ``gradient`` as the cotangent of ``w``; a new array."""
        ...
