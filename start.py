#!/usr/bin/env python3
"""From a fresh clone to pictures, or to a test report, in one command.

    python3 start.py digits [OPTIONS]   train a diffusion model on handwritten digits, judge it, and
                                        say where its pictures are (OPTIONS go to `npdiff train`)
    python3 start.py test [OPTIONS]     run the test suite (OPTIONS go to pytest)

Needs Python 3.11 or newer and, the first time, the network: the packages that npdiff uses are
installed into the folder .venv beside this file and nowhere else. Run it again at any time: what
is there is used again, an unfinished training run goes on where it stopped, and an environment
that was left half made is made anew.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
if sys.version_info < OLDEST:  # before anything that an older Python would not understand
    sys.exit(
        f"start.py: Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, "
        f"this is {sys.version.split()[0]}: "
        "run it with a newer one, as in `python3.12 start.py digits`"
    )

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
RUN = Path("runs") / "digits"


class StartError(Exception):
    """What went wrong and what to do about it, in a line or two."""


def say(text: str) -> None:
    print(f"start.py: {text}", file=sys.stderr, flush=True)


def call(*command: object, **environment: str) -> int:
    """Run a command to its end, also after Ctrl-C, and hand back its exit status."""
    words = [str(word) for word in command]
    interrupted = False
    with subprocess.Popen(words, cwd=ROOT, env={**os.environ, **environment}) as process:
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True  # the command got the same signal: let it end in its own way
    if interrupted and status:
        raise KeyboardInterrupt
    return status if status >= 0 else 128 - status


def python() -> Path:
    """The environment's interpreter."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def works(code: str) -> bool:
    """Whether the environment's interpreter is there and can run ``code``."""
    try:
        done = subprocess.run([python(), "-c", code], cwd=VENV, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


# The stamp is what makes an environment trusted. It says "unfinished" from before the first file is
# made until the last package is in, and then what was installed, from which pyproject.toml.


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
    """What an installation depends on: the project file and where the project lies."""
    project = (ROOT / "pyproject.toml").read_bytes()
    return hashlib.sha256(project + str(ROOT).encode()).hexdigest()


def create() -> None:
    """An empty environment with pip in it, marked as unfinished."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise StartError(
            "this Python cannot make environments (its modules venv and ensurepip are missing): "
            "install them first, on Debian or Ubuntu with `sudo apt install python3-venv`"
        ) from None
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        say("the environment in .venv is unfinished or broken: making it anew")
        shutil.rmtree(VENV)
    VENV.mkdir()
    write_stamp(unfinished=True)
    # The interpreter below every environment: this one may be the one that was just removed.
    base = getattr(sys, "_base_executable", None) or sys.executable
    if status := call(base, "-m", "venv", VENV):
        raise StartError(f"the environment in {VENV} could not be made (exit status {status})")


def environment(*extras: str) -> Path:
    """The interpreter of an environment in which npdiff and ``extras`` are installed."""
    found = read_stamp()
    known = found.get("project") == fingerprint()
    if known and set(extras) <= set(found.get("extras", ())) and works("import npdiff, pip"):
        return python()
    if found.get("unfinished") or not works("import sys, pip; sys.version_info >= (3, 11) or 1/0"):
        create()
        found = {}
    else:
        stamp().unlink(missing_ok=True)  # not trusted while pip is at work in it
    wanted = sorted({*extras, *found.get("extras", ())})
    say("installing npdiff and what it needs into .venv (the first time takes a minute or two)")
    target = f".[{','.join(wanted)}]" if wanted else "."
    pip = (python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if call(*pip, "--editable", target):
        raise StartError(
            "installing failed; pip's own message is above. It needs the network: check the "
            "connection or the proxy settings and run the same command again"
        )
    if not works("import npdiff"):
        raise StartError(
            f"npdiff was installed but cannot be imported: remove {VENV} and try again"
        )
    write_stamp(project=fingerprint(), extras=wanted)
    return python()


def digits(options: list[str]) -> int:
    """Train the preset "digits", or go on with it, and judge what came out."""
    npdiff = (environment(), "-m", "npdiff")
    train = (*npdiff, "train", "--preset", "digits", "--out", RUN, "--resume", *options)
    return call(*train) or call(*npdiff, "eval", RUN)


def test(options: list[str]) -> int:
    """Run the test suite on two processes."""
    # Two processes of one BLAS thread each: more threads than cores makes everything slower.
    return call(environment("test"), "-m", "pytest", "-n", "2", *options, OPENBLAS_NUM_THREADS="1")


COMMANDS = {"digits": digits, "test": test}


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if arguments else 2
    name, *options = arguments
    if name not in COMMANDS:
        say(f"unknown command {name!r}: choose one of {', '.join(COMMANDS)}, or --help")
        return 2
    try:
        return COMMANDS[name](options)
    except StartError as problem:
        say(str(problem))
        return 1
    except OSError as error:
        say(f"{error}: is this folder writable, and is there room on the disk?")
        return 1
    except KeyboardInterrupt:
        say("interrupted: run the same command again to go on")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
