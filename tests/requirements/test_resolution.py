from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from fakes import a_job
from servers import Answer, serve
from wheelhouse import requirements
from wheelhouse.errors import RequirementsError
from wheelhouse.joblog import JobLog
from wheelhouse.process import Processes
from wheelhouse.source import SourceFacts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wheelhouse.job import Job


def a_wheel(folder: Path, filename: str, *requires: str) -> Path:
    """Write an empty wheel."""
    name, version = filename.split("-")[:2]
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / filename
    with zipfile.ZipFile(path, "w") as archive:
        info = f"{name}-{version}.dist-info"
        lines = "".join(f"Requires-Dist: {text}\n" for text in requires)
        archive.writestr(f"{info}/METADATA", metadata + lines)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@dataclass
class Index:
    """A Simple API with a few wheels, and what is needed to ask it."""

    url: str
    folder: Path
    asked_paths: list[str] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """How many times uv was started."""
        return (self.folder / "log").read_text().count(" pip compile ")

    def resolve(self, facts: SourceFacts, job: Job, *own: Path, upgrade: bool = False) -> requirements.Lock:
        return requirements.resolve(
            facts,
            job,
            state_locks=self.folder / "locks",
            cache=self.folder / "cache",
            index=self.url,
            own_wheels=own,
            log=JobLog(self.folder / "log", job=job.id),
            processes=Processes(),
            upgrade=upgrade,
        )


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    wheels = [
        a_wheel(tmp_path / "index", "cython-3.0-py3-none-any.whl"),
        a_wheel(tmp_path / "index", "cython-3.0-cp311-cp311-manylinux_2_17_x86_64.whl"),
        a_wheel(tmp_path / "index", "cython-3.1-py3-none-any.whl", "deep"),
        a_wheel(tmp_path / "index", "deep-1.0-py3-none-any.whl"),
        a_wheel(tmp_path / "index", "ninja-1.2-py3-none-manylinux_2_17_s390x.whl"),
        a_wheel(tmp_path / "index", "ninja-1.3-py3-none-manylinux_2_17_x86_64.whl"),
        a_wheel(tmp_path / "index", "setuptools-69.0-py3-none-any.whl"),
        a_wheel(tmp_path / "index", "setuptools-80.0-py3-none-any.whl"),
        a_wheel(tmp_path / "index", "wheel-0.40-py3-none-any.whl"),
    ]
    routes: dict[str, list[Answer]] = {}
    for name in {path.name.partition("-")[0] for path in wheels}:
        links = "".join(
            f'<a href="/f/{path.name}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">{path.name}</a>\n'
            for path in wheels
            if path.name.startswith(f"{name}-")
        )
        routes[f"/simple/{name}/"] = [Answer(body=links.encode(), headers={"Content-Type": "text/html"})]
    routes |= {f"/f/{path.name}": [Answer(body=path.read_bytes())] for path in wheels}
    with serve(routes) as server:
        yield Index(url=f"{server.url}/simple", folder=tmp_path, asked_paths=server.asked)


def facts(*requires: str, backend: str = "mine") -> SourceFacts:
    return SourceFacts(requires=requires, backend=backend, epoch=1)


def pins(lock: requirements.Lock) -> list[str]:
    return [pin.filename for pin in lock.pins]


def test_resolve__with_what_they_need_in_turn(index: Index) -> None:
    assert pins(index.resolve(facts("cython"), a_job())) == ["cython-3.1-py3-none-any.whl", "deep-1.0-py3-none-any.whl"]


def test_resolve__constraints_and_best_wheel(index: Index) -> None:
    job = replace(a_job(), requires=("deep",), constraints=("cython<3.1",))
    assert pins(index.resolve(facts("cython"), job)) == [
        "cython-3.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "deep-1.0-py3-none-any.whl",
    ]


def test_resolve__asked_before__no_index_and_no_process(index: Index) -> None:
    first = index.resolve(facts("cython", "deep"), a_job())
    again = index.resolve(facts("deep", "cython"), a_job("another"))
    assert first == again
    assert index.asked == 1
    index.resolve(facts("cython", "deep"), a_job(target="cp312-manylinux_x86_64"))
    assert index.asked == 2


def test_resolve__upgrade__asks_once_a_run(index: Index) -> None:
    index.resolve(facts("deep"), a_job())
    place = next((index.folder / "locks").glob("*.json"))
    os.utime(place, (1, 1))
    for _ in range(2):
        index.resolve(facts("deep"), a_job(), upgrade=True)
    assert index.asked == 2


def test_remembered__only_of_this_index(index: Index) -> None:
    def remembered(url: str | None) -> requirements.Lock | None:
        return requirements.remembered(
            facts("deep"), a_job(), state_locks=index.folder / "locks", index=url, own_wheels=[]
        )

    assert remembered(None) is None
    lock = index.resolve(facts("deep"), a_job())
    assert remembered(None) == remembered(index.url) == remembered(f"{index.url}/") == lock
    assert remembered("https://other.invalid/simple") is None


def test_resolve__own_wheel__wins_and_is_part_of_the_question(index: Index) -> None:
    own = a_wheel(index.folder / "own", "cython-3.0-1-cp311-cp311-manylinux_2_17_x86_64.whl")
    foreign = a_wheel(index.folder / "own", "deep-9.0-cp313-cp313-win32.whl")
    before = index.resolve(facts("cython"), a_job())
    lock = index.resolve(facts("cython"), a_job(), own, foreign)
    assert lock != before
    assert pins(lock) == [own.name]
    assert lock.pins[0].sha256 == hashlib.sha256(own.read_bytes()).hexdigest()
    gathered = requirements.gather(lock, cache=index.folder / "cache", folder=index.folder / "out")
    assert (gathered.folder / own.name).read_bytes() == own.read_bytes()


def test_resolve__old_setuptools__brings_wheel(index: Index) -> None:
    job = replace(a_job(), constraints=("setuptools<70",))
    old = index.resolve(facts("setuptools", backend="setuptools.build_meta"), job)
    assert pins(old) == ["setuptools-69.0-py3-none-any.whl", "wheel-0.40-py3-none-any.whl"]
    assert pins(index.resolve(facts("setuptools", backend="setuptools.build_meta"), a_job())) == [
        "setuptools-80.0-py3-none-any.whl"
    ]


def test_resolve__platform_that_uv_cannot_name__newest_release_with_a_wheel(index: Index) -> None:
    job = a_job(target="cp311-manylinux_s390x")
    assert pins(index.resolve(facts("ninja"), job)) == ["ninja-1.2-py3-none-manylinux_2_17_s390x.whl"]


@pytest.mark.parametrize("target", ["cp311-manylinux_aarch64", "cp311-manylinux_ppc64le"])
def test_resolve__no_wheel__names_requirement_and_platform(index: Index, target: str) -> None:
    with pytest.raises(RequirementsError, match=r"ninja") as caught:
        index.resolve(facts("ninja"), a_job(target=target))
    assert "cp311, manylinux_2_28" in str(caught.value)
    assert "depends.build" in (caught.value.hint or "")
    assert not list((index.folder / "locks").glob("*.json"))


def test_resolve__index_down__says_so(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    index.url = "http://127.0.0.1:9/simple"
    with pytest.raises(RequirementsError) as caught:
        index.resolve(facts("deep"), a_job())
    assert "network" in (caught.value.hint or "")


def test_gather__every_wheel_once_and_verified(index: Index) -> None:
    lock = index.resolve(facts("cython"), a_job())
    for folder in ("one", "two"):
        gathered = requirements.gather(lock, cache=index.folder / "cache", folder=index.folder / folder)
        assert sorted(path.name for path in gathered.folder.iterdir()) == pins(lock)
    assert index.asked_paths.count("/f/deep-1.0-py3-none-any.whl") <= 2  # uv reads its metadata, we the file


def test_gather__another_file_than_was_resolved(index: Index) -> None:
    lock = index.resolve(facts("deep"), a_job())
    other = requirements.Lock(pins=(replace(lock.pins[0], sha256="0" * 64),))
    with pytest.raises(RequirementsError, match=r"deep-1\.0.*expected sha256 0000.*actual"):
        requirements.gather(other, cache=index.folder / "cache", folder=index.folder / "out")
    evil = requirements.Lock(pins=(replace(lock.pins[0], filename="../evil.whl"),))
    with pytest.raises(RequirementsError, match="not a wheel's filename"):
        requirements.gather(evil, cache=index.folder / "cache", folder=index.folder / "out")


def test_resolve__own_wheel_needs_a_newer_glibc_than_images_have__is_taken_where_it_was_built(index: Index) -> None:
    own = a_wheel(index.folder / "own", "deep-3.0-cp311-cp311-manylinux_2_36_x86_64.whl")

    lock = index.resolve(facts("deep>=2"), a_job(), own)

    assert [pin.filename for pin in lock.pins] == [own.name]
