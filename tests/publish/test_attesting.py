"""Attestations on their way to an index. A stand-in for Sigstore signs; twine, the index and the models are real."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from pypi_attestations import Attestation, AttestationType
from twine.commands import _split_inputs

from fakes import a_job, a_record
from index_server import index_server
from publish.test_sending import DOWN, FakeUploader, sender
from servers import Answer, serve
from signatures import StandInSigner
from small_wheels import SmallWheel
from wheelhouse.errors import AttestationError
from wheelhouse.provenance import statement
from wheelhouse.publish import Destination, Publishable, Verdict, prepare, publish
from wheelhouse.publish.attesting import attest, attestations_of
from wheelhouse.publish.login import Login
from wheelhouse.publish.sigstore import Unsigned, find_identity
from wheelhouse.publish.twine_uploader import TwineUploader
from wheelhouse.record import Origin, Pinned, WheelFile
from wheelhouse.results import provenance_beside
from wheelhouse.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def ready(folder: Path, *, answer: int = 42, provenance: bool = True) -> Publishable:
    """Write a wheel, and its provenance where that lies."""
    (made,) = prepare([SmallWheel(files={"spam.py": f"ANSWER = {answer}\n"}).write(folder)])
    if provenance:
        told = statement(
            a_record(a_job(), key="ab" * 32).model_copy(
                update={
                    "wheel": WheelFile(filename=made.path.name, sha256=made.sha256, size=1),
                    "origin": Origin(
                        source=Pinned(name="spam", version="1.0", sha256="0" * 64),
                        builder="pkg:pypi/wheelhouse@0.1.0",
                        invocation="1",
                        wheelhouse="0.1.0",
                    ),
                }
            )
        )
        assert told is not None
        place = provenance_beside(made.path)
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(told.to_json())
    return made


def kinds(attestations: tuple[Mapping[str, Any], ...]) -> list[str]:
    return [Attestation.model_validate(one).statement["predicateType"] for one in attestations]


def test_attest__wheel_with_provenance__both_kinds_that_indexes_take_lie_beside_it(tmp_path: Path) -> None:
    wheel = ready(tmp_path)

    found = attest(wheel, StandInSigner())

    assert kinds(found) == [AttestationType.PYPI_PUBLISH_V1, AttestationType.SLSA_PROVENANCE_V1]
    assert attestations_of(wheel) == found
    names = sorted(str(path) for path in tmp_path.glob("spam*"))
    inputs = _split_inputs(names)
    assert inputs.dists == [str(wheel.path)], "twine takes them for attestations of the wheel"
    assert len(inputs.attestations_by_dist[str(wheel.path)]) == 2


def test_attest__wheel_without_provenance__is_attested_as_published_alone(tmp_path: Path) -> None:
    assert kinds(attest(ready(tmp_path, provenance=False), StandInSigner())) == [AttestationType.PYPI_PUBLISH_V1]


def test_attest__again__signs_nothing(tmp_path: Path) -> None:
    wheel = ready(tmp_path)

    assert attest(wheel, StandInSigner()) == attest(wheel, StandInSigner())


def test_attestations_of__a_wheel_that_was_built_anew__are_none(tmp_path: Path) -> None:
    attest(ready(tmp_path), StandInSigner())

    other = ready(tmp_path, answer=43)

    assert attestations_of(other) == ()
    assert len(attest(other, StandInSigner())) == 2


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{}", b'{"envelope": {"statement": "e30="}}', b"[" * 100_000])
def test_attestations_of__no_attestation__is_none(tmp_path: Path, data: bytes) -> None:
    wheel = ready(tmp_path)
    wheel.path.with_name(f"{wheel.path.name}.publish.attestation").write_bytes(data)

    assert attestations_of(wheel) == ()


@pytest.mark.parametrize(
    ("policy", "words", "verdict"),
    [
        ("accept", "attestations were neither verified nor published", Verdict.DELIVERED),
        ("verify", "its attestation is not good", Verdict.REFUSED),  # nobody trusts a stand-in
    ],
)
def test_publish__attestations__reach_a_real_index_by_twine(
    policy: str, words: str, verdict: Verdict, tmp_path: Path
) -> None:
    wheel = ready(tmp_path / "dist")
    text = json.dumps(attest(wheel, StandInSigner()))
    registry = tmp_path / "registry"
    (registry / "recipes").mkdir(parents=True)
    (registry / "wheelhouse.toml").write_text(
        f'[serve]\nattestations = "{policy}"\naudience = "wheels.example"\n'
        '[[serve.trusted-publishers]]\nissuer = "github"\nprojects = ["spam"]\nrepository = "acme/wheels"\n'
    )
    with index_server(registry, "--allow-anonymous-upload") as server:
        destination = Destination(url=f"{server.url}/legacy/")
        with TwineUploader(destination, Login(), timeout=10) as uploader:
            reply = uploader.upload(wheel.path, name=wheel.path.name, sha256=wheel.sha256, attestations=text)
    assert (reply.verdict, words in reply.reason) == (verdict, True), reply


def test_publish__attestations_in_a_spool__are_delivered_later(tmp_path: Path) -> None:
    wheel = ready(tmp_path)
    signed = replace(wheel, attestations=attest(wheel, StandInSigner()))
    with Spool(tmp_path / "spool") as spool:
        publish(sender(FakeUploader(usual=DOWN), spool), [signed])
        uploader = FakeUploader()
        publish(sender(uploader, spool), [])
    text = uploader.attestations[wheel.path.name]
    assert text is not None
    assert json.loads(text) == [dict(one) for one in signed.attestations]


def token(**claims: str) -> str:
    return jwt.encode({"aud": "sigstore", "iss": "https://issuer.example", **claims}, "k" * 32, algorithm="HS256")


@pytest.mark.parametrize(
    ("claims", "asked", "found"),
    [
        ({"repository_visibility": "public"}, False, True),
        ({"repository_visibility": "private"}, False, False),
        ({"repository_visibility": "internal"}, False, False),
        ({}, False, False),
        ({"repository_visibility": "private"}, True, True),
    ],
)
def test_find_identity__job_of_github(
    claims: dict[str, str], *, asked: bool, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = token(**claims)
    with serve({"/token?x=1&audience=sigstore": [Answer(body=json.dumps({"value": identity}).encode())]}) as server:
        environment = {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{server.url}/token?x=1",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        answer = find_identity(environment, asked=asked)

    assert (answer == identity) is found
    assert isinstance(answer, Unsigned) is not found


def test_find_identity__no_ci_job__says_so() -> None:
    answer = find_identity({}, asked=True)

    assert isinstance(answer, Unsigned)
    assert "no CI job" in answer.reason


def test_find_identity__password__means_an_upload_that_takes_no_attestations() -> None:
    answer = find_identity({"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x", "TWINE_PASSWORD": "y"}, asked=False)

    assert isinstance(answer, Unsigned)
    assert "password" in answer.reason


def test_find_identity__service_that_refuses__is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x")
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_URL", raising=False)

    with pytest.raises(AttestationError, match="gives this job no identity"):
        find_identity({"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"}, asked=True)


def test_stand_in__signs_what_dsse_asks_for() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - for this alone
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - likewise

    signer = StandInSigner()
    envelope = signer.sign(b"{}")["envelope"]

    signer.key.public_key().verify(
        base64.b64decode(envelope["signature"]), b"DSSEv1 28 application/vnd.in-toto+json 2 {}", ec.ECDSA(SHA256())
    )
