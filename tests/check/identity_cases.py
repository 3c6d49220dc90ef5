"""One fault in names, metadata or RECORD a case (WH200s)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from check.archive_cases import renamed
from check.spoilt import OURS, Cases, Spoilt
from check.wheel_factory import METADATA, Wheel, binary, digest, pure, wheel_file
from wheelhouse.check.codes import Code
from wheelhouse.target import BuildIdentifier

if TYPE_CHECKING:
    from collections.abc import Callable


def record(change: Callable[[str], str | None]) -> Wheel:
    return pure().having(record=change)


def metadata(old: str, new: str) -> Wheel:
    assert old in METADATA
    return pure().with_files(METADATA=METADATA.replace(old, new))


CASES: Cases = {
    "no dist-info": (
        Code.DIST_INFO,
        lambda: Spoilt.of(
            "found none",
            Wheel(files={"spam/__init__.py": b""}, record=lambda _: None),
            Code.METADATA,
            Code.WHEEL_FILE,
            Code.NO_LICENCE,
        ),
    ),
    "two dist-infos": (
        Code.DIST_INFO,
        lambda: Spoilt.of(
            "eggs-1.0.dist-info, spam-1.0.dist-info",
            pure().with_paths({"eggs-1.0.dist-info/METADATA": b""}),
            Code.METADATA,
            Code.WHEEL_FILE,
            Code.NO_LICENCE,
        ),
    ),
    "dist-info of another version": (
        Code.DIST_INFO,
        lambda: Spoilt.of("does not fit", pure().having(filename="spam-2.0-py3-none-any.whl"), Code.NAME_OR_VERSION),
    ),
    "no METADATA": (Code.METADATA, lambda: Spoilt.of("missing", pure().with_files(METADATA=None))),
    "bad requirement": (
        Code.METADATA,
        lambda: Spoilt.of("egg >", metadata("License-File", "Requires-Dist: egg >\nLicense-File")),
    ),
    "unknown field": (Code.METADATA, lambda: Spoilt.of("eggs", metadata("License-File", "Eggs: 1\nLicense-File"))),
    "METADATA not UTF-8": (
        Code.METADATA,
        lambda: Spoilt.of("description", pure().with_files(METADATA=METADATA.encode() + b"\xff"), Code.NO_DESCRIPTION),
    ),
    "field too new": (Code.METADATA_FIELD, lambda: Spoilt.of("2.4, not 2.3", metadata("Version: 2.4", "Version: 2.3"))),
    "another name": (Code.NAME_OR_VERSION, lambda: Spoilt.of("`eggs`", metadata("Name: spam", "Name: eggs"))),
    "another version": (Code.NAME_OR_VERSION, lambda: Spoilt.of("1.1", metadata("\nVersion: 1.0", "\nVersion: 1.1"))),
    "no WHEEL": (Code.WHEEL_FILE, lambda: Spoilt.of("missing", pure().with_files(WHEEL=None))),
    "WHEEL of the future": (
        Code.WHEEL_FILE,
        lambda: Spoilt.of(
            "installers know 1", pure().with_files(WHEEL=wheel_file("py3-none-any", pure=True).replace("1.0", "2.0"))
        ),
    ),
    "WHEEL not UTF-8": (Code.WHEEL_FILE, lambda: Spoilt.of("UTF-8", pure().with_files(WHEEL=b"Tag: \xff"))),
    "no purelib": (
        Code.WHEEL_FILE,
        lambda: Spoilt.of("Root-Is-Purelib", pure().with_files(WHEEL="Wheel-Version: 1.0\nTag: py3-none-any\n")),
    ),
    "other tags": (
        Code.TAGS,
        lambda: Spoilt.of("only in WHEEL: py2", pure().with_files(WHEEL=wheel_file("py2-none-any", pure=True))),
    ),
    "other build tag": (
        Code.BUILD_TAG,
        lambda: Spoilt.of("`2`", pure().with_files(WHEEL=wheel_file("py3-none-any", pure=True, build="2"))),
    ),
    "pure with a binary": (
        Code.PURELIB,
        lambda: Spoilt.of(
            "there is a binary", binary().with_files(WHEEL=wheel_file("cp311-cp311-manylinux_2_17_x86_64", pure=True))
        ),
    ),
    "name not normalised": (
        Code.FILENAME_FORM,
        lambda: Spoilt.of("`Spam`", pure().having(filename="Spam-1.0-py3-none-any.whl")),
    ),
    "version not normalised": (
        Code.FILENAME_FORM,
        lambda: Spoilt.of(
            "`1.0.rc1`", pure().having(filename="spam-1.0.rc1-py3-none-any.whl"), Code.DIST_INFO, Code.NAME_OR_VERSION
        ),
    ),
    "no RECORD": (Code.RECORD, lambda: Spoilt.of("missing", record(lambda _: None))),
    "RECORD with two columns": (Code.RECORD, lambda: Spoilt.of("parsed", record(lambda _: "a,b\n"))),
    "RECORD twice": (Code.RECORD, lambda: Spoilt.of("twice", record(lambda text: text + text))),
    "RECORD with a bad size": (
        Code.RECORD,
        lambda: Spoilt.of("not valid", record(lambda text: re.sub(r",9\n", ",nine\n", text)), Code.WEAK_HASH),
    ),
    "not in RECORD": (Code.NOT_RECORDED, lambda: Spoilt.of("not in RECORD", renamed("spam/extra.py"))),
    "wrong hash": (
        Code.HASH,
        lambda: Spoilt.of("sha256", record(lambda text: re.sub("sha256=...", "sha256=AAA", text, count=1))),
    ),
    "wrong size": (Code.HASH, lambda: Spoilt.of("RECORD says 8", record(lambda text: text.replace(",9\n", ",8\n")))),
    "recorded, not there": (
        Code.RECORDED_MISSING,
        lambda: Spoilt.of("not in the wheel", record(lambda text: "gone.py,,\n" + text)),
    ),
    "no hash": (
        Code.WEAK_HASH,
        lambda: Spoilt.of("no hash", record(lambda text: re.sub("sha256=[^,]+", "", text, count=1))),
    ),
    "md5": (
        Code.WEAK_HASH,
        lambda: Spoilt.of(
            "md5",
            record(
                lambda text: re.sub("sha256=[^,]+", f"md5={digest(b'eggs = 1' + bytes([10]), 'md5')}", text, count=1)
            ),
        ),
    ),
    "another project": (
        Code.UNEXPECTED,
        lambda: Spoilt.of("builds eggs 1.0", binary(), expected=replace(OURS, project=canonicalize_name("eggs"))),
    ),
    "another build number": (
        Code.UNEXPECTED,
        lambda: Spoilt.of("recipe says 3", binary(), expected=replace(OURS, build_number=3)),
    ),
    "another target": (
        Code.UNEXPECTED,
        lambda: Spoilt.of(
            "cp312-manylinux_x86_64",
            binary(),
            expected=replace(OURS, target=BuildIdentifier.parse("cp312-manylinux_x86_64")),
        ),
    ),
    "bad reStructuredText": (
        Code.DESCRIPTION,
        lambda: Spoilt.of("rendered", metadata("text/markdown\n\n# spam\n", "text/x-rst\n\n.. nonsense::\n\n`x\n=\n")),
    ),
    "no description": (Code.NO_DESCRIPTION, lambda: Spoilt.of("no long", metadata("# spam\n\nEggs.\n", ""))),
    "licence file gone": (
        Code.LICENCE_MISSING,
        lambda: Spoilt.of(
            "`LICENSE`", pure().with_paths({"spam-1.0.dist-info/licenses/LICENSE": None}), Code.NO_LICENCE
        ),
    ),
    "no licence": (
        Code.NO_LICENCE,
        lambda: Spoilt.of(
            "no licence",
            metadata("License-File: LICENSE\n", "").with_paths({"spam-1.0.dist-info/licenses/LICENSE": None}),
        ),
    ),
}
