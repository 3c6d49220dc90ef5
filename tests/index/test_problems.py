from __future__ import annotations

import logging

import pytest

from wheelhouse.errors import (
    IndexRefusesError,
    SpoolFullError,
    StoreDamagedError,
    StoreUnavailableError,
    UpstreamUnavailableError,
)
from wheelhouse.index.problems import problem_of


@pytest.mark.parametrize(
    ("error", "level", "traceback"),
    [
        (StoreUnavailableError("the bucket is away", where="s3://wheels"), logging.WARNING, "none"),
        (SpoolFullError("no room"), logging.WARNING, "none"),
        (StoreDamagedError("not a manifest", where="spam.json"), logging.ERROR, "whole"),
        (ZeroDivisionError("nobody foresaw it"), logging.ERROR, "whole"),
    ],
)
def test_log__what_is_ours__is_a_line_where_it_was_foreseen(
    caplog: pytest.LogCaptureFixture, error: Exception, level: int, traceback: str
) -> None:
    problem_of(error).log(error, "GET /simple/spam/", request="7")
    (record,) = caplog.records
    assert (record.levelno, bool(record.exc_info)) == (level, traceback == "whole")
    assert "GET /simple/spam/" in record.getMessage()
    assert getattr(record, "request") == "7"  # noqa: B009 - set by `extra`
    assert (str(error) in record.getMessage()) == (traceback == "none")


@pytest.mark.parametrize("error", [IndexRefusesError("no wheel"), UpstreamUnavailableError("PyPI is away")])
def test_log__what_is_anothers__is_not_told(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    problem_of(error).log(error, "GET /simple/spam/")
    assert caplog.records == []
