"""A small world of packages for a fleet: one that is pure and needs one that has wheels for some machines only."""

from __future__ import annotations

import io
import tarfile
import zipfile

from fake_upstream import FakeFile
from small_wheels import SmallWheel

EGGS = SmallWheel(name="acme_eggs", files={"acme_eggs.py": "import acme_spam\n"}, metadata="Requires-Dist: acme-spam\n")


def spam(version: str, platform: str) -> SmallWheel:
    return SmallWheel(
        name="acme_spam", version=version, tag=f"cp313-cp313-{platform}", files={"acme_spam.py": "ANSWER = 42\n"}
    )


SPAM_AARCH64 = spam("1.0", "manylinux_2_17_aarch64")
SPAM_X86_64 = spam("1.0", "manylinux_2_17_x86_64")
SPAM_MUSL = spam("1.0", "musllinux_1_2_aarch64")
SPAM_NEW = spam("2.0", "manylinux_2_34_x86_64")
SDIST = "acme_spam-1.0.tar.gz"


def published(wheel: SmallWheel) -> FakeFile:
    """Return a wheel as an index has it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in wheel.members().items():
            archive.writestr(zipfile.ZipInfo(name), data)
    metadata = wheel.members()[f"{wheel.dist_info}/METADATA"]
    return FakeFile(filename=wheel.filename, data=buffer.getvalue(), metadata=metadata)


def _sdist() -> FakeFile:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        data = b"Metadata-Version: 2.1\nName: acme_spam\nVersion: 1.0\n"
        member = tarfile.TarInfo("acme_spam-1.0/PKG-INFO")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return FakeFile(filename=SDIST, data=buffer.getvalue())


def world() -> dict[str, list[FakeFile]]:
    """Return what an index has of them."""
    wheels = (SPAM_AARCH64, SPAM_X86_64, SPAM_MUSL, SPAM_NEW)
    return {"acme_eggs": [published(EGGS)], "acme_spam": [*map(published, wheels), _sdist()]}
