"""Conditions of a network: the embedding of time and label, and the context with its null token."""

from npdiff import ops
from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.nn.layers import Embedding, TimeEmbedding
from npdiff.pullback import Cotangents, Traced, differentiable


def check_inputs(
    x: Array,
    w: Array,
    timestep: Array,
    context: Array | None = None,
    **per_sample: Array | None,
) -> None:
    """Check that inputs have the dtype of the weights, and that conditions fit the batch.

    Parameters
    ----------
    x : ``(N, ...)``, the input of the network
    w : any weight of the network
    timestep : ``(N,)``
    context : ``(N, M, context_width)``, or None
    per_sample : further conditions by name, ``(N,)`` each, or None

    Raises
    ------
    InputError
        If a dtype or a shape does not fit.
    """
    for name, value in (("x", x), ("timestep", timestep), ("context", context)):
        if value is not None and value.dtype != w.dtype:
            raise InputError(
                f"the weights are {w.dtype}, but {name} is {value.dtype}: cast them to one dtype"
            )
    for name, value in (("timestep", timestep), *per_sample.items()):
        if value is not None and value.shape != x.shape[:1]:
            raise InputError(
                f"{name} must have one entry per sample, shape ({x.shape[0]},), "
                f"got shape {value.shape}"
            )


@differentiable
def embed_time_and_label(
    time: TimeEmbedding, label: Embedding | None, timestep: Array, *, labels: Array | None
) -> Traced:
    """The embedding of the time plus that of the label, ``(N, E)``.

    The last row of the label table is the null label; without ``labels`` every sample has it.
    ``dtime, dlabel, dtimestep = pullback(de)``.

    Raises
    ------
    InputError
        If there are labels, but no table.
    """
    e, time_pullback = time(timestep)
    label_pullback = None
    if label is not None:
        if labels is None:
            labels = namespace(timestep).full(timestep.shape, label.table.shape[0] - 1)
        a, label_pullback = label(index=labels)
        e = e + a
    elif labels is not None:
        raise InputError(
            "labels were given to a network without classes: omit them, or make the network "
            "with classes=..."
        )

    def embed_time_and_label_pullback(de: Array) -> Cotangents:
        dlabel = None if label_pullback is None else label_pullback(de)[0]
        dtime, dtimestep = time_pullback(de)
        return dtime, dlabel, dtimestep

    return e, embed_time_and_label_pullback


@differentiable
def activated_embedding(
    time: TimeEmbedding, label: Embedding | None, timestep: Array, *, labels: Array | None
) -> Traced:
    """SiLU of :func:`embed_time_and_label`: the input of the residual blocks."""
    e, embed_pullback = embed_time_and_label(time, label, timestep, labels=labels)
    e, silu_pullback = ops.silu(e)

    def activated_embedding_pullback(de: Array) -> Cotangents:
        return embed_pullback(*silu_pullback(de))

    return e, activated_embedding_pullback


@differentiable
def context_or_null(
    null: Array, context: Array | None, *, samples: int, keep: Array | None
) -> Traced:
    """The context, or the null token in samples without one: ``(N, M, context_width)``.

    Parameters
    ----------
    null : ``(context_width,)``
    context : ``(N, M, context_width)``, or None for one null token per sample
    samples : N
    keep : ``(N,)`` booleans, False where the null token replaces every token, or None

    Returns
    -------
    c : the tokens for cross-attention
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
    kept = keep[:, None, None]  # (N, 1, 1)

    def context_or_null_pullback(dc: Array) -> Cotangents:
        return xp.where(kept, 0.0, dc).sum(axis=(0, 1)), xp.where(kept, dc, 0.0)

    return xp.where(kept, context, null), context_or_null_pullback
