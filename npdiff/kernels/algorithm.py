"""What a way to convolve has to offer: the interface between one and what it fuses with."""

from typing import Protocol

from npdiff.backend import Array


class ConvAlgorithm(Protocol):
    """One way to convolve blocks of a few samples of one shape with one weight array.

    Made for the shapes of one call; holds no scratch of its own, so that threads may share it. The
    weights are prepared once (:meth:`forward_weights`, :meth:`backward_weights`) and then passed to
    every block. Blocks are C-contiguous ``(B, *space, C)``.
    """

    #: What tells one form of the weights from another.
    name: str
    #: Size of the output, without samples and features.
    out: tuple[int, ...]
    #: Samples that a block should have, at the most.
    block: int

    def forward_weights(self, w: Array) -> Array:
        """The weights as :meth:`forward` wants them."""
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
        """The weights as :meth:`backward` wants them."""
        ...

    def gradient(self) -> Array:
        """Zeros into which :meth:`backward` adds the weights' cotangent, in its own domain."""
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
        """What :meth:`backward` has added up, as the cotangent of ``w``; a fresh array."""
        ...
