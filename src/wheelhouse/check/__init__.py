"""A finished wheel in, findings out; and the only door to a `CheckedWheel`."""

from __future__ import annotations

from wheelhouse.check.accept import accept
from wheelhouse.check.contents import Expectation
from wheelhouse.check.examine import Examination, examine
from wheelhouse.check.identity import fits
from wheelhouse.finding import Finding

__all__ = ["Examination", "Expectation", "Finding", "accept", "examine", "fits"]
