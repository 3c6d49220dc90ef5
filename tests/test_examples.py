from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_outage__in_small__nothing_is_lost_and_clients_notice_nothing() -> None:
    words = ["--uploaders", "2", "--readers", "1", "--before", "1", "--down", "2", "--after", "1"]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "outage.py", *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
