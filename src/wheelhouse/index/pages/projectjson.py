"""A manifest and the newest metadata in, `/pypi/<project>/json` out: the form that older tools ask an index for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from packaging.version import Version

from wheelhouse.index.pages.render import file_path

if TYPE_CHECKING:
    from wheelhouse.index.model import File, Manifest

#: Fields of core metadata by their names in this form, where both have the same value.
_INFO = ("summary", "description", "description_content_type", "author", "author_email", "maintainer")
_MORE = ("maintainer_email", "home_page", "license", "license_expression", "classifiers", "requires_dist")


def newest(manifest: Manifest) -> File | None:
    """Return a file of the version that an installer would choose, a wheel with metadata if there is one."""
    files = manifest.offered
    finals = [file for file in files if not Version(file.version).is_prerelease and file.yanked is False]
    return max(finals or files, key=lambda file: (Version(file.version), file.core_metadata is not None), default=None)


def project_json(manifest: Manifest, metadata: bytes | None, *, root: str) -> bytes:
    """Render a project; `root` is the address of the index, with no slash at its end."""
    from packaging.metadata import parse_email  # noqa: PLC0415 - a server starts without

    chosen = newest(manifest)
    raw = parse_email(metadata)[0] if metadata is not None else {}
    releases: dict[str, list[dict[str, Any]]] = {version: [] for version in manifest.versions}
    for file in manifest.offered:
        releases[file.version].append(_file(file, root))
    return orjson.dumps(
        {
            "info": {
                **{name: raw.get(name) for name in (*_INFO, *_MORE)},
                "name": manifest.name,
                "version": chosen.version if chosen else None,
                "requires_python": chosen.requires_python if chosen else None,
                "project_urls": raw.get("project_urls"),
            },
            "releases": releases,
            "urls": releases[chosen.version] if chosen else [],
        }
    )


def _file(file: File, root: str) -> dict[str, Any]:
    return {
        "filename": file.filename,
        "url": f"{root}/files/{file_path(file)}",
        "digests": {**file.hashes, "sha256": file.sha256},
        "size": file.size,
        "packagetype": "bdist_wheel" if file.filename.endswith(".whl") else "sdist",
        "requires_python": file.requires_python,
        "upload_time_iso_8601": file.upload_time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "yanked": file.yanked is not False,
        "yanked_reason": file.yanked if isinstance(file.yanked, str) else None,
    }
