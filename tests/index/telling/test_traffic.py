from __future__ import annotations

import pytest

from wheelhouse.index.telling.traffic import BOUNDS, Traffic, kind_of


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/simple/", "page"),
        ("/simple/spam/", "page"),
        ("/files/aa/bb/spam.whl", "file"),
        ("/legacy/", "upload"),
        ("/_/stages/next/legacy/", "upload"),
        ("/_/oidc/audience", "manage"),
        ("/pypi/spam/json", "json"),
        ("/metrics", "operations"),
        ("/health", "operations"),
        ("/", "web"),
        ("/project/spam/", "web"),
        ("/anything else", "web"),
    ],
)
def test_kind_of__path(path: str, kind: str) -> None:
    assert kind_of(path) == kind


def test_traffic__answers__are_added_up() -> None:
    traffic = Traffic()
    traffic.add("page", 200, size=10, seconds=0.0001)
    traffic.add("page", 200, size=20, seconds=100)
    traffic.add("page", 404, size=1, seconds=0.001)

    tally = traffic.answers["page", 200]
    assert (tally.answers, tally.size, tally.seconds) == (2, 30, 100.0001)
    assert tally.classes == [1, *[0] * (len(BOUNDS) - 1), 1]
    assert traffic.answers["page", 404].answers == 1


def test_traffic__deeds__are_counted() -> None:
    traffic = Traffic()
    traffic.add_deed("upload", "done")
    traffic.add_deed("upload", "done")
    traffic.add_deed("upload", "denied")
    assert traffic.deeds == {("upload", "done"): 2, ("upload", "denied"): 1}
