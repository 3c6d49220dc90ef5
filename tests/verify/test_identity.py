"""A real attestation of PyPI's, verified offline by sigstore; and those of a stand-in, which nobody trusts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signatures import StandInSigner
from wheelhouse.errors import UsageError
from wheelhouse.verify import Code, Identity
from wheelhouse.verify.identity import check_signatures, statements

FILENAME = "pypi_attestations-0.0.19.tar.gz"
SHA256 = "9bb1add04b1b4e182be6b0b80931593f7a291eb49d69b4fd728a5d4cbcdc4bd3"
DATA = Path(__file__).parents[1] / "index" / "changes" / "data" / f"{FILENAME}.provenance"
(BUNDLE,) = json.loads(DATA.read_bytes())["attestation_bundles"]
(REAL,) = BUNDLE["attestations"]
MAKERS = "github:trailofbits/pypi-attestations"


@pytest.fixture(autouse=True)
def _trust_root_of_sigstore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sigstore use the trust root that comes with it, and not one that this machine has from elsewhere."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def codes(attestations: Any, *, identity: str | None = None, sha256: str = SHA256) -> list[str]:
    expected = Identity.parse(identity) if identity else None
    found = check_signatures(attestations, filename=FILENAME, sha256=sha256, expected=expected)
    return [finding.code for finding in found]


@pytest.mark.parametrize(
    "identity", [None, MAKERS, f"{MAKERS}/release.yml", "github:TrailOfBits/PyPI-attestations/release.yml"]
)
def test_check_signatures__real_one_by_whom_it_should_be__is_good(identity: str | None) -> None:
    assert codes([REAL], identity=identity) == [Code.SIGNED.code]


@pytest.mark.parametrize(
    "identity",
    ["github:acme/wheels", f"{MAKERS}/other.yml", "github:trailofbits/other", "gitlab:trailofbits/pypi-attestations"],
)
def test_check_signatures__real_one_by_somebody_else__is_an_error(identity: str) -> None:
    assert codes([REAL], identity=identity) == [Code.SIGNER.code]


def test_check_signatures__real_one_of_other_bytes__is_an_error() -> None:
    assert codes([REAL], sha256="0" * 64) == [Code.SIGNATURE.code]


def test_check_signatures__nobodys__is_an_error() -> None:
    fake = StandInSigner(repository="trailofbits/pypi-attestations").sign(b"{}")

    assert codes([fake], identity=MAKERS) == [Code.SIGNATURE.code]
    assert codes([StandInSigner(issuer="https://issuer.example").sign(b"{}")]) == [Code.SIGNER.code]


def test_check_signatures__none__is_an_error_where_somebody_should_have_signed() -> None:
    assert codes([]) == [Code.NOT_SIGNED.code]
    assert codes([], identity=MAKERS) == [Code.SIGNER.code]


def test_check_signatures__one_good_and_one_bad__is_both() -> None:
    assert codes([REAL, None, {"version": 1}]) == [Code.SIGNED.code, Code.SIGNATURE.code, Code.SIGNATURE.code]


def _spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [path, *(spot for key, below in items for spot in _spots(below, (*path, key)))]
    return [path]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    spot=st.sampled_from(_spots(REAL)[1:]),
    value=st.one_of(st.none(), st.integers(), st.text(max_size=20), st.just("MIIG"), st.lists(st.text(), max_size=2)),
)
def test_check_signatures__anything_in_any_place__is_one_finding(spot: tuple[Any, ...], value: Any) -> None:
    changed: Any = json.loads(json.dumps(REAL))
    place = changed
    for key in spot[:-1]:
        place = place[key]
    place[spot[-1]] = value

    assert len(codes([changed], identity=MAKERS)) == 1
    list(statements([changed]))


@pytest.mark.parametrize(
    "text", ["", "github", "github:", "github:acme", "github:acme/", "github:a/b/c/d", "gitlab:acme", "pypi:a/b", "a/b"]
)
def test_identity__that_is_none__is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no identity"):
        Identity.parse(text)


@pytest.mark.parametrize("text", ["github:acme/wheels", "github:acme/wheels/release.yml", "gitlab:acme/sub/wheels"])
def test_identity__is_written_as_it_is_read(text: str) -> None:
    assert str(Identity.parse(text)) == text
