"""Trees of arrays in safetensors files: weights with their configuration and step.

The format is a JSON header and raw arrays; reading a file runs no code.
"""

from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from npdiff import tree
from npdiff.backend import Array, namespace, to_host
from npdiff.errors import InputError
from npdiff.files import atomic, explain_file_errors, tensors
from npdiff.options import is_description, spell
from npdiff.parameterization import PARAMETERIZATIONS, Parameterization
from npdiff.runs.config import Config
from npdiff.schedules import SCHEDULES, Schedule

T = TypeVar("T")

FORMAT = "npdiff"
VERSION = "2"


class Header(NamedTuple):
    """The metadata of a file: its kind (``"model"`` or ``"state"``), configuration and step."""

    kind: str
    config: Config
    step: int
    seconds: float


class Checkpoint(NamedTuple):
    """A trained network: the averaged weights, the configuration of the run, the step."""

    model: Any
    config: Config
    step: int = 0

    @property
    def schedule(self) -> Schedule:
        """The noise schedule of the run."""
        return SCHEDULES.resolve(self.config.schedule)

    @property
    def parameterization(self) -> Parameterization:
        """The prediction type of the run."""
        return PARAMETERIZATIONS.resolve(self.config.prediction)

    def __repr__(self) -> str:
        config = self.config
        shape = " x ".join(map(str, config.shape)) or "unknown shape"
        classes = f", {len(config.classes)} classes" if config.model.get("classes") else ""
        named = isinstance(config.data, str | dict) and not is_description(config.data)
        network = getattr(self.model, "__name__", type(self.model).__name__)
        return (
            f"Checkpoint({network} of {tree.size(self.model):,} parameters, "
            f"trained {self.step:,} steps on {spell(config.data)}"
            f"{f' ({shape}{classes})' if named else ''}; schedule {spell(config.schedule)}, "
            f"prediction {spell(config.prediction)})"
        )


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


def load(
    path: str | Path, kind: str, prefix: str = "", **objects: Any
) -> tuple[dict[str, np.ndarray], Header]:
    """The arrays of a file by name and its header.

    Parameters
    ----------
    path : the file
    kind : ``"model"`` or ``"state"``
    prefix : only arrays whose name starts with it; it is removed from the names
    objects : as for :meth:`npdiff.runs.Config.from_json`

    Raises
    ------
    InputError
        If the file is missing, damaged, or not written by npdiff.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    with explain_file_errors(path, "read"):
        path.open("rb").close()
    try:
        with safe_open(path, framework="numpy") as file:
            header = _header(path, file.metadata() or {}, kind, objects)
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            return {name[len(prefix) :]: file.get_tensor(name) for name in names}, header
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is damaged or not a safetensors file ({str(error).splitlines()[0]})"
        ) from None


def _header(path: Path, metadata: dict[str, str], kind: str, objects: dict[str, Any]) -> Header:
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} was not written by npdiff: expected 'format': {FORMAT!r} in its header"
        )
    if metadata.get("version") != VERSION:
        raise InputError(
            f"{path} has format version {metadata.get('version')}, this npdiff reads version "
            f"{VERSION}: use the npdiff that wrote it, or train again"
        )
    if metadata.get("kind") != kind:
        raise InputError(f"{path}: expected a file of kind {kind!r}, got {metadata.get('kind')!r}")
    try:
        step, seconds = int(metadata["step"]), float(metadata["seconds"])
        config = Config.from_json(metadata["config"], **objects)
        return Header(kind, config, step, seconds)
    except InputError as error:
        if objects or error.__cause__:  # an object of another type, a name that is not registered
            raise InputError(f"{path}: {error}") from None
        raise InputError(f"{path} has a damaged header ({error})") from None
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} has a damaged header ({error})") from None


def fill(like: T, named: dict[str, np.ndarray], path: str | Path) -> T:
    """``like`` with the arrays of a file, on the backend of ``like``.

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
            raise InputError(f"{path}: expected weights of dtype {own.dtype}, got {leaf.dtype}")
        return namespace(own).asarray(leaf)

    return tree.map(placed, like, filled)


def rebuild(
    named: dict[str, np.ndarray], header: Header, path: str | Path, network: Any = None
) -> Checkpoint:
    """The network of a file's configuration, or ``network``, with the weights of the file.

    Raises
    ------
    InputError
        If the network, the schedule or the prediction type is an object that was not passed.
    """
    config = header.config
    for name in ("schedule", "prediction"):
        if is_description(found := getattr(config, name)):
            raise InputError(
                f"{path}: its {name} is an object that a file cannot hold, {found['object']} "
                f"({found['type']}): pass the object, {name}=..., or register it under a name and "
                "train with that name"
            )
    check_network(config, network, str(path))
    return Checkpoint(
        fill(new_model(config) if network is None else network, named, path), config, header.step
    )


def check_network(config: Config, network: Any, owner: str) -> None:
    """Raise an InputError unless ``network``, or None where a name is recorded, fits the record."""
    recorded = config.network
    if recorded is not None and not is_description(recorded):
        if network is not None:
            raise InputError(f"{owner} has the network {spell(recorded)}: leave out network=")
        return
    if recorded is not None and network is None:
        raise InputError(
            f"{owner} has its own network ({recorded['type']}, {recorded['object']}): pass "
            "network=..., a network of that class, whose weights are replaced"
        )
    if recorded and network is not None and describe_network(network)["type"] != recorded["type"]:
        found = describe_network(network)["type"]
        raise InputError(f"{owner} has a network of class {recorded['type']}, got {found}")


def describe_network(network: Any) -> dict[str, str]:
    """The class of a network and its number of parameters, ready for JSON."""
    kind = type(network)
    return {
        "object": f"{kind.__qualname__} of {tree.size(network):,} parameters",
        "type": f"{kind.__module__}.{kind.__qualname__}",
    }


def is_unet(network: Any, config: Config) -> bool:
    """Whether a network has the class and the parameters of the configuration's U-Net."""
    try:
        expected = new_model(config)
    except (InputError, TypeError):
        return False

    def layout(network: Any) -> list[tuple[str, tuple[int, ...]]]:
        return [(name, tuple(leaf.shape)) for name, leaf in tree.named_leaves(network)]

    return type(network) is type(expected) and layout(network) == layout(expected)


def new_model(config: Config) -> Any:
    """The freshly initialized network of a configuration, the U-Net or a named one, on the host."""
    from npdiff.nn import NETWORKS, UNet

    if config.network is not None and not is_description(config.network):
        channels = config.model.get("channels", 1)
        given = {
            "seed": config.seed,
            "shape": config.shape,
            "channels": channels,
            "out_channels": channels * (2 if config.learn_variance else 1),
            "classes": config.model.get("classes"),
        }
        return NETWORKS.make(config.network, given)
    options = dict(config.model)
    if config.learn_variance:
        options["out_channels"] = 2 * options.get("channels", 1)
    return UNet.init(config.seed, **options)


def save_model(path: str | Path, model: object, config: Config, step: int = 0) -> None:
    """Write a network and its configuration to one file, from which it can be read back."""
    if config.network is None and not is_unet(model, config):
        config = config.replace(network=describe_network(model))
    save(path, model, Header("model", config, step, 0.0))
