"""Real twine: against an index with faults, and against pypiserver."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fake_index import Answer, FakeIndex, fake_index
from real_index import free_port, pypi_server
from small_wheels import SmallWheel
from wheelhouse.errors import UsageError
from wheelhouse.publish import Destination, Reply, Verdict
from wheelhouse.publish.login import Login, find_login
from wheelhouse.publish.twine_uploader import TwineUploader
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "spam-1.0-py3-none-any.whl"
TEXT = {"Content-Type": "text/plain"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home with neither .pypirc nor keyring."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return tmp_path


@pytest.fixture
def index() -> Iterator[FakeIndex]:
    with fake_index() as served:
        yield served


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return SmallWheel().write(tmp_path / "dist")


def upload(
    url: str,
    path: Path,
    *,
    name: str = NAME,
    sha256: str = "",
    timeout: float = 10.0,
    environment: dict[str, str] | None = None,
    repository: str | None = None,
) -> Reply:
    destination = Destination(url=url, repository=repository)
    login = find_login(destination, environment or {})
    certificates = (environment or {}).get("TWINE_CERT")
    with TwineUploader(destination, login, timeout=timeout, certificates=certificates) as uploader:
        return uploader.upload(path, name=name, sha256=sha256 or sha256_of(path))


def test_upload__arrives_whole_and_says_nothing(
    index: FakeIndex, wheel: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert upload(index.url, wheel).verdict is Verdict.DELIVERED
    assert index.files == {NAME: wheel.read_bytes()}
    assert capfd.readouterr() == ("", "")


def test_upload__from_the_spool__has_its_own_name(index: FakeIndex, wheel: Path, tmp_path: Path) -> None:
    spooled = wheel.rename(tmp_path / sha256_of(wheel))

    assert upload(index.url, spooled).verdict is Verdict.DELIVERED
    assert index.files == {NAME: spooled.read_bytes()}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(status=500), Reply(verdict=Verdict.FAILED, reason="500 Internal Server Error")),
        (
            Answer(status=503, headers={"Retry-After": "30"}),
            Reply(verdict=Verdict.OUTAGE, reason="503 Service Unavailable", wait=30.0),
        ),
        (
            Answer(status=429, headers={"Retry-After": "7"}),
            Reply(verdict=Verdict.OUTAGE, reason="429 Too Many Requests", wait=7.0),
        ),
        (
            Answer(status=400, body=b"bad classifier", headers=TEXT),
            Reply(verdict=Verdict.REFUSED, reason="400 Bad Request: bad classifier"),
        ),
        (Answer(status=403), Reply(verdict=Verdict.DENIED, reason="403 Forbidden")),
        (
            Answer(status=302, headers={"Location": "/elsewhere"}),
            Reply(verdict=Verdict.REFUSED, reason="302 Found: it has moved to /elsewhere"),
        ),
    ],
)
def test_upload__index_says_no__is_asked_once(index: FakeIndex, wheel: Path, answer: Answer, expected: Reply) -> None:
    index.answer = answer

    assert upload(index.url, wheel) == expected
    assert index.asked[NAME] == 1


def test_upload__nobody_listens__is_an_outage(wheel: Path) -> None:
    reply = upload(f"http://127.0.0.1:{free_port()}/", wheel)

    assert reply.verdict is Verdict.OUTAGE
    assert "refused" in reply.reason


def test_upload__silent_index__does_not_hang(index: FakeIndex, wheel: Path) -> None:
    index.answer = Answer(silent=1.5)
    started = time.monotonic()

    assert upload(index.url, wheel, timeout=0.2).verdict is Verdict.OUTAGE
    assert time.monotonic() - started < 1.2


def test_upload__plain_http_where_tls_was_meant__is_no_outage(index: FakeIndex, wheel: Path) -> None:
    reply = upload(index.url.replace("http:", "https:"), wheel)

    assert reply.verdict is Verdict.DENIED
    assert "certificate" in reply.reason


def test_upload__bytes_changed__are_not_sent(index: FakeIndex, wheel: Path) -> None:
    assert upload(index.url, wheel, sha256="0" * 64).verdict is Verdict.REFUSED
    assert not index.asked


def test_upload__no_wheel__is_refused_here(index: FakeIndex, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"no zip")

    assert upload(index.url, path).verdict is Verdict.REFUSED
    assert not index.asked


def test_credentials__environment(index: FakeIndex, wheel: Path) -> None:
    upload(index.url, wheel, environment={"TWINE_USERNAME": "__token__", "TWINE_PASSWORD": "secret"})

    assert index.users == {"__token__:secret"}


@pytest.mark.parametrize("token", ["wh_abc", "whm_abc", "pypi-abc"])
@pytest.mark.parametrize("user", [{}, {"TWINE_USERNAME": ""}])
def test_credentials__token_alone__has_its_user_name(
    index: FakeIndex, wheel: Path, token: str, user: dict[str, str]
) -> None:
    upload(index.url, wheel, environment={"TWINE_PASSWORD": token, **user})

    assert index.users == {f"__token__:{token}"}


def test_credentials__token_of_a_user__goes_as_it_is(index: FakeIndex, wheel: Path) -> None:
    upload(index.url, wheel, environment={"TWINE_USERNAME": "me", "TWINE_PASSWORD": "wh_abc"})

    assert index.users == {"me:wh_abc"}


def test_credentials__none__is_anonymous(index: FakeIndex, wheel: Path) -> None:
    upload(index.url, wheel)

    assert index.users == {None}


def test_credentials__pypirc(index: FakeIndex, wheel: Path, home: Path) -> None:
    (home / ".pypirc").write_text(
        f"[distutils]\nindex-servers = inside\n\n[inside]\nrepository = {index.url}\nusername = me\npassword = mine\n"
    )

    upload(index.url, wheel, repository="inside")

    assert index.users == {"me:mine"}


@pytest.mark.parametrize("half", ["TWINE_USERNAME", "TWINE_PASSWORD"])
def test_credentials__half__is_an_error(index: FakeIndex, wheel: Path, half: str) -> None:
    with pytest.raises(UsageError, match="credentials for the index are incomplete") as error:
        upload(index.url, wheel, environment={half: "secret"})

    assert "secret" not in str(error.value)


def test_upload__several_threads(index: FakeIndex, tmp_path: Path) -> None:
    paths = [SmallWheel(version=f"1.{number}").write(tmp_path / "dist") for number in range(20)]

    with (
        TwineUploader(Destination(url=index.url), Login(), timeout=10.0) as uploader,
        ThreadPoolExecutor(4) as pool,
    ):
        replies = list(pool.map(lambda path: uploader.upload(path, name=path.name, sha256=sha256_of(path)), paths))

    assert {reply.verdict for reply in replies} == {Verdict.DELIVERED}
    assert index.files == {path.name: path.read_bytes() for path in paths}


def test_real_index__takes_it_once(wheel: Path, tmp_path: Path) -> None:
    with pypi_server(tmp_path / "packages", port=free_port()) as url:
        assert upload(url, wheel).verdict is Verdict.DELIVERED
        again = upload(url, wheel)

    assert (tmp_path / "packages" / NAME).read_bytes() == wheel.read_bytes()
    assert again.verdict is Verdict.EXISTS
    assert "already exists" in again.reason
