from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from servers import Answer, serve
from small_wheels import SmallWheel
from wheelhouse.errors import UsageError
from wheelhouse.publish import Destination, Verdict
from wheelhouse.publish.connection import Connection
from wheelhouse.publish.login import Login, find_login
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

OFFER = Answer(body=b'{"most-files": 100, "most-bytes": 8000000}')


@pytest.mark.parametrize(
    ("wanted", "answer", "taken"),
    [("many", OFFER, "many"), ("many", Answer(status=404), "one"), ("one", OFFER, "one")],
)
def test_connection__parcels__where_they_are_wanted_and_taken(
    tmp_path: Path, wanted: str, answer: Answer, taken: str
) -> None:
    wheel = SmallWheel().write(tmp_path)
    with (
        serve({"/legacy/": [Answer()], "/legacy/parcel": [answer]}, posts=True) as server,
        Connection.open(
            Destination(url=f"{server.url}/legacy/"), Login(), timeout=10.0, certificates=None, many=wanted == "many"
        ) as connection,
    ):
        assert (connection.parcels is not None) == (taken == "many")
        reply = connection.upload(wheel, name=wheel.name, sha256=sha256_of(wheel))
        assert reply.verdict is Verdict.DELIVERED


def test_connection__what_twine_does_not_upload_to__is_said_at_once() -> None:
    old = Destination(url="https://pypi.python.org/pypi/")
    with (
        pytest.raises(UsageError, match=r"pypi\.python\.org"),
        Connection.open(old, Login(), timeout=1.0, certificates=None, many=False),
    ):
        pass


def test_login__of_the_environment__needs_no_twine() -> None:
    program = """
import sys
from wheelhouse.publish import Destination
from wheelhouse.publish.login import find_login
login = find_login(Destination(url="https://index.example/legacy/"), {"TWINE_PASSWORD": "wh_abc"})
print(login.user, login.password, "twine" in sys.modules, "keyring" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["__token__", "wh_abc", "False", "False"]


def test_login__characters_that_http_cannot_carry__are_an_error() -> None:
    environment = {"TWINE_USERNAME": "me", "TWINE_PASSWORD": "5 €"}
    with pytest.raises(UsageError, match="not in Latin-1") as caught:
        find_login(Destination(url="https://index.example/legacy/"), environment)
    assert "€" not in str(caught.value)
