"""A job and what its repair grafted in; the wheel's bill of materials out: CycloneDX 1.6, for `.dist-info/sboms`.

PEP 770 gives the place. The bytes follow from the build key, the source's epoch and the wheel's own members, so that
the same key still gives the same wheel: no clock, no random number, no address of a mirror, no version of wheelhouse.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cyclonedx.model.component import Component, Pedigree
    from packageurl import PackageURL

    from wheelhouse.job import Job
    from wheelhouse.record import Grafted

#: Below `.dist-info`. auditwheel's own lies beside it.
PATH = "sboms/wheelhouse.cdx.json"
#: The name space of build keys: `uuid5(NAMESPACE_URL, "pkg:pypi/wheelhouse#build-key")`.
_KEYS = uuid.UUID("405959bc-96c2-5e78-be03-fc81c8a923ed")


def make_sbom(job: Job, *, key: str, epoch: int, grafted: Sequence[Grafted]) -> bytes:
    """Return the document: the package, the source it was built from, and each library that was grafted."""
    from cyclonedx.model.bom import Bom, BomMetaData  # noqa: PLC0415 - most runs have little or nothing to build
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415 - likewise
    from cyclonedx.model.tool import ToolRepository  # noqa: PLC0415 - likewise
    from cyclonedx.output.json import JsonV1Dot6  # noqa: PLC0415 - likewise
    from packageurl import PackageURL  # noqa: PLC0415 - likewise

    purl = PackageURL("pypi", name=job.project, version=str(job.version))
    package = Component(
        name=job.project,
        version=str(job.version),
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        pedigree=_pedigree(job),
    )
    libraries = [_library(library) for library in grafted]
    bom = Bom(
        serial_number=uuid.uuid5(_KEYS, key),
        metadata=BomMetaData(
            timestamp=datetime.fromtimestamp(epoch, UTC),
            component=package,
            tools=ToolRepository(
                components=[Component(name="wheelhouse", type=ComponentType.APPLICATION, bom_ref="wheelhouse")]
            ),
        ),
        components=libraries,
    )
    bom.register_dependency(package, libraries)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def _pedigree(job: Job) -> Pedigree:
    from cyclonedx.model import HashAlgorithm, HashType, XsUri  # noqa: PLC0415 - start-up time
    from cyclonedx.model.component import (  # noqa: PLC0415 - likewise
        Component,
        ComponentType,
        Diff,
        Patch,
        PatchClassification,
        Pedigree,
    )

    source = Component(
        name=job.project,
        version=str(job.version),
        type=ComponentType.LIBRARY,
        bom_ref="source",
        description="The source archive that the wheel was built from.",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=job.source.sha256)],
    )
    patches = job.source.patches
    return Pedigree(
        ancestors=[source],
        patches=[
            Patch(type=PatchClassification.UNOFFICIAL, diff=Diff(url=XsUri(patch.path.name))) for patch in patches
        ],
        notes="\n".join(f"{patch.path.name} sha256:{patch.sha256}" for patch in patches) or None,
    )


def _library(library: Grafted) -> Component:
    """Return a grafted library under the name of the system package that it is of, as scanners look for it."""
    from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415 - start-up time
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415 - likewise
    from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence  # noqa: PLC0415 - likewise
    from cyclonedx.model.license import DisjunctiveLicense  # noqa: PLC0415 - likewise

    purl = _purl(library.purl)
    return Component(
        name=library.name if purl is None else purl.name,
        version=None if purl is None else purl.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=library.path,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=library.sha256)] if library.sha256 else [],
        licenses=[DisjunctiveLicense(name=library.licence)] if library.licence else [],
        evidence=ComponentEvidence(occurrences=[Occurrence(location=library.path)]),
        description=None if purl is None else library.name,
    )


def _purl(text: str | None) -> PackageURL | None:
    from packageurl import PackageURL  # noqa: PLC0415 - start-up time

    try:
        return None if text is None else PackageURL.from_string(text)
    except ValueError:
        return None


def occurrences(document: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return the components of a document, whoever wrote it, by the member of the wheel that they are."""
    listed = document.get("components") if isinstance(document, dict) else None
    found: dict[str, Mapping[str, Any]] = {}
    for component in listed if isinstance(listed, list) else []:
        evidence = component.get("evidence") if isinstance(component, dict) else None
        places = evidence.get("occurrences") if isinstance(evidence, dict) else None
        for place in places if isinstance(places, list) else []:
            if isinstance(place, dict) and isinstance(place.get("location"), str):
                found[place["location"]] = component
    return found
