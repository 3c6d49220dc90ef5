"""The form of an upload: twine's own, whichever way it is made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from requests_toolbelt import MultipartDecoder, MultipartEncoder
from twine.package import PackageFile
from twine.repository import Repository

from small_wheels import SmallWheel
from wheelhouse.publish.form import body_of, form_fields

if TYPE_CHECKING:
    from pathlib import Path

METADATA = """\
Summary: é, and more
Keywords: one,two
Classifier: Programming Language :: C
Classifier: Private :: Do Not Upload
Project-URL: Home, https://example.org/
Project-URL: Code, https://example.org/code
Requires-Dist: eggs (>1)
Requires-Python: >=3.9
License-File: LICENSE
"""


def test_fields__are_those_that_twine_sends(tmp_path: Path) -> None:
    package = PackageFile.from_filename(str(SmallWheel(metadata=METADATA).write(tmp_path)), "a comment")
    package.attestations = [{"version": "1"}]
    sent_by_twine = Repository._convert_metadata_to_list_of_tuples(package.metadata_dictionary())

    assert form_fields(package) == [*sent_by_twine, (":action", "file_upload"), ("protocol_version", "1")]
    assert dict(form_fields(package))["project_urls"] == "Code, https://example.org/code"


@pytest.mark.parametrize("size", [10, 5 << 20])
def test_body__small_or_large__holds_the_fields_and_the_file(tmp_path: Path, size: int) -> None:
    path = SmallWheel(metadata=METADATA, files={"spam/data": os.urandom(size)}).write(tmp_path)
    package = PackageFile.from_filename(str(path), None)

    with body_of(package) as (body, kind):
        assert isinstance(body, MultipartEncoder) == (size > 10)
        data = body.read() if isinstance(body, MultipartEncoder) else body

    parts = MultipartDecoder(data, kind).parts
    assert [part.text for part in parts[:-1]] == [value for _, value in form_fields(package)]
    assert parts[-1].content == path.read_bytes()
    assert f'filename="{path.name}"'.encode() in parts[-1].headers[b"Content-Disposition"]
