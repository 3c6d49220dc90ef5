"""Real attestations: signed by a real CI job, logged by Sigstore, published on PyPI, and verified with its trust root.

`data/` has what PyPI served as the provenance of pypi-attestations 0.0.19. Nothing here signs anything.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from pypi_attestations import Provenance

from asgi import Client, form
from indexes import page, settings
from wheelhouse.config import TrustedPublisher
from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.access.publishers import Publisher
from wheelhouse.index.changes.attestations import Attestations
from wheelhouse.index.model import FileName, Sha256
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import TrustSettings

if TYPE_CHECKING:
    from asgi import Got

FILENAME = "pypi_attestations-0.0.19.tar.gz"
NAME = FileName.parse(FILENAME)
DIGEST = Sha256("9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3")
(BUNDLE,) = json.loads((Path(__file__).parent / "data" / f"{FILENAME}.provenance").read_bytes())["attestation_bundles"]
FIELD = json.dumps(BUNDLE["attestations"])


def table(**keys: Any) -> TrustedPublisher:
    known = {"issuer": "github", "projects": ["pypi-*"], "repository": "trailofbits/pypi-attestations"}
    return TrustedPublisher.model_validate({**known, "workflow": "release.yml", **keys}, by_name=True, by_alias=True)


def verifying(**keys: Any) -> Attestations:
    return Attestations(policy="verify", publishers=(Publisher.of(table(**keys)),))


@pytest.fixture(autouse=True)
def _trust_root_of_sigstore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sigstore use the trust root that comes with it, and not one that this machine has from elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"workflow": None},
        {"repository": "trailofbits/*"},
        {"ref": "refs/tags/*"},
        {"environment": "release"},  # not in a certificate
    ],
)
def test_look__real_one_by_a_trusted_publisher__is_the_provenance(keys: dict[str, Any]) -> None:
    looked = verifying(**keys).look(FIELD, NAME, DIGEST)
    assert looked.remark == "its attestations are verified"
    assert looked.provenance is not None
    (bundle,) = Provenance.model_validate_json(looked.provenance).attestation_bundles
    assert json.loads(bundle.publisher.model_dump_json()) == BUNDLE["publisher"]
    assert json.loads(bundle.model_dump_json())["attestations"] == BUNDLE["attestations"]


@pytest.mark.parametrize(
    "keys",
    [
        {"workflow": "other.yml"},
        {"repository": "trailofbits/other"},
        {"repository": "evil/*"},
        {"ref": "refs/heads/*"},
        {"projects": ["other"]},
        {"issuer": "gitlab", "workflow": ".gitlab-ci.yml"},
    ],
)
def test_look__real_one_by_somebody_else__is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(IndexRefusesError, match=r"signed by 'https://github.com/trailofbits/pypi-attestations"):
        verifying(**keys).look(FIELD, NAME, DIGEST)


@pytest.mark.parametrize(
    ("filename", "digest", "words"),
    [
        (FILENAME, "0" * 64, "does not match distribution digest"),
        ("pypi_attestations-0.0.20.tar.gz", DIGEST, "does not match distribution name"),
    ],
)
def test_look__real_one_of_another_file__is_refused(filename: str, digest: str, words: str) -> None:
    with pytest.raises(IndexRefusesError, match=words):
        verifying().look(FIELD, FileName.parse(filename), Sha256(digest))


@pytest.mark.parametrize("path", [("envelope", "signature"), ("envelope", "statement")])
def test_look__changed_by_a_byte__is_refused(path: tuple[str, str]) -> None:
    attestation = json.loads(FIELD)[0]
    text = attestation[path[0]][path[1]]
    attestation[path[0]][path[1]] = text[:40] + ("A" if text[40] != "A" else "B") + text[41:]
    with pytest.raises(IndexRefusesError, match="its attestation is not good"):
        verifying().look(json.dumps([attestation]), NAME, DIGEST)


def _spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [path, *(spot for key, below in items for spot in _spots(below, (*path, key)))]
    return [path]


@settings_of_hypothesis(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    spot=st.sampled_from(_spots(json.loads(FIELD))[1:]),
    value=st.one_of(st.none(), st.integers(), st.text(max_size=20), st.just("MIIG"), st.lists(st.text(), max_size=2)),
)
def test_look__anything_in_any_place__is_refused_or_the_same(spot: tuple[Any, ...], value: Any) -> None:
    changed: Any = json.loads(FIELD)
    place = changed
    for key in spot[:-1]:
        place = place[key]
    place[spot[-1]] = value
    with suppress(IndexRefusesError):
        verifying().look(json.dumps(changed), NAME, DIGEST)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[{}]", "null", '"x"', "[" * 10_000, f"{FIELD[:-1]}, {FIELD[1:]}"])
def test_look__no_list_of_attestations__is_refused(text: str) -> None:
    with pytest.raises(IndexRefusesError, match="not good"):
        verifying().look(text, NAME, DIGEST)


def test_look__other_policies__publish_nothing() -> None:
    assert Attestations().look(FIELD, NAME, DIGEST).provenance is None
    assert verifying().look("[]", NAME, DIGEST).provenance is None
    with pytest.raises(IndexRefusesError, match="takes no attestations"):
        Attestations(policy="refuse").look(FIELD, NAME, DIGEST)
    assert Attestations(policy="refuse").look(None, NAME, DIGEST).remark == ""


def index(folder: Path) -> Client:
    trust = TrustSettings(
        publishers=(table(),), audience="wheels.example", signing_key=folder / "key", used=folder / "used"
    )
    plain = settings(folder, AccessRules(anonymous_local_upload=True))
    return Client(
        app=make_app(replace(plain, attestations="verify", trust=trust, public="https://wheels.example/pypi/"))
    )


def send(client: Client, content: bytes, **fields: str) -> Got:
    known = {":action": "file_upload", "protocol_version": "1", "name": "pypi-attestations", "version": "0.0.19"}
    body, kind = form({**known, **fields}, filename=FILENAME, content=content)
    return client.get("/legacy/", method="POST", body=body, content_type=kind)


@pytest.mark.network
def test_upload__real_file_with_its_real_attestation__is_published_with_it(tmp_path: Path) -> None:
    from pypi_simple import PYPI_SIMPLE_ENDPOINT, PyPISimple  # noqa: PLC0415 - asks the network

    with PyPISimple(PYPI_SIMPLE_ENDPOINT) as upstream:
        package = next(
            each for each in upstream.get_project_page("pypi-attestations").packages if each.filename == FILENAME
        )
        upstream.download_package(package, tmp_path / FILENAME, progress=None)
    content, client = (tmp_path / FILENAME).read_bytes(), index(tmp_path)

    assert send(client, content, attestations=FIELD.replace("MIIG", "MIIH", 1)).status == 400
    assert client.get("/simple/pypi-attestations/").status == 404
    got = send(client, content, attestations=FIELD, gpg_signature="x")
    assert (got.status, b"attestations are verified" in got.body, b"PGP" in got.body) == (200, True, True)

    (file,) = page(client, "/simple/pypi-attestations/")["files"]
    below = file["url"].removeprefix("../..")
    assert file["provenance"] == f"https://wheels.example/pypi{below}.provenance"
    assert f'data-provenance="{file["provenance"]}"'.encode() in client.get("/simple/pypi-attestations/").body
    there = client.get(f"/integrity/PyPI_attestations/0.0.19/{FILENAME}/provenance")
    assert (there.status, there.headers["location"]) == (302, f"../../../..{below}.provenance")
    assert client.get(f"/integrity/pypi-attestations/0.0.20/{FILENAME}/provenance").status == 404
    assert client.get(f"/integrity/other/0.0.19/{FILENAME}/provenance").status == 404
    served = Provenance.model_validate_json(client.get(f"{below}.provenance").body)
    assert json.loads(served.attestation_bundles[0].model_dump_json()) == BUNDLE
