#!/usr/bin/env python3
"""Train a first model, or run the tests, with one command from a fresh clone.

    python3 start.py digits [OPTIONS]   train a diffusion model of handwritten digits, evaluate it
                                        and print where its figures are (OPTIONS of `npdiff train`)
    python3 start.py test [OPTIONS]     run the test suite (OPTIONS of pytest)

It needs Python 3.11 or newer and, the first time, an internet connection: the packages that npdiff
uses are installed into the folder .venv next to this file and nowhere else. You can run it again at
any time: an existing environment is reused, an incomplete one is replaced, and an unfinished
training run continues where it stopped.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
if sys.version_info < OLDEST:  # before any syntax that an older Python does not have
    sys.exit(
        f"start.py: Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, "
        f"this is {sys.version.split()[0]}: "
        "run it with a newer one, for example `python3.12 start.py digits`"
    )

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
RUN = Path("runs") / "digits"


class StartError(Exception):
    """An error whose message names the problem and the fix, in one or two lines."""


def report(text: str) -> None:
    print(f"start.py: {text}", file=sys.stderr, flush=True)


def call(*command: object, **environment: str) -> int:
    """Run a command to its end, also after Ctrl-C, and return its exit status."""
    words = [str(word) for word in command]
    interrupted = False
    with subprocess.Popen(words, cwd=ROOT, env={**os.environ, **environment}) as process:
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True  # the command received the signal too: wait until it ends
    if interrupted and status:
        raise KeyboardInterrupt
    return status if status >= 0 else 128 - status


def python() -> Path:
    """The path of the environment's interpreter."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def works(code: str) -> bool:
    """Whether the environment's interpreter exists and runs ``code`` without an error."""
    try:
        done = subprocess.run([python(), "-c", code], cwd=VENV, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


# Only an environment with a valid stamp is used. The stamp is "unfinished" from before the first
# file is written until the last package is installed; then it records the installed extras and the
# fingerprint of pyproject.toml.


def stamp() -> Path:
    return VENV / "npdiff-start.json"


def read_stamp() -> dict:
    try:
        found = json.loads(stamp().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_stamp(**content: object) -> None:
    fresh = stamp().with_suffix(".new")
    fresh.write_text(json.dumps(content), encoding="utf-8")
    fresh.replace(stamp())


def fingerprint() -> str:
    """A hash of what an installation depends on: the project file and the project's location."""
    project = (ROOT / "pyproject.toml").read_bytes()
    return hashlib.sha256(project + str(ROOT).encode()).hexdigest()


def create() -> None:
    """Create an empty environment with pip, marked as unfinished."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise StartError(
            "this Python cannot create environments (the modules venv and ensurepip are missing): "
            "install them first, on Debian or Ubuntu with `sudo apt install python3-venv`"
        ) from None
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        report("the environment in .venv is incomplete or broken: creating it again")
        shutil.rmtree(VENV)
    VENV.mkdir()
    write_stamp(unfinished=True)
    # The base interpreter: the current one may belong to the environment that was just removed.
    base = getattr(sys, "_base_executable", None) or sys.executable
    if status := call(base, "-m", "venv", VENV):
        raise StartError(f"the environment in {VENV} could not be created (exit status {status})")


def environment(*extras: str) -> Path:
    """The interpreter of an environment with npdiff and ``extras`` installed."""
    found = read_stamp()
    known = found.get("project") == fingerprint()
    if known and set(extras) <= set(found.get("extras", ())) and works("import npdiff, pip"):
        return python()
    if found.get("unfinished") or not works("import sys, pip; sys.version_info >= (3, 11) or 1/0"):
        create()
        found = {}
    else:
        stamp().unlink(missing_ok=True)  # not valid while pip changes it
    wanted = sorted({*extras, *found.get("extras", ())})
    report("installing npdiff and its dependencies into .venv (1 to 2 minutes the first time)")
    target = f".[{','.join(wanted)}]" if wanted else "."
    pip = (python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if call(*pip, "--editable", target):
        raise StartError(
            "the installation failed; pip's message is above. It needs the network: check the "
            "connection or the proxy settings and run the same command again"
        )
    if not works("import npdiff"):
        raise StartError(
            f"npdiff was installed but cannot be imported: remove {VENV} and try again"
        )
    write_stamp(project=fingerprint(), extras=wanted)
    return python()


def digits(options: list[str]) -> int:
    """Train the preset "digits", or resume its training, and evaluate the model."""
    npdiff = (environment(), "-m", "npdiff")
    train = (*npdiff, "train", "--preset", "digits", "--out", RUN, "--resume", *options)
    return call(*train) or call(*npdiff, "eval", RUN)


def test(options: list[str]) -> int:
    """Run the test suite on two processes."""
    # Two processes with one BLAS thread each: more threads than cores would be slower.
    return call(environment("test"), "-m", "pytest", "-n", "2", *options, OPENBLAS_NUM_THREADS="1")


COMMANDS = {"digits": digits, "test": test}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if arguments else 2
    name, *options = arguments
    if name not in COMMANDS:
        report(f"unknown command {name!r}: choose one of {', '.join(COMMANDS)}, or --help")
        return 2
    try:
        return COMMANDS[name](options)
    except StartError as problem:
        report(str(problem))
        return 1
    except OSError as error:
        report(f"{error}: check that this folder is writable and that the disk is not full")
        return 1
    except KeyboardInterrupt:
        report("interrupted: run the same command again to continue")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
