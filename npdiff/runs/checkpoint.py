"""Trees of arrays in safetensors files: weights, the configuration they belong to and the step.

The format is a JSON header and raw numbers; reading one runs no code.
"""

from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from npdiff import tree
from npdiff.backend import Array, namespace, to_host
from npdiff.errors import InputError
from npdiff.files import atomic, explained, tensors
from npdiff.runs.config import Config

T = TypeVar("T")

FORMAT = "npdiff"
VERSION = "2"


class Header(NamedTuple):
    """What a file says of itself: its kind (``"model"`` or ``"state"``), configuration and step."""

    kind: str
    config: Config
    step: int
    seconds: float


class Checkpoint(NamedTuple):
    """A trained network: the averaged weights, the configuration they came from, the step."""

    model: Any
    config: Config
    step: int


def save(path: str | Path, values: object, header: Header) -> None:
    """Write the arrays of a tree and the header to one file, atomically."""
    arrays = {
        name: np.asarray(to_host(leaf), order="C") for name, leaf in tree.named_leaves(values)
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "kind": header.kind,
        "config": header.config.to_json(),
        "step": str(header.step),
        "seconds": repr(header.seconds),
    }
    data = tensors(arrays, metadata)
    with atomic(path) as file:
        file.write(data)


def load(path: str | Path, kind: str, prefix: str = "") -> tuple[dict[str, np.ndarray], Header]:
    """The named arrays of a file, of those whose name starts with ``prefix``, and its header.

    Raises
    ------
    InputError
        If the file is missing, damaged, or not one that npdiff wrote.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    with explained(path, "read"):
        path.open("rb").close()
    try:
        with safe_open(path, framework="numpy") as file:
            header = _header(path, file.metadata() or {}, kind)
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name[len(prefix) :]: file.get_tensor(name) for name in names}, header
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is damaged or no safetensors file ({str(error).splitlines()[0]})"
        ) from None


def _header(path: Path, metadata: dict[str, str], kind: str) -> Header:
    if metadata.get("format") != FORMAT:
        raise InputError(f"{path} was not written by npdiff: its header does not say so")
    if metadata.get("version") != VERSION:
        raise InputError(
            f"{path} has format version {metadata.get('version')}, this npdiff reads version "
            f"{VERSION}: update npdiff"
        )
    if metadata.get("kind") != kind:
        raise InputError(f"{path} holds a {metadata.get('kind')}, expected a {kind}")
    try:
        step, seconds = int(metadata["step"]), float(metadata["seconds"])
        return Header(kind, Config.from_json(metadata["config"]), step, seconds)
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} has a damaged header ({error})") from None


def fill(like: T, named: dict[str, np.ndarray], path: str | Path) -> T:
    """``like`` with the arrays of a file, on the backend where ``like`` is.

    Raises
    ------
    InputError
        If names, shapes or types differ.
    """
    try:
        filled = tree.with_leaves(like, named)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None

    def placed(own: Array, leaf: np.ndarray) -> Array:
        if own.dtype != leaf.dtype:
            raise InputError(f"{path}: weights of {leaf.dtype}, expected {own.dtype}")
        return namespace(own).asarray(leaf)

    return tree.map(placed, like, filled)


def rebuild(
    named: dict[str, np.ndarray], header: Header, path: str | Path, like: Any = None
) -> Checkpoint:
    """The network that a file's configuration describes (or ``like``), with the file's weights."""
    like = new_model(header.config) if like is None else like
    return Checkpoint(fill(like, named, path), header.config, header.step)


def new_model(config: Config) -> Any:
    """The network of a configuration as training finds it: on the host, freshly initialized."""
    from npdiff.nn import UNet

    return UNet.init(config.seed, **config.model)


def save_model(path: str | Path, model: object, config: Config, step: int = 0) -> None:
    """Write a network and its configuration to one file, from which it can be read back."""
    save(path, model, Header("model", config, step, 0.0))
