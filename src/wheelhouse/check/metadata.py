"""METADATA in, findings out: valid as the standards have it, the description renders, the licence files are there."""

from __future__ import annotations

import email.message
import io
import re
from typing import TYPE_CHECKING

from packaging.metadata import InvalidMetadata, Metadata, parse_email
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.check.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.metadata import RawMetadata

    from wheelhouse.check.contents import Contents
    from wheelhouse.finding import Finding

NAME = "METADATA"
#: The version in which an index began to insist on licence files (PEP 639).
_LICENSE_FILES_SINCE = (2, 4)
_LICENCE_NAME = re.compile(r"(?i)(licen[cs]e|copying|notice|authors)")
#: Descriptions of these types cannot fail to render (as twine has it).
_ALWAYS_RENDERS = {"text/plain", "text/markdown"}


def check_metadata(contents: Contents) -> Iterator[Finding]:
    """Check METADATA and what it refers to."""
    where = contents.under_dist_info(NAME)
    data = contents.texts.get(NAME)
    if data is None:
        yield Code.METADATA.finding("METADATA is missing", where=where)
        return
    try:
        raw, unparsed = parse_email(data)
    except (ValueError, LookupError, AttributeError, TypeError) as error:  # the email package on hostile headers
        yield Code.METADATA.finding(f"cannot be parsed: {error}", where=where)
        return
    for field in sorted(unparsed):
        yield Code.METADATA.finding(f"the field `{field}` is unknown, stands twice or is not UTF-8", where=where)
    yield from _fields(raw, where)
    yield from _same_as_filename(raw, contents, where)
    yield from _description(raw, where)
    yield from _licences(raw, contents, where)


def _fields(raw: RawMetadata, where: str) -> Iterator[Finding]:
    try:
        Metadata.from_raw(raw)
    except ExceptionGroup as group:
        for error in group.exceptions:
            # setuptools wrote License-File years before metadata 2.4; indexes take such files.
            early = isinstance(error, InvalidMetadata) and "introduced in metadata version" in str(error)
            kind = Code.METADATA_FIELD if early else Code.METADATA
            yield kind.finding(str(error), where=where)


def _same_as_filename(raw: RawMetadata, contents: Contents, where: str) -> Iterator[Finding]:
    name, version = raw.get("name"), raw.get("version")
    if name is not None and canonicalize_name(name) != contents.name.project:
        yield Code.NAME_OR_VERSION.finding(f"is of `{name}`, the file of `{contents.name.project}`", where=where)
    try:
        same = version is None or Version(version) == contents.name.version
    except InvalidVersion:
        return  # said by `_fields`
    if not same:
        yield Code.NAME_OR_VERSION.finding(f"is of version {version}, the file of {contents.name.version}", where=where)


def _description(raw: RawMetadata, where: str) -> Iterator[Finding]:
    text = raw.get("description", "")
    if not text.strip() or text.strip() == "UNKNOWN":
        yield Code.NO_DESCRIPTION.finding("has no long description", where=where)
        return
    kind, parameters = _content_type(raw.get("description_content_type") or "text/x-rst")
    if kind in _ALWAYS_RENDERS:
        return
    import readme_renderer.rst  # noqa: PLC0415 - 0.3 s of docutils, for reStructuredText only

    said = io.StringIO()
    # As `twine check` does, so that the upload meets no surprise.
    if readme_renderer.rst.render(text, stream=said, **parameters) is None:
        lines = said.getvalue().strip().splitlines()
        yield Code.DESCRIPTION.finding(
            f"the long description cannot be rendered: {lines[0].removeprefix('<string>:') if lines else 'no content'}",
            where=where,
            hint="an index refuses the upload; give long_description_content_type if it is Markdown",
        )


def _content_type(value: str) -> tuple[str, dict[str, str]]:
    message = email.message.EmailMessage()
    message["content-type"] = value
    return message.get_content_type(), dict(message["content-type"].params)


def _licences(raw: RawMetadata, contents: Contents, where: str) -> Iterator[Finding]:
    names = {member.name for member in contents.members}
    stated = raw.get("license_files", [])
    if _metadata_version(raw) >= _LICENSE_FILES_SINCE:
        for file in stated:
            if contents.under_dist_info(f"licenses/{file}") not in names:
                yield Code.LICENCE_MISSING.finding(
                    f"names the licence file `{file}`, which is not under licenses/", where=where, hint="PEP 639"
                )
    inside = f"{contents.dist_info}/"
    if not any(name.startswith(inside) and _LICENCE_NAME.search(name.rpartition("/")[2]) for name in names) and not any(
        name.startswith(f"{inside}licenses/") for name in names
    ):
        yield Code.NO_LICENCE.finding(
            "no licence file", where=contents.dist_info, hint="most licences ask that their text goes with every copy"
        )


def _metadata_version(raw: RawMetadata) -> tuple[int, ...]:
    text = raw.get("metadata_version", "")
    return tuple(int(part) for part in text.split(".")) if re.fullmatch(r"\d+\.\d+", text) else (0,)
