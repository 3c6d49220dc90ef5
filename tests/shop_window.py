"""An index with something of everything in it that a page can show."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName

from small_wheels import SmallWheel
from wheelhouse.finding import Finding, Severity
from wheelhouse.index.changes.repository import NewFile, Repository
from wheelhouse.index.model import FileName, Sha256
from wheelhouse.index.stores.folder import FolderStore
from wheelhouse.record import Cause, Grafted, Record

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
BUILT, FAILED = "my_spam-2.0-cp313-manylinux_x86_64", "eggs-1.0-cp312-musllinux_aarch64"
_SBOM = {"components": [{"name": "libpq5", "version": "15.14", "licenses": [{"license": {"id": "PostgreSQL"}}]}]}
_DESCRIPTION = """\
Summary: Lovely <b>spam</b>
License: MIT
Requires-Python: >=3.11
Requires-Dist: eggs>=1
Project-URL: Docs, https://docs.example/
Description-Content-Type: text/markdown

# Spam

![a badge](https://badges.example/x.svg) is *lovely*. <script>alert("spam")</script>

| a | b |
|---|---|
| 1 | 2 |

- [ ] a task

```python
import my_spam  # and a line that is long enough to need more room than a telephone has to give to any line of code
```
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopWindow:
    store: Path
    records: Path


def _wheel(version: str, tag: str) -> SmallWheel:
    return SmallWheel(
        name="my_spam",
        version=version,
        tag=tag,
        metadata=_DESCRIPTION,
        files={
            "my_spam.py": "x = 1\n",
            "my_spam.libs/libpq-0123abcd.so.5.15": "elf",
            f"my_spam-{version}.dist-info/sboms/auditwheel.cdx.json": json.dumps(_SBOM),
        },
    )


def dress(folder: Path) -> ShopWindow:
    """Fill a store and a folder of jobs below a folder, as a workspace there has them."""
    state = folder / ".wheelhouse"
    repository = Repository(store=FolderStore.open(state / "index"))
    wheels = [
        _wheel("2.0", "cp313-cp313-manylinux_2_28_x86_64"),
        _wheel("2.0", "cp313-cp313-musllinux_1_2_aarch64"),
        _wheel("2.0", "cp39-abi3-win_amd64"),
        _wheel("1.0", "py3-none-any"),
        SmallWheel(name="eggs", files={"eggs.py": ""}),
        SmallWheel(name="acme_ham", files={"acme_ham.py": ""}),
    ]
    for wheel in wheels:
        path = wheel.write(folder / "made")
        data = path.read_bytes()
        new = NewFile(
            name=FileName.parse(path.name),
            sha256=Sha256(hashlib.sha256(data).hexdigest()),
            size=len(data),
            requires_python=">=3.11",
            metadata=wheel.members()[f"{wheel.dist_info}/METADATA"],
            provenance=b"{}" if wheel.version == "2.0" else None,
        )
        repository.add_file(new, path)
    repository.yank(NormalizedName("my-spam"), "my_spam-1.0-py3-none-any.whl", "has <i>holes</i>")
    repository.set_status(NormalizedName("eggs"), "deprecated", "use ham")
    _build(state / "jobs")
    return ShopWindow(store=state / "index", records=state / "jobs")


def _build(folder: Path) -> None:
    built = Record(
        job=BUILT,
        project="my_spam",
        version="2.0",
        target="cp313-manylinux_x86_64",
        status="built",
        key="ab" * 32,
        inputs={"builder": "host", "source.sha256": "cd" * 32},
        builder="host",
        started=NOON,
        seconds=125.5,
        timings={"source": 0.5, "build": 120, "check": 5},
        grafted=(Grafted(name="libpq.so.5", path="my_spam.libs/libpq.so.5", size=1, package="libpq5", licence="BSD"),),
        findings=(Finding(code="WH502", severity=Severity.NOTE, message="1 grafted library", where="a/b.so"),),
    )
    failed = Record(
        job=FAILED,
        project="eggs",
        version="1.0",
        target="cp312-musllinux_aarch64",
        status="failed",
        started=NOON.replace(hour=13),
        seconds=4,
        cause=Cause(
            kind="missing-header",
            message="<x.h> is missing",
            mend=("system-packages.debian: libx-dev",),
            evidence="fatal error: x.h: No such file " + "or directory " * 20,
        ),
    )
    for record in (built, failed):
        place = folder / record.job
        place.mkdir(parents=True)
        (place / "log.txt").write_text("$ cc <spam.c>\n\x1b[31mfatal error\x1b[0m " + "a long line " * 40 + "\n")
        (place / "record.json").write_bytes(record.to_json())
        os.utime(place / "log.txt", (NOON.timestamp(), NOON.timestamp()))
