"""The chapter on verifying your own code: its programs run and print the text of the page."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "laboratory.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PRINTED = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_has_the_expected_programs() -> None:
    assert len(PROGRAMS) == 7
    assert sum("torch" in program for program in PROGRAMS) == 2  # tests/judge runs those
    assert len(PRINTED) == 1


def test_programs_run_and_print_the_text_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    space: dict[str, Any] = {}
    exec(
        "import numpy as np\nfrom npdiff.schedules import linear_betas\nschedule = linear_betas()",
        space,
    )
    for program in PROGRAMS:
        if "torch" not in program:
            exec(program, space)
    # The words are equal; the last digits of the residuals may differ.
    words = [
        re.sub(r"[\d.e+-]+", "#", text).split() for text in (capsys.readouterr().out, *PRINTED)
    ]
    assert words[0] == words[1]
    corrected = PROGRAMS[0].replace("x0_hat - schedule", "x0_hat + schedule")
    exec(corrected, space)
    out = capsys.readouterr().out
    assert "sampler mine: passed" in out
    assert "order 1.00, expected at least 1" in out
