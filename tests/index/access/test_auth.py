from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from wheelhouse.errors import InvalidFileError, UsageError
from wheelhouse.index.access.auth import AccessRules, Asker, Denied, Gate
from wheelhouse.index.access.scopes import Action, Scope
from wheelhouse.index.access.tokens import TokenFile

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 1, 1, tzinfo=UTC)
FOO = canonicalize_name("acme-foo")


@dataclass
class Clock:
    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Setting:
    folder: Path
    rules: AccessRules = field(default_factory=AccessRules)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.tokens = TokenFile(self.folder / "tokens.json")
        self.gate = Gate(rules=self.rules, tokens=TokenFile(self.folder / "tokens.json"), clock=self.clock)

    def token(self, *scopes: str, name: str = "ci", lifetime: timedelta | None = None) -> str:
        parsed = [Scope.parse(scope) for scope in scopes]
        return self.tokens.create(name, scopes=parsed, now=self.clock.now, lifetime=lifetime)

    def status(self, token: str | None, action: Action = Action.UPLOAD, *, address: str = "192.0.2.1") -> int:
        who = asker(basic("__token__", token) if token else None, address=address)
        admitted = self.gate.admits(who, action, FOO)
        denied = self.gate.check(who, action, FOO)
        assert admitted == (token is not None and denied is None)
        return denied.status if denied else 200


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def asker(authorization: str | None = None, *, address: str = "192.0.2.1", **headers: str) -> Asker:
    given = {"host": "localhost:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Asker(address=address, headers=given if authorization is None else given | {"authorization": authorization})


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("upload:acme-*", 200),
        ("upload:ACME_Foo", 200),
        ("upload:*", 200),
        ("upload:acme", 403),
        ("upload:acme-fooo", 403),
        ("read:acme-*", 403),
    ],
)
def test_gate__scopes__decide(setting: Setting, scope: str, status: int) -> None:
    assert setting.status(setting.token(scope)) == status


@pytest.mark.parametrize("text", ["upload", "upload:", "fly:acme", "upload:a/b", "upload:a b", ":x", "upload:[a]"])
def test_scope__not_one__is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Scope.parse(text)


def test_gate__list_of_all__takes_a_scope_for_all(setting: Setting) -> None:
    some, everything = setting.token("read:acme-*"), setting.token("read:*", name="all")
    assert setting.gate.check(asker(f"Bearer {some}"), Action.READ, None) is not None
    assert setting.gate.check(asker(f"Bearer {everything}"), Action.READ, None) is None


@pytest.mark.parametrize(
    "authorization", ["Basic !!!", "Basic", "Digest x", basic("me", "secret"), "Bearer wrong", basic("__token__", "é")]
)
def test_gate__wrong_credentials__are_refused_even_where_none_are_needed(setting: Setting, authorization: str) -> None:
    denied = setting.gate.check(asker(authorization, address="127.0.0.1"), Action.READ, FOO)
    assert isinstance(denied, Denied)
    assert denied.status == 401


def test_gate__right_id_and_wrong_secret__is_refused(setting: Setting) -> None:
    token = setting.token("upload:*")
    assert setting.status(token[:-1] + ("a" if token[-1] != "a" else "b")) == 401


def test_gate__time_over__is_refused(setting: Setting) -> None:
    token = setting.token("upload:*", lifetime=timedelta(days=1))
    assert setting.status(token) == 200
    setting.clock.now += timedelta(days=1)
    assert setting.status(token) == 401


def test_gate__revoked__is_refused_at_once(setting: Setting) -> None:
    token = setting.token("upload:*")
    assert setting.status(token) == 200
    setting.tokens.revoke("ci")
    assert setting.status(token) == 401


@pytest.mark.parametrize(
    ("who", "local"),
    [
        (asker(address="127.0.0.1"), True),
        (asker(address="::1", host="[::1]:8080"), True),
        (asker(address="192.0.2.1"), False),
        (asker(address=""), False),
        (asker(address="127.0.0.1", x_forwarded_for="192.0.2.1"), False),
        (asker(address="127.0.0.1", host="evil.example"), False),
    ],
)
def test_asker__local(who: Asker, local: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert who.local is local


@pytest.mark.parametrize(
    ("rules", "action", "address", "status"),
    [
        (AccessRules(), Action.READ, "127.0.0.1", 200),
        (AccessRules(), Action.READ, "192.0.2.1", 401),
        (AccessRules(), Action.UPLOAD, "127.0.0.1", 401),
        (AccessRules(anonymous_local_read=False), Action.READ, "127.0.0.1", 401),
        (AccessRules(anonymous_read=True), Action.READ, "192.0.2.1", 200),
        (AccessRules(anonymous_read=True), Action.UPLOAD, "192.0.2.1", 401),
        (AccessRules(anonymous_local_upload=True), Action.UPLOAD, "127.0.0.1", 200),
        (AccessRules(anonymous_local_upload=True), Action.UPLOAD, "192.0.2.1", 401),
    ],
)
def test_rules__without_token(tmp_path: Path, rules: AccessRules, action: Action, address: str, status: int) -> None:
    assert Setting(tmp_path, rules).status(None, action, address=address) == status


def test_failures__too_many__have_to_wait(setting: Setting) -> None:
    for _ in range(10):
        assert setting.status("wrong") == 401
    denied = setting.gate.check(asker("Bearer wrong"), Action.READ, FOO)
    assert denied == Denied(status=429, message="too many wrong tokens", retry_after=60)

    setting.clock.now += timedelta(seconds=61)
    assert setting.status("wrong") == 401


def test_failures__of_a_neighbour__lock_no_holder_out(setting: Setting) -> None:
    token = setting.token("upload:*")
    for _ in range(11):
        setting.status("wrong")
    assert setting.status("wrong") == 429
    assert setting.status(token) == 200
    assert setting.status("wrong", address="192.0.2.2") == 401


def test_failures__at_one_token__stop_even_the_right_secret(setting: Setting) -> None:
    token = setting.token("upload:*")
    for _ in range(10):
        setting.status(f"{token[:-3]}aaa")
    assert setting.status(token) == 429


def test_tokens__file__holds_no_secret_and_is_its_owners(setting: Setting) -> None:
    token = setting.token("upload:*")
    path = setting.folder / "tokens.json"
    assert token.split("_")[2] not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_tokens__last_use__is_written_once_a_minute(setting: Setting) -> None:
    token = setting.token("upload:*")
    used = []
    for seconds in (0, 30, 61):
        setting.clock.now = START + timedelta(seconds=seconds)
        setting.status(token)
        setting.gate.uses.settle()
        used.append(setting.tokens.list()[0].last_used)
    assert used == [START, START, START + timedelta(seconds=61)]


def test_tokens__name_taken__is_refused(setting: Setting) -> None:
    setting.token("upload:*")
    with pytest.raises(UsageError, match="there is a token `ci` already"):
        setting.token("read:*")


def test_tokens__foreign_file__is_an_error_that_names_it(setting: Setting) -> None:
    (setting.folder / "tokens.json").write_text('{"tokens": [{"name": "x"}]}')
    with pytest.raises(InvalidFileError) as caught:
        setting.tokens.list()
    assert caught.value.problems[0].file == setting.folder / "tokens.json"


def test_tokens__file_that_cannot_be_written__keeps_nobody_out(setting: Setting) -> None:
    token = setting.token("upload:*")
    lock = setting.folder / ".tokens.json.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    assert setting.status(token) == 200
    setting.gate.uses.settle()
    assert setting.status(token) == 200
    assert setting.tokens.list()[0].last_used is None


def test_tokens__many_used_at_once__are_all_written_down(setting: Setting) -> None:
    texts = [setting.token("upload:*", name=f"ci-{number}") for number in range(20)]
    for text in texts:
        setting.status(text)
    setting.gate.uses.settle()
    assert {token.last_used for token in setting.tokens.list()} == {START}


def test_tokens__revoked_while_its_use_is_written__stays_revoked(setting: Setting) -> None:
    token = setting.token("upload:*")
    setting.status(token)
    setting.tokens.revoke("ci")
    setting.gate.uses.settle()
    assert setting.tokens.list() == ()
