"""Trusted publishing: a local issuer stands for GitHub's."""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgi import Client, form
from identities import AUDIENCE, DISCOVERY, KEYS, ec_key, local_issuer, public, rsa_key
from servers import Answer
from small_wheels import SmallWheel
from wheelhouse.config import TrustedPublisher
from wheelhouse.index.access.audit import AuditLog
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.access.minting import LIFETIME
from wheelhouse.index.access.oidc import LEEWAY, UsedTokens
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import Settings, TrustSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from asgi import Got
    from identities import LocalIssuer

WHEEL = SmallWheel()
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    with local_issuer() as running:
        yield running


def publisher(issuer: LocalIssuer, **claims: str) -> TrustedPublisher:
    wanted = {"repository": "acme/spam", "ref": "refs/tags/*", **claims}
    return TrustedPublisher.model_validate({"issuer": issuer.url, "projects": ["spam"], "claims": wanted})


def trust(folder: Path, *publishers: TrustedPublisher) -> Settings:
    return Settings(
        store=str(folder / "store"),
        tokens=folder / "tokens.json",
        audit=folder / "audit",
        access=AccessRules(),
        max_upload=100_000,
        trust=TrustSettings(
            publishers=publishers, audience=AUDIENCE, signing_key=folder / "signing-key", used=folder / "used"
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Index:
    folder: Path
    settings: Settings
    client: Client

    def mint(self, identity: str, **headers: str) -> Got:
        body = json.dumps({"token": identity}).encode()
        return self.client.get("/_/oidc/mint-token", method="POST", body=body, headers=headers)

    def token(self, identity: str) -> str:
        got = self.mint(identity)
        assert got.status == 200, got.body
        token = json.loads(got.body)["token"]
        assert isinstance(token, str)
        return token

    def upload(self, token: str, wheel: SmallWheel = WHEEL) -> int:
        path = wheel.write(self.folder / "made")
        fields = {":action": "file_upload", "protocol_version": "1", "name": wheel.name, "version": wheel.version}
        body, kind = form(fields, filename=path.name, content=path.read_bytes())
        basic = base64.b64encode(f"__token__:{token}".encode()).decode()
        return self.client.get(
            "/legacy/", method="POST", body=body, content_type=kind, authorization=f"Basic {basic}"
        ).status

    def events(self) -> list[tuple[str, str, str]]:
        return [(event.action, event.outcome, event.who) for event in AuditLog(folder=self.folder / "audit").events()]

    def again(self, *publishers: TrustedPublisher) -> Index:
        """Return the index after a restart."""
        settings = trust(self.folder, *publishers)
        return Index(folder=self.folder, settings=settings, client=Client(app=make_app(settings)))


@pytest.fixture
def index(tmp_path: Path, issuer: LocalIssuer) -> Index:
    chosen = trust(tmp_path, publisher(issuer))
    return Index(folder=tmp_path, settings=chosen, client=Client(app=make_app(chosen)))


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def refused(got: Got) -> str:
    said = json.loads(got.body)
    assert (got.status, said["message"]) == (422, "Token request failed")
    (problem,) = said["errors"]
    assert problem["description"]
    return str(problem["code"])


def test_audience__is_the_configured_one_whatever_the_host(index: Index) -> None:
    got = index.client.get("/_/oidc/audience", host="evil.example")
    assert (got.status, json.loads(got.body)) == (200, {"audience": AUDIENCE})


def test_mint__of_a_publisher__uploads_its_projects_and_nothing_else(index: Index, issuer: LocalIssuer) -> None:
    got = index.mint(issuer.identity())
    said = json.loads(got.body)

    assert said["success"] is True
    assert got.headers["cache-control"] == "no-store"
    assert abs(said["expires"] - time.time() - LIFETIME.total_seconds()) < 5
    assert index.upload(said["token"]) == 200
    assert index.upload(said["token"], SmallWheel(name="other")) == 403
    assert index.client.get("/simple/", host="x.example", authorization=f"Bearer {said['token']}").status == 403


def test_mint__audit_log__names_the_claims(index: Index, issuer: LocalIssuer) -> None:
    index.upload(index.token(issuer.identity()))
    index.mint(issuer.identity(repository="evil/spam"))
    index.mint("x.y.z")

    who = f"{issuer.url}:acme/spam"
    assert index.events() == [
        ("mint-token", "done", who),
        ("upload", "done", who),
        ("mint-token", "denied", f"{issuer.url}:evil/spam"),
        ("mint-token", "denied", "anonymous-local"),
    ]
    uploaded = list(AuditLog(folder=index.folder / "audit").events())[1]
    assert uploaded.claims["repository"] == "acme/spam"
    assert uploaded.claims["ref"] == "refs/tags/v1"
    assert uploaded.claims["issuer"] == issuer.url


def test_mint__ec_key__is_taken(index: Index, issuer: LocalIssuer) -> None:
    issuer.publish(public(ec_key(), "curve"))
    assert index.mint(issuer.identity(kid="curve", key=ec_key(), algorithm="ES256")).status == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"repository": "acme/spam2"},
        {"repository": "evil/acme/spam"},
        {"repository": None},
        {"repository": ["acme/spam"]},
        {"ref": "refs/heads/refs/tags/v1"},
    ],
)
def test_mint__claims_that_do_not_fit__are_no_publishers(
    index: Index, issuer: LocalIssuer, claims: Mapping[str, Any]
) -> None:
    assert refused(index.mint(issuer.identity(**claims))) == "invalid-publisher"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "pypi"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": int(time.time()) - LEEWAY.total_seconds() - 60},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e300},
        {"exp": int(time.time()) + 10**8},
        {"iat": int(time.time()) + 3600, "exp": int(time.time()) + 7200},
        {"iat": None},
        {"nbf": int(time.time()) + 3600},
    ],
)
def test_mint__other_times_or_readers__are_refused(
    index: Index, issuer: LocalIssuer, claims: Mapping[str, Any]
) -> None:
    assert refused(index.mint(issuer.identity(**claims))) == "invalid-token"


def test_mint__clocks_that_differ_a_little__are_borne(index: Index, issuer: LocalIssuer) -> None:
    now = int(time.time())
    assert index.mint(issuer.identity(iat=now + 10, nbf=now + 10)).status == 200
    assert index.mint(issuer.identity(iat=now - 300, nbf=now - 300, exp=now - 10)).status == 200


def test_mint__signed_by_another__is_refused(index: Index, issuer: LocalIssuer) -> None:
    identity = issuer.identity(key=rsa_key("another"))
    assert refused(index.mint(identity)) == "invalid-token"


def test_mint__unsigned_or_signed_with_the_public_key__is_refused(index: Index, issuer: LocalIssuer) -> None:
    now = int(time.time())
    claims = {"iss": issuer.url, "aud": AUDIENCE, "iat": now, "exp": now + 60, "repository": "acme/spam"}
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": "one"})
    published = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = b'{"alg": "HS256", "kid": "one"}'
    signed = f"{unpadded(head)}.{unpadded(json.dumps(claims).encode())}"
    shared = f"{signed}.{unpadded(hmac.digest(published, signed.encode(), 'sha256'))}"
    assert refused(index.mint(unsigned)) == "invalid-token"
    assert refused(index.mint(shared)) == "invalid-token"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token": 1}', b"{", b"\xff", b'{"token": "' + b"a" * 40_000 + b'"}'])
def test_mint__no_payload__is_told(index: Index, body: bytes) -> None:
    assert refused(index.client.get("/_/oidc/mint-token", method="POST", body=body)) == "invalid-payload"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(parts=st.lists(st.one_of(st.text(), st.dictionaries(st.text(), st.integers() | st.none())), max_size=4))
def test_mint__anything_at_all__is_refused_in_the_same_words(index: Index, parts: list[Any]) -> None:
    texts = [
        part if isinstance(part, str) else base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in parts
    ]
    assert refused(index.mint(".".join(texts))) in {"invalid-token", "invalid-payload"}


def test_mint__from_a_web_page__is_refused(index: Index, issuer: LocalIssuer) -> None:
    assert index.mint(issuer.identity(), origin="https://evil.example").status == 403


def test_mint__second_use__is_refused_after_a_restart_too(index: Index, issuer: LocalIssuer) -> None:
    identities = [issuer.identity(), issuer.identity(jti=None)]
    for identity in identities:
        assert index.mint(identity).status == 200
        assert refused(index.mint(identity)) == "invalid-reuse-token"
    assert refused(index.again(publisher(issuer)).mint(identities[0])) == "invalid-reuse-token"


def test_mint__second_use_at_another_server_of_the_store__is_refused(index: Index, issuer: LocalIssuer) -> None:
    there = index.folder / "there"
    settings = replace(trust(there, publisher(issuer)), store=index.settings.store)
    other = Index(folder=there, settings=settings, client=Client(app=make_app(settings)))
    identity = issuer.identity()
    assert index.mint(identity).status == 200
    assert refused(other.mint(identity)) == "invalid-reuse-token"
    assert other.mint(issuer.identity()).status == 200


def test_mint__store_is_down__goes_on_and_knows_what_was_used_here(index: Index, issuer: LocalIssuer) -> None:
    identity = issuer.identity()
    (index.folder / "store").rename(index.folder / "away")
    assert index.mint(identity).status == 200
    (index.folder / "away").rename(index.folder / "store")
    assert refused(index.mint(identity)) == "invalid-reuse-token"


def test_used_tokens__over__are_forgotten(tmp_path: Path) -> None:
    used = UsedTokens(folder=tmp_path / "used")
    until = START + timedelta(minutes=5)
    assert used.first_use("a", until=until, now=START)
    assert not used.first_use("a", until=until, now=until + LEEWAY)
    assert used.first_use("b", until=until, now=until + 3 * LEEWAY)
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["b"]


def test_token__lives_through_a_restart_and_ends_with_its_publisher(index: Index, issuer: LocalIssuer) -> None:
    token = index.token(issuer.identity())
    assert index.again(publisher(issuer), publisher(issuer, environment="pypi")).upload(token) == 200
    assert index.again(publisher(issuer, ref="refs/heads/main")).upload(token) == 401


def test_token__time_over_or_changed__is_refused(index: Index, issuer: LocalIssuer) -> None:
    token = index.token(issuer.identity())
    gate = index.client.app.site.gate
    later = replace(gate, clock=lambda: datetime.now(UTC) + LIFETIME)
    assert later._find(token, later.clock()) is None
    assert gate._find(token, gate.clock()) is not None
    for changed in (token[:-4], f"{token}x", "whm_", f"whm_{issuer.identity()}"):
        assert index.upload(changed) == 401


def test_token__of_an_index_with_another_key__is_refused(index: Index, issuer: LocalIssuer) -> None:
    token = index.token(issuer.identity())
    (index.folder / "signing-key").unlink()
    assert index.again(publisher(issuer)).upload(token) == 401
    assert (index.folder / "signing-key").stat().st_mode & 0o077 == 0


def test_token__many_wrong_ones__keep_no_publisher_out(index: Index, issuer: LocalIssuer) -> None:
    token = index.token(issuer.identity())
    for _ in range(11):
        index.upload("wrong")
    assert index.upload("wrong") == 429
    assert index.upload(token) == 200


def test_mint__keys_that_turn_over__are_looked_for_again(tmp_path: Path, issuer: LocalIssuer) -> None:
    chosen = trust(tmp_path, publisher(issuer))
    index = Index(folder=tmp_path, settings=chosen, client=Client(app=make_app(chosen)))
    publishing = index.client.app.site.publishing
    assert publishing is not None
    seconds = [1000.0]
    publishing.issuers[issuer.url].clock = lambda: seconds[0]

    assert index.mint(issuer.identity()).status == 200
    issuer.publish(public(rsa_key("two"), "two"))
    new: dict[str, Any] = {"kid": "two", "key": rsa_key("two")}
    assert refused(index.mint(issuer.identity(**new))) == "invalid-token"
    assert issuer.server.asked.count(KEYS) == 1  # once a minute at most

    seconds[0] += 61
    assert index.mint(issuer.identity(**new)).status == 200
    assert refused(index.mint(issuer.identity())) == "invalid-token"
    assert issuer.server.asked.count(KEYS) == 2


def test_mint__issuer_down__goes_on_with_what_is_known(index: Index, issuer: LocalIssuer) -> None:
    publishing = index.client.app.site.publishing
    assert publishing is not None
    seconds = [1000.0]
    publishing.issuers[issuer.url].clock = lambda: seconds[0]
    assert index.mint(issuer.identity()).status == 200

    issuer.answers[DISCOVERY] = [Answer(status=500)]
    seconds[0] += 7200
    assert index.mint(issuer.identity()).status == 200
    seconds[0] += 86_400
    got = index.mint(issuer.identity())
    assert (got.status, got.headers["retry-after"]) == (503, "60")
    assert json.loads(got.body)["errors"][0]["code"] == "issuer-unavailable"


@pytest.mark.parametrize(
    ("about", "keys"),
    [
        ({"issuer": "https://evil.example"}, None),
        ({"jwks_uri": "http://192.0.2.1/keys"}, None),
        ({"jwks_uri": "file:///etc/passwd"}, None),
        ({"jwks_uri": 7}, None),
        ({}, Answer(status=302, headers={"Location": "/elsewhere"})),
        ({}, Answer(body=b"[" * 100_000)),
        ({}, Answer(body=b" " * (2 << 20))),
        ({}, Answer(body=b'{"keys": 7}')),
        ({}, Answer(body=b'{"keys": [7, {"kty": "RSA", "kid": "one", "n": "!", "e": ""}]}')),
        ({}, Answer(body=b"{}", cut=1)),
    ],
)
def test_mint__issuer_that_says_something_else__is_not_believed(
    index: Index, issuer: LocalIssuer, about: dict[str, Any], keys: Answer | None
) -> None:
    issuer.publish(public(rsa_key(), "one"), **about)
    if keys is not None:
        issuer.answers[KEYS] = [keys]
    assert index.mint(issuer.identity()).status == 503
    assert "/elsewhere" not in issuer.server.asked


@pytest.mark.parametrize("more", [{"use": "enc"}, {"alg": "RS512"}, {"alg": "PS256"}])
def test_mint__key_for_another_use__is_no_key(index: Index, issuer: LocalIssuer, more: dict[str, str]) -> None:
    issuer.publish(public(rsa_key(), "one", **more), public(rsa_key("two"), "two"))
    assert refused(index.mint(issuer.identity())) == "invalid-token"


def test_mint__weak_key__is_no_key(index: Index, issuer: LocalIssuer) -> None:
    issuer.publish(public(rsa_key("weak", 1024), "one"), public(rsa_key("two"), "two"))
    assert refused(index.mint(issuer.identity())) == "invalid-token"


def test_not_set_up__is_said(tmp_path: Path) -> None:
    client = Client(app=make_app(replace(trust(tmp_path), trust=None)))
    assert client.get("/_/oidc/audience").status == 403
    got = client.get("/_/oidc/mint-token", method="POST", body=b"{}")
    assert (got.status, json.loads(got.body)["errors"][0]["code"]) == (403, "not-enabled")
