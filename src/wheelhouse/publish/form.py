"""A file as twine has read it in, the body of its upload out: the same form that twine sends, without its display.

twine's own `Repository.upload` draws a progress bar and prints a line even where nobody is to see them, looks through
the environment for proxies at each file, and encodes what fits into memory piece by piece: two thirds of its time.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from requests_toolbelt import MultipartEncoder
from urllib3 import encode_multipart_formdata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twine.package import PackageFile

#: Bytes of a file that is read into memory to be sent.
_SMALL = 4 << 20
_KIND = "application/octet-stream"


@contextmanager
def body_of(package: PackageFile) -> Iterator[tuple[bytes | MultipartEncoder, str]]:
    """Yield the body of an upload (POST /legacy/) and its content type; a large file is read as it is sent."""
    path, fields = Path(package.filename), form_fields(package)
    if path.stat().st_size <= _SMALL:
        data = path.read_bytes()
        yield encode_multipart_formdata([*fields, ("content", (package.basefilename, data, _KIND))])
        return
    with path.open("rb") as file:
        encoder = MultipartEncoder([*fields, ("content", (package.basefilename, file, _KIND))])
        yield encoder, encoder.content_type


def form_fields(package: PackageFile) -> list[tuple[str, str]]:
    """Return what is said of a file besides its bytes, as PyPI reads it (warehouse, `parse_form_metadata`)."""
    fields: list[tuple[str, str]] = []
    for key, value in package.metadata_dictionary().items():
        match key, value:
            case "project_urls", dict():
                fields += [(key, f"{name}, {url}") for name, url in value.items()]
            case "keywords", list():
                fields.append((key, ", ".join(value)))
            case _, list() | tuple():
                fields += [(key, str(item)) for item in value]
            case _:
                fields.append((key, str(value)))
    return [*fields, (":action", "file_upload"), ("protocol_version", "1")]
