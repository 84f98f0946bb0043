"""Arrays joined and cut."""

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable


@differentiable
def concat(a: Array, b: Array) -> Traced:
    r"""Two arrays side by side along the channels: :math:`y = [a, b]`.

    Pullback: :math:`\bar y` cut where they were joined.

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
        raise InputError(f"concat: {a.shape} and {b.shape} differ before the last axis")
    cut = a.shape[-1]

    def concat_pullback(dy: Array) -> Cotangents:
        return dy[..., :cut], dy[..., cut:]

    return namespace(a).concatenate([a, b], axis=-1), concat_pullback


@differentiable
def split(x: Array, *, parts: int) -> Traced:
    r"""The channels cut into equal parts: :math:`(y_1, \dots, y_k) = x`.

    Pullback: :math:`\bar x` is the cotangents side by side.

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
        If the parts do not divide the channels.
    """
    if x.shape[-1] % parts:
        raise InputError(f"split: {parts} parts do not divide {x.shape[-1]} channels")
    xp, width = namespace(x), x.shape[-1] // parts

    def split_pullback(*dy: Array) -> Cotangents:
        return (xp.concatenate(dy, axis=-1),)

    return tuple(x[..., i * width : (i + 1) * width] for i in range(parts)), split_pullback
