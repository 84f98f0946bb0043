"""The machine that runs a benchmark: its description, and the CPU time of all programs."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any


def cpu_seconds_used() -> float:
    """Seconds of CPU time that all programs have used; NaN if the system does not report it."""
    try:
        fields = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError):
        return float("nan")
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def taken_by_others(others: float, wall: float, threads: int) -> float:
    """The number of CPUs that other programs took from a contender of ``threads`` threads.

    Parameters
    ----------
    others : seconds of CPU time that other programs used
    wall : seconds that the contender took
    threads : CPUs that the contender needs; others may use the rest
    """
    return others / wall - max(0, (os.cpu_count() or 1) - threads)


def describe_machine(threads: int, backend: str) -> dict[str, Any]:
    """The hardware and the software versions, to report with every measurement."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "backend": backend,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {},
    }
    for package in ("npdiff", "numpy", "scipy", "torch", "cupy-cuda12x", "cupy-cuda13x"):
        try:
            facts["versions"][package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if backend == "cupy":
        from npdiff.backend import module

        runtime = module("cupy").cuda.runtime
        facts["gpu"] = runtime.getDeviceProperties(0)["name"].decode()
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
