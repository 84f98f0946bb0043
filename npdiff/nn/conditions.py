"""What a network is told besides x: the time, a label, a context; and what stands for "none"."""

from npdiff import ops
from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.nn.layers import Embedding, TimeEmbedding
from npdiff.pullback import Cotangents, Traced, differentiable


def check(
    x: Array, w: Array, timestep: Array, context: Array | None = None, **rows: Array | None
) -> None:
    """Refuse numbers that are not of the dtype of the weights, and conditions not one a sample.

    Parameters
    ----------
    x : ``(N, ...)``, what enters the network
    w : any of its weights
    timestep : ``(N,)``
    context : ``(N, M, context_width)``, or None
    rows : further conditions by name, ``(N,)`` each, or None

    Raises
    ------
    InputError
        Where they do not fit.
    """
    for name, value in (("x", x), ("timestep", timestep), ("context", context)):
        if value is not None and value.dtype != w.dtype:
            raise InputError(
                f"the weights are {w.dtype}, but {name} is {value.dtype}: cast them to one dtype"
            )
    for name, value in (("timestep", timestep), *rows.items()):
        if value is not None and value.shape != x.shape[:1]:
            raise InputError(
                f"{name} has one number a sample, ({x.shape[0]},), got shape {value.shape}"
            )


@differentiable
def embed(
    time: TimeEmbedding, label: Embedding | None, timestep: Array, *, labels: Array | None
) -> Traced:
    """The embedding of the time plus that of the label, ``(N, E)``.

    The last row of the label's table is the null label, which every sample has where ``labels`` is
    None. ``dtime, dlabel, dclock = pullback(de)``.

    Raises
    ------
    InputError
        If there are labels, but no table.
    """
    e, time_vjp = time(timestep)
    label_vjp = None
    if label is not None:
        if labels is None:
            labels = namespace(timestep).full(timestep.shape, label.table.shape[0] - 1)
        a, label_vjp = label(index=labels)
        e = e + a
    elif labels is not None:
        raise InputError("labels were given to a network without classes")

    def embed_pullback(de: Array) -> Cotangents:
        dlabel = None if label_vjp is None else label_vjp(de)[0]
        dtime, dclock = time_vjp(de)
        return dtime, dlabel, dclock

    return e, embed_pullback


@differentiable
def activated(
    time: TimeEmbedding, label: Embedding | None, timestep: Array, *, labels: Array | None
) -> Traced:
    """The silu of :func:`embed`, which is what residual blocks are told.

    In a precompute network (:mod:`npdiff.nn.precomputed`) the embedding is a row number, integers, and
    remains what it is: the rows were made of activated embeddings.
    """
    e, embed_vjp = embed(time, label, timestep, labels=labels)
    if e.dtype.kind != "f":
        return e, embed_vjp
    e, silu_vjp = ops.silu(e)

    def activated_pullback(de: Array) -> Cotangents:
        return embed_vjp(*silu_vjp(de))

    return e, activated_pullback


@differentiable
def attended(null: Array, context: Array | None, *, samples: int, keep: Array | None) -> Traced:
    """The context, or the null token in samples that have none: ``(N, M, context_width)``.

    Parameters
    ----------
    null : ``(context_width,)``
    context : ``(N, M, context_width)``, or None for one null token a sample
    samples : N
    keep : ``(N,)`` booleans, False where the null token takes the place of every token, or None

    Returns
    -------
    c : what is attended to
    pullback : ``dc -> (dnull, dcontext)``; ``dcontext`` is None where ``context`` is
    """
    xp = namespace(null)
    if context is None:

        def null_pullback(dc: Array) -> Cotangents:
            return dc.sum(axis=(0, 1)), None

        return xp.broadcast_to(null, (samples, 1, null.shape[0])), null_pullback
    if keep is None:

        def context_pullback(dc: Array) -> Cotangents:
            return xp.zeros_like(null), dc

        return context, context_pullback
    rows = keep[:, None, None]

    def either_pullback(dc: Array) -> Cotangents:
        return xp.where(rows, 0.0, dc).sum(axis=(0, 1)), xp.where(rows, dc, 0.0)

    return xp.where(rows, context, null), either_pullback
