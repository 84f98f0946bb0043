"""Concatenating and splitting along the channels."""

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable


@differentiable
def concat(a: Array, b: Array) -> Traced:
    r"""Concatenation of two arrays along the channels; the pullback splits.

    .. math::
        :label: concat

        y = [a, b], \qquad [\bar a, \bar b] = \bar y

    Saves: nothing.

    Parameters
    ----------
    a : ``(..., A)``
    b : ``(..., B)``

    Returns
    -------
    y : ``(..., A + B)``
    pullback : ``dy -> (da, db)``

    Raises
    ------
    InputError
        If the axes other than the last differ.
    """
    if a.shape[:-1] != b.shape[:-1]:
        raise InputError(f"concat: shapes {a.shape} and {b.shape} differ before the last axis")
    cut = a.shape[-1]

    def concat_pullback(dy: Array) -> Cotangents:
        return dy[..., :cut], dy[..., cut:]

    return namespace(a).concatenate([a, b], axis=-1), concat_pullback


@differentiable
def split(x: Array, *, parts: int) -> Traced:
    r"""Splitting of the channels into equal parts; the pullback concatenates.

    .. math::
        :label: split

        [y_1, \dots, y_k] = x, \qquad \bar x = [\bar y_1, \dots, \bar y_k]

    Saves: nothing.

    Parameters
    ----------
    x : ``(..., C)``
    parts : k, a divisor of C

    Returns
    -------
    y : k arrays ``(..., C / k)``, views of ``x``
    pullback : ``(*dy) -> (dx,)``, one cotangent for each part

    Raises
    ------
    InputError
        If ``parts`` does not divide the number of channels.
    """
    if x.shape[-1] % parts:
        raise InputError(f"split: {parts} parts do not divide {x.shape[-1]} channels")
    xp, width = namespace(x), x.shape[-1] // parts

    def split_pullback(*dy: Array) -> Cotangents:
        return (xp.concatenate(dy, axis=-1),)

    return tuple(x[..., i * width : (i + 1) * width] for i in range(parts)), split_pullback
