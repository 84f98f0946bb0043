"""The shape of the package: who may import whom, what it needs, and how long a file may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import npdiff

PACKAGE = Path(npdiff.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 300  # lines; a file is read in one sitting

# Units of the package from the ground up: a file or a folder of npdiff. Each may import only the units
# listed for it, wherever in a file the import stands.
CALCULUS = ("backend", "tree", "pullback", "acceleration", "ops", "nn")
DIFFUSION = ("schedules", "process", "parameterization", "denoiser")
AFTER_DENOISER = ("guidance", "spacings", "samplers", "objective", "likelihood", "exact", "editing")

GROUND = {"errors", "options", "registry", "backend", "random"}
LAYERS = {*GROUND, "tree", "pullback", "acceleration", "ops", "nn"}
SAMPLING = {*GROUND, *DIFFUSION, "variances", "guidance", "spacings", "samplers"}
MAY_IMPORT = {
    "errors": set(),
    "options": {"errors"},
    "registry": {"errors", "options"},
    "backend": {"errors"},
    "random": {"errors", "backend"},
    "files": {"errors"},
    # The calculus.
    "tree": GROUND,
    "pullback": {*GROUND, "tree"},
    "acceleration": {*GROUND, "pullback", "kernels"},  # the only path from a definition to a kernel
    "ops": {*GROUND, "tree", "pullback", "acceleration"},
    "kernels": {*GROUND, "tree", "pullback", "acceleration", "ops"},
    "nn": {*GROUND, "tree", "pullback", "acceleration", "ops"},
    # The diffusion tower: plain arrays, no pullbacks, until the two meet in the denoiser.
    "schedules": GROUND,
    "process": {*GROUND, "schedules"},
    "variances": {*GROUND, "schedules", "process"},
    "parameterization": {*GROUND, "schedules", "process"},
    "denoiser": {*GROUND, "tree", "pullback", "schedules", "process", "parameterization"},
    "guidance": {*GROUND, "variances", *DIFFUSION},
    "spacings": {*GROUND, *DIFFUSION},
    "samplers": SAMPLING - {"samplers"},
    "objective": {*GROUND, "pullback", "ops", "variances", *DIFFUSION},
    "exact": {*GROUND, *DIFFUSION},
    # Services, files and programs, each on the ones above it.
    "runtime": {*GROUND, "tree", "pullback", "acceleration", "kernels"},
    "data": {*GROUND, "files", "runtime"},
    "runs": {*LAYERS, *SAMPLING, "files", "objective", "runtime", "data"},
    "generation": {*LAYERS, *SAMPLING, "files", "runtime", "runs", "data"},
    "report": {*GROUND, *SAMPLING, "files", "runtime", "runs", "data", "generation"},
    "training": {
        *LAYERS, *SAMPLING, "kernels", "files", "objective", "runtime", "runs", "data",
        "generation", "report",
    },
    "likelihood": {
        *LAYERS, *SAMPLING, "objective", "files", "runtime", "runs", "data", "generation",
    },
    "editing": {*LAYERS, *SAMPLING, "files", "runtime", "runs", "data", "generation"},
    "metrics": {*LAYERS, "files", "runtime", "runs", "data", "generation", "training"},
    "verify": {*LAYERS, *SAMPLING, "exact"},
    "laboratory": {
        *LAYERS, *SAMPLING, "kernels", "exact", "objective", "likelihood", "editing", "metrics",
        "runtime", "training", "verify",
    },
    "bench": {
        *LAYERS, *SAMPLING, "kernels", "runtime", "runs", "data", "generation", "training",
    },
}  # fmt: skip
# The one folder that is loaded only where PyTorch is.
TORCH = PACKAGE / "bench" / "pytorch"


def unit(path: Path) -> str:
    """The unit a file belongs to: ``npdiff/ops/conv.py`` is of ``ops``."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def modules(node: ast.AST, path: Path) -> Iterator[str]:
    """The absolute names that one import statement may load."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        if node.level:
            package = ("npdiff", *path.relative_to(PACKAGE).parent.parts)
            base = ".".join(package[: len(package) - node.level + 1])
            source = f"{base}.{node.module}" if node.module else base
        else:
            source = node.module or ""
        if source == "npdiff":  # from npdiff import backend, ops
            yield from (f"npdiff.{alias.name}" for alias in node.names)
        else:
            yield source


def all_imports(path: Path) -> set[str]:
    return {name for node in ast.walk(parsed(path)) for name in modules(node, path)}


def at_import_time(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is loaded: all but the bodies of functions."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        yield statement
        for field in ("body", "orelse", "finalbody"):
            yield from at_import_time(getattr(statement, field, []))
        for handler in getattr(statement, "handlers", []):
            yield from at_import_time(handler.body)


def units_used(path: Path) -> set[str]:
    """The units of npdiff that a file imports, anywhere in it, its own left out."""
    inside = (name.split(".") for name in all_imports(path))
    used = {name[1] for name in inside if name[0] == "npdiff" and len(name) > 1}
    return {u for u in used if any((PACKAGE / f).exists() for f in (u, f"{u}.py"))} - {unit(path)}


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(PACKAGE).as_posix() for path in paths]


def test_the_chains_hold_in_the_table() -> None:
    """No unit of a chain may import one that stands above it."""
    for chain in (CALCULUS, (*DIFFUSION, "guidance"), (*DIFFUSION, "samplers")):
        for below, above in pairwise(chain):
            assert above not in MAY_IMPORT[below]
    for calculus in CALCULUS:
        assert not MAY_IMPORT[calculus] & {*DIFFUSION, *AFTER_DENOISER}
    for diffusion in ("schedules", "process", "parameterization"):
        assert not MAY_IMPORT[diffusion] & {"tree", "pullback", "ops", "nn"}


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_imports_point_one_way(path: Path) -> None:
    used, here = units_used(path), unit(path)
    if here in MAY_IMPORT:
        assert used <= MAY_IMPORT[here], f"{here} may not import {used - MAY_IMPORT[here]}"


def test_no_unit_is_forgotten() -> None:
    """Every unit has its place; a new one has to be given one here."""
    placed = {*MAY_IMPORT, "cli", "__init__", "__main__"}
    assert {unit(path) for path in FILES} <= placed


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_a_file_loads_with_numpy_alone(path: Path) -> None:
    """What is imported when the file loads is Python's own, NumPy, or of npdiff."""
    loaded = {
        name.partition(".")[0]
        for statement in at_import_time(parsed(path).body)
        for name in modules(statement, path)
    }
    known = {"numpy", "npdiff", *(("torch",) if TORCH in path.parents else ())}
    foreign = loaded - known - sys.stdlib_module_names
    assert not foreign, f"import {foreign} inside the functions that use it"


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_a_file_is_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_a_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parsed(path)) or not path.read_text(encoding="utf-8").strip()


def test_the_checks_see_what_they_look_for(tmp_path: Path) -> None:
    """The reader of imports on a file whose imports are known."""
    file = PACKAGE / "ops" / "example.py"  # never written: only its place in the package counts
    tree = ast.parse(
        "import numpy as np\n"
        "from npdiff import backend, tree\n"
        "from ..nn.unet import UNet\n"
        "from . import conv\n"
        "try:\n    import scipy.linalg\nexcept ImportError:\n    import cupy\n"
        "class A:\n    import tqdm\n"
        "def f():\n    import matplotlib\n"
    )
    loaded = {name for s in at_import_time(tree.body) for name in modules(s, file)}
    assert loaded == {
        *("numpy", "npdiff.backend", "npdiff.tree", "npdiff.nn.unet", "npdiff.ops"),
        *("scipy.linalg", "cupy", "tqdm"),
    }


ALONE = r"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names and root not in ("numpy", "npdiff"):
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Block())
for name in ("scipy", "matplotlib", "PIL", "tqdm", "safetensors"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} was not blocked")

import numpy as np
import npdiff
from npdiff import nn, ops, samplers, schedules, tree
from npdiff.backend import per_sample
from npdiff.denoiser import Denoiser, inference_network
from npdiff.spacings import SPACINGS
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.training.optimizer import Moments, adamw

def normal(stream, step=0):
    return Key(0, range(2), step, stream).normal((8, 8, 1)).astype(np.float32)

schedule, parameterization = schedules.SCHEDULES["cosine"](), PARAMETERIZATIONS["eps"]
unet = nn.UNet.init(0, channels=1, width=8, multipliers=(1, 2), blocks=1, attention=(1,),
                    heads=2, classes=3, patch=1)
labels = np.array([0, 2])

# One step of training by hand: the loss, its gradient, AdamW.
x_0, eps = np.clip(normal("data"), -1, 1), normal("noise")
t = np.array([300, 700])
x_t = per_sample(schedule.alpha(t), x_0) * x_0 + per_sample(schedule.sigma(t), eps) * eps

def loss(unet):
    output, pullback = unet(x_t, schedule.timestep(t).astype(np.float32), labels=labels)
    error = output - eps
    return float(np.mean(error**2)), lambda: pullback(2 * error / error.size)[0]

before, gradient = loss(unet)
unet, _ = adamw(unet, gradient(), Moments.zero(unet), step=1, learning_rate=1e-3)
after, _ = loss(unet)
assert np.isfinite(before) and after < before, (before, after)

# And a sample by DDIM.
denoise = Denoiser(inference_network(unet, labels=labels), schedule, parameterization)
times = SPACINGS["trailing"](schedule, 4)
for step in samplers.sample("ddim", denoise, schedule, normal("x_T"), times):
    assert step.x.dtype == np.float32
assert step.t == 0 and np.isfinite(step.x).all()
print("done")
"""


def test_numpy_is_enough_to_train_and_to_sample() -> None:
    """With every other package blocked: a U-Net, a step of training, a sample."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "done"
