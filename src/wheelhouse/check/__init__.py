"""A finished wheel in, findings out; and the only door to a `CheckedWheel`."""

from __future__ import annotations

from wheelhouse.check.accept import accept
from wheelhouse.check.contents import Expectation
from wheelhouse.check.examine import Examination, examine, read_contents
from wheelhouse.check.grafted import find_grafted
from wheelhouse.check.identity import fits
from wheelhouse.finding import Finding

__all__ = ["Examination", "Expectation", "Finding", "accept", "examine", "find_grafted", "fits", "read_contents"]
