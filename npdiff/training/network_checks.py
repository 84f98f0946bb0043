"""Checks of a user's network before training: how it is called, what it and its pullback return."""

import inspect
from typing import Any

import numpy as np

from npdiff import tree
from npdiff.errors import InputError
from npdiff.options import shorten
from npdiff.runs.config import Config

_CALL = "network(x, timestep, labels=..., key=...)"


def evaluate_once(network: Any, config: Config) -> tuple[Any, Any]:
    """The output and the pullback of a network for one sample of zeros.

    Raises
    ------
    InputError
        If the network is a class, takes other arguments, or does not return a pair.
    """
    if inspect.isclass(network) or not callable(network):
        raise InputError(
            f"network must be an object that is called as {_CALL}, such as "
            f"UNet.init(seed, ...), got {shorten(network)}"
        )
    inputs = np.zeros((1, *config.shape), np.float32), np.zeros(1, np.float32)
    labels = None if config.model["classes"] is None else np.zeros(1, np.int64)
    try:
        inspect.signature(network).bind(*inputs, labels=labels, key=None)
    except TypeError as error:
        raise InputError(
            f"the network {_name(network)} must accept the call {_CALL}: {error}"
        ) from error
    result = network(*inputs, labels=labels, key=None)
    if not (isinstance(result, tuple) and len(result) == 2 and callable(result[1])):
        raise InputError(
            f"the network {_name(network)} must return (y, pullback), got {shorten(result)}"
        )
    return result


def check_gradients(network: Any, config: Config) -> None:
    """Run the pullback of a user's network on one sample of zeros.

    Raises
    ------
    InputError
        If the network has no parameters, or its gradient is not a network of the same shapes.
    """
    y, pullback = evaluate_once(network, config)
    own = dict(tree.named_leaves(network))
    if not own:
        raise InputError(
            f"the network {_name(network)} has no parameters to train: make it a subclass of "
            "npdiff.tree.Module whose fields are arrays or modules"
        )
    cotangents = pullback(np.zeros_like(y))
    gradient = cotangents[0] if isinstance(cotangents, tuple) and cotangents else None
    found = dict(tree.named_leaves(gradient))
    for name, leaf in own.items():
        if name not in found or found[name].shape != leaf.shape:
            got = f"shape {tuple(found[name].shape)}" if name in found else "none"
            raise InputError(
                f"the pullback of the network {_name(network)} must return (gradient, dx, "
                f"dtimestep), the gradient a network like the network itself: expected a gradient "
                f"of shape {tuple(leaf.shape)} for {name or 'it'}, got {got}"
            )


def _name(network: Any) -> str:
    return getattr(network, "__name__", type(network).__name__)
