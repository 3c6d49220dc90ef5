"""A wheel and an index in; whether the index has these bytes, and what it tells of them (PEP 740), out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wheelhouse.download import read_page, without_secrets
from wheelhouse.errors import SourceError, UsageError
from wheelhouse.source.location import project_page
from wheelhouse.verify.claims import Claims
from wheelhouse.verify.codes import Code

if TYPE_CHECKING:
    from wheelhouse.wheel import WheelName

_PROVENANCE = "application/vnd.pypi.integrity.v1+json, application/json;q=0.5"


def on_index(name: WheelName, sha256: str, *, index: str) -> Claims:
    """Look a wheel up. `index` is a Simple API root. Raises UsageError where it cannot be asked."""
    where = without_secrets(index)
    try:
        page = project_page(name.project, index=index)
    except SourceError as error:
        raise UsageError(str(error), hint=error.hint or "--index-url takes the root of a Simple API") from error
    file = next((one for one in page.packages if one.filename == name.filename), None)
    if file is None:
        return Claims(findings=(Code.NOT_ON_INDEX.finding("the index does not have it", where=where),))
    published = file.digests.get("sha256")
    if published != sha256:
        message = f"the index says sha256 {published or '(none)'}, and it is {sha256}"
        return Claims(findings=(Code.OTHER_ON_INDEX.finding(message, where=where),))
    same = Code.SAME_ON_INDEX.finding("the index has the same bytes", where=where)
    url = getattr(file, "provenance_url", None)
    if not url or urlsplit(url).scheme != urlsplit(file.url).scheme:
        return Claims(findings=(same,))
    try:
        return Claims(findings=(same,), attestations=_attestations(read_page(url, accept=_PROVENANCE).data))
    except (SourceError, ValueError, RecursionError) as error:
        wrong = Code.PROVENANCE_INVALID.finding(f"what the index tells of it cannot be had: {error}", where=where)
        return Claims(findings=(same, wrong))


def _attestations(data: bytes) -> tuple[Any, ...]:
    """Return the attestations of a provenance object. Raises ValueError."""
    value = json.loads(data)
    bundles = value.get("attestation_bundles") if isinstance(value, dict) else None
    if not isinstance(bundles, list) or not all(
        isinstance(bundle, dict) and isinstance(bundle.get("attestations"), list) for bundle in bundles
    ):
        raise ValueError("it is no provenance object (PEP 740)")
    return tuple(one for bundle in bundles for one in bundle["attestations"])
