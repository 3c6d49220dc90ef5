"""Small projects with a build back end of their own: nothing to install, nothing to ask an index for."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import zipfile
from typing import TYPE_CHECKING

from fakes import a_job
from wheelhouse.builders import BuildRequest
from wheelhouse.joblog import JobLog
from wheelhouse.requirements import Lock, Requirements
from wheelhouse.source import SourceFacts, SourceTree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.job import Job
    from wheelhouse.process import Processes

EPOCH = 1_700_000_000
PYTHON = f"cp3{sys.version_info[1]}"

_EXTENSION = """\
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "spam", __FILE__, -1, NULL};
PyMODINIT_FUNC PyInit_spam(void) { return PyModule_Create(&module); }
"""
#: Compiles `spam.c` as setuptools would: with what sysconfig and the environment say.
_BACKEND = """\
import hashlib, base64, os, shlex, socket, subprocess, sysconfig, zipfile


def get_requires_for_build_wheel(config_settings=None):
    return [line for line in open("wanted.txt").read().splitlines() if line]


def build_wheel(folder, config_settings=None, metadata_directory=None):
    exec(open("first.py").read())
    members = {"spam_py.py": b"answer = 42\\n"}
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    if os.path.exists("spam.c"):
        include = "-I" + sysconfig.get_paths()["include"]
        flags = [shlex.split(os.environ.get(name, "")) for name in ("CC", "CFLAGS", "LDFLAGS")]
        extra = shlex.split(open("flags.txt").read())
        words = [*flags[0], *flags[1], include, "-O2", "-fPIC", "-shared", os.path.abspath("spam.c"), "-o", "out.so"]
        subprocess.run([*words, *flags[2], *extra], check=True)
        members["spam" + suffix] = open("out.so", "rb").read()
    soabi = sysconfig.get_config_var("SOABI").split("-")
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    python = "cp" + soabi[1].rstrip("t")
    tag = f"{python}-cp{soabi[1]}-{platform}"
    info = "spam-1.0.dist-info/"
    members[info + "METADATA"] = b"Metadata-Version: 2.1\\nName: spam\\nVersion: 1.0\\n"
    members[info + "WHEEL"] = f"Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: false\\nTag: {tag}\\n".encode()
    record = ""
    for name, data in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\\n"
    members[info + "RECORD"] = (record + info + "RECORD,,\\n").encode()
    name = f"spam-1.0-{tag}.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member, (2023, 1, 1, 0, 0, 0)), data)
    return name
"""


def a_project(
    root: Path, *, extension: str | None = _EXTENSION, wanted: str = "", first: str = "", flags: str = ""
) -> Path:
    """Write a project: `wanted` are dynamic build requirements, `first` Python run before, `flags` for the compiler."""
    root.mkdir(parents=True)
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (root / "backend.py").write_text(_BACKEND)
    (root / "wanted.txt").write_text(wanted)
    (root / "first.py").write_text(first)
    (root / "flags.txt").write_text(flags)
    if extension is not None:
        (root / "spam.c").write_text(extension)
    return root


def a_request(folder: Path, root: Path, processes: Processes, *, job: Job | None = None) -> BuildRequest:
    """Return a request to build the project in `root`, with its log and work in `folder`."""
    (folder / "work").mkdir(parents=True)
    (folder / "requirements").mkdir()
    job = job or a_job(target=f"{PYTHON}-manylinux_{os.uname().machine}")
    return BuildRequest(
        job=job,
        tree=SourceTree(root=root, facts=SourceFacts(requires=(), backend="backend", epoch=EPOCH)),
        requirements=Requirements(lock=Lock(pins=()), folder=folder / "requirements"),
        work=folder / "work",
        log=JobLog(folder / "log.txt", job=job.id),
        processes=processes,
        timeout=120.0,
    )


def make_wheel(folder: Path, filename: str, members: Mapping[str, bytes]) -> Path:
    """Write a valid wheel with these members into `folder`."""
    name, version, *tag = filename.removesuffix(".whl").split("-")
    info = f"{name}-{version}.dist-info"
    pure = str(tag[-1] == "any").lower()
    contents = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: {pure}\nTag: {'-'.join(tag)}\n".encode(),
    }
    record = ""
    for member, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{member},sha256={digest},{len(data)}\n"
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = folder / filename
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in contents.items():
            archive.writestr(zipfile.ZipInfo(member, (2023, 1, 1, 0, 0, 0)), data)
    return path
