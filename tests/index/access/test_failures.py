from __future__ import annotations

from datetime import UTC, datetime

from wheelhouse.index.access.failures import FailureLimit

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_failure_limit__forgets_the_oldest() -> None:
    limit = FailureLimit(most=1, keys=2)
    for key in ("a", "b", "c"):
        limit.add(key, START)
    assert [limit.wait(key, START) for key in ("a", "b", "c")] == [None, 60, 60]
