"""`wheelhouse verify`: whether wheels are what is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.files import wheel_files
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import InvalidWheelError, VerifyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wheelhouse.cli.session import Session
    from wheelhouse.finding import Finding
    from wheelhouse.provenance import Statement
    from wheelhouse.verify import Claims, Identity

#: By severity.
_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verified:
    """One wheel and what was found."""

    path: Path
    sha256: str
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        from wheelhouse.finding import errors  # noqa: PLC0415 - start-up time

        return {
            "wheel": str(self.path),
            "sha256": self.sha256,
            "verified": not errors(self.findings),
            "findings": [finding.to_json() for finding in self.findings],
        }


@click.command(
    epilog="""\b
Examples:
  wheelhouse verify dist/                                   # by what lies beside them
  wheelhouse verify downloaded.whl --index-url https://wheels.example/simple/
  wheelhouse verify downloaded.whl --index-url ... --identity github:acme/wheels/release.yml
  wheelhouse verify --rebuild dist/markupsafe-*.whl         # build again, and compare the bytes
"""
)
@click.argument("wheels", nargs=-1, required=True, metavar="WHEEL...", type=click.Path(path_type=Path, exists=True))
@click.option("--index-url", metavar="URL", help="Simple API that has to have these very bytes, and may tell of them.")
@click.option("--identity", metavar="WHO", help="Who has to have signed: github:OWNER/REPO[/WORKFLOW], gitlab:PROJECT.")
@click.option("--rebuild", is_flag=True, help="Build each again from its recipe, and compare the bytes.")
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@pass_session
def verify(
    session: Session,
    *,
    wheels: tuple[Path, ...],
    index_url: str | None,
    identity: str | None,
    rebuild: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Verify wheels: bytes, bill of materials, provenance, signatures; and by building them again.

    What is told of a wheel lies beside it, or on the index that has it. Signatures are verified offline. Nothing of a
    wheel is run. docs/provenance.md tells what each proves, and docs/reference/findings.md has the codes. Exit status
    31: something is not as it is said to be.
    """
    from wheelhouse.verify import Identity  # noqa: PLC0415 - start-up time

    expected = Identity.parse(identity) if identity is not None else None
    verified = []
    for path in wheel_files(wheels):
        result = _verify(session, path, index=index_url, expected=expected, rebuild=rebuild)
        verified.append(result)
        if not as_json:
            _show(result)
    if as_json:
        session.json([result.to_json() for result in verified])
    _conclude(session, verified, strict=strict)


def _verify(session: Session, path: Path, *, index: str | None, expected: Identity | None, rebuild: bool) -> _Verified:
    from wheelhouse.finding import errors  # noqa: PLC0415 - start-up time
    from wheelhouse.verify import claims_beside, on_index, verify_wheel  # noqa: PLC0415 - likewise
    from wheelhouse.wheel import WheelName, sha256_of  # noqa: PLC0415 - likewise

    name = WheelName.parse(path.name)
    try:
        sha256 = sha256_of(path)
    except OSError as error:
        raise InvalidWheelError(f"{path} cannot be read: {error.strerror}") from error
    claims = claims_beside(path)
    if index is not None:
        claims |= on_index(name, sha256, index=index)
    findings = verify_wheel(path, sha256, claims, expected=expected)
    if rebuild and not errors(findings):
        from wheelhouse.cli.rebuilding import rebuild as build_again  # noqa: PLC0415 - start-up time

        findings = (*findings, build_again(session, path, _told(claims)))
    return _Verified(path=path, sha256=sha256, findings=findings)


def _told(claims: Claims) -> Statement | None:
    """Return the provenance that was verified: all there is agrees with the wheel."""
    from wheelhouse.verify import provenances  # noqa: PLC0415 - start-up time

    return next(iter(provenances(claims)), None)


def _show(result: _Verified) -> None:
    name = click.style(result.path.name, bold=True)
    for finding in result.findings:
        label = click.style(f"{finding.code} {finding.severity}", fg=_STYLES[finding.severity])
        place = f"{finding.where}: " if finding.where else ""
        click.echo(f"{name}: {label}: {place}{finding.message}")
        if finding.hint:
            click.echo(f"  {click.style('hint:', fg='cyan')} {finding.hint}")


def _conclude(session: Session, verified: Sequence[_Verified], *, strict: bool) -> None:
    """Say what it came to. Raises VerifyError."""
    from wheelhouse.finding import Severity  # noqa: PLC0415 - start-up time

    counts = {
        severity: sum(finding.severity is severity for one in verified for finding in one.findings)
        for severity in Severity
    }
    told = ", ".join(f"{count} {severity}{'s' if count != 1 else ''}" for severity, count in counts.items())
    session.say(f"{len(verified)} wheel{'s' if len(verified) != 1 else ''}, {told}")
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    wrong = [one for one in verified if any(finding.severity in bad for finding in one.findings)]
    if wrong:
        raise VerifyError(
            f"{len(wrong)} of {len(verified)} wheels could not be verified"
            if len(verified) > 1
            else f"{wrong[0].path.name} could not be verified",
            hint="docs/reference/findings.md explains the codes",
        )
