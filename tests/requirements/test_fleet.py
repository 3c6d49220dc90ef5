from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin

from fake_upstream import fake_upstream
from fleet import EGGS, SDIST, SPAM_AARCH64, SPAM_MUSL, SPAM_NEW, SPAM_X86_64, world
from wheelhouse.errors import RequirementsError, UsageError
from wheelhouse.process import Processes
from wheelhouse.requirements.fleet import Asked, Choice, FleetTarget, Locked, Wish, choose, merged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_upstream import FakeUpstream


@pytest.fixture(scope="module")
def index() -> Iterator[FakeUpstream]:
    with fake_upstream(**world()) as made:
        yield made


def target(arch: str = "aarch64", *, python: str = "3.13", libc: str = "glibc", glibc: int = 28) -> FleetTarget:
    return FleetTarget.parse(python=python, arch=arch, libc=libc, glibc=glibc)


def ask(index: FakeUpstream, wish: Wish, *targets: FleetTarget) -> list[Choice]:
    return choose([wish], targets or [target()], index=index.url, processes=Processes())


def names(choice: Choice) -> set[str]:
    return {chosen.filename for chosen in choice.files}


def test_choose__each_target__gets_its_own_wheels(index: FakeUpstream) -> None:
    targets = (target(), target("x86_64"), target(libc="musl"), target("x86_64", glibc=36))
    choices = ask(index, Asked(requirements=("acme-eggs",)), *targets)

    assert [names(choice) for choice in choices] == [
        {EGGS.filename, wheel.filename} for wheel in (SPAM_AARCH64, SPAM_X86_64, SPAM_MUSL, SPAM_NEW)
    ]
    assert [choice.problems for choice in choices] == [()] * 4
    files = dict(merged(choices))
    assert len(files) == 5
    shared = next(chosen for chosen in files if chosen.filename == EGGS.filename)
    assert files[shared] == targets


def test_choose__no_dependencies__leaves_them_out(index: FakeUpstream) -> None:
    [choice] = ask(index, Asked(requirements=("acme-eggs",), dependencies=False))
    assert names(choice) == {EGGS.filename}


def test_choose__requirements_file__is_read(index: FakeUpstream, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# ours\nacme-spam<2\n")
    [choice] = ask(index, Asked(files=(file,)), target("x86_64", glibc=36))
    assert names(choice) == {SPAM_X86_64.filename}


@pytest.mark.parametrize("option", ["--extra-index-url", "--index-url"])
def test_choose__requirements_file_with_its_own_index__never_asks_there(
    index: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    file = tmp_path / "requirements.txt"
    with fake_upstream(**world()) as other:
        file.write_text(f"{option} {other.url.replace('127.0.0.1', 'localhost')}\nacme-spam\n")
        [choice] = ask(index, Asked(files=(file,)))

    assert other.asked == []
    if option == "--index-url":  # ours goes before it
        assert names(choice) == {SPAM_AARCH64.filename}
    else:
        assert "no other index" in choice.problems[0]


def test_choose__one_that_cannot_be__hides_no_other(index: FakeUpstream) -> None:
    [choice] = ask(index, Asked(requirements=("acme-eggs", "acme-nothing")))
    assert names(choice) == {EGGS.filename, SPAM_AARCH64.filename}
    [problem] = choice.problems
    assert problem.startswith("acme-nothing: ")
    assert "was not found" in problem


def test_choose__each_well_but_not_together__fetches_both_and_tells(index: FakeUpstream) -> None:
    [choice] = ask(index, Asked(requirements=("acme-spam<2", "acme-spam>=2")), target("x86_64", glibc=36))
    assert names(choice) == {SPAM_X86_64.filename, SPAM_NEW.filename}
    [problem] = choice.problems
    assert problem.startswith("each was resolved for itself")


def test_choose__no_wheel_for_a_target__is_its_problem_alone(index: FakeUpstream) -> None:
    there, lacking, strange = ask(
        index, Asked(requirements=("acme-eggs",)), target(), target(python="3.12"), target("ppc64le")
    )
    assert not there.problems
    assert not lacking.files
    assert "no wheels" in lacking.problems[0]
    assert names(strange) == {EGGS.filename}  # uv does not know this platform: packaging looks at the tags
    assert strange.problems == ("acme-spam 2.0 has no wheel that fits, and no sdist in the lock",)


def test_choose__uv_lock__is_read_by_uv(index: FakeUpstream, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.11"\n'
        'dependencies = ["acme-eggs", "acme-spam<2"]\n'
    )
    words = ("--no-config", "--default-index", index.url, "--directory", tmp_path, "--no-cache")
    subprocess.run([find_uv_bin(), "lock", *words], check=True, capture_output=True)

    aarch64, old = ask(index, Locked(file=tmp_path / "uv.lock"), target(), target(python="3.12"))

    assert names(aarch64) == {EGGS.filename, SPAM_AARCH64.filename}
    assert names(old) == {EGGS.filename, SDIST}  # an installer would build it


_PYLOCK = """
lock-version = "1.0"
created-by = "hand"
[[packages]]
name = "acme-spam"
version = "1.0"
wheels = [{{ url = "{url}", hashes = {{ sha256 = "{sha256}" }} }}]
[[packages]]
name = "acme-tree"
directory = {{ path = "tree" }}
"""


def test_choose__pylock__takes_what_is_from_an_index(index: FakeUpstream, tmp_path: Path) -> None:
    lock = tmp_path / "pylock.toml"
    lock.write_text(_PYLOCK.format(url=f"https://h.example/{SPAM_AARCH64.filename}", sha256="0" * 64))

    here, elsewhere = ask(index, Locked(file=lock), target(), target("x86_64"))

    assert [(chosen.filename, chosen.sha256) for chosen in here.files] == [(SPAM_AARCH64.filename, "0" * 64)]
    assert here.problems == ("acme-tree is given by address or folder, and is not from an index",)
    assert elsewhere.files == ()
    assert "acme-spam 1.0 has no wheel that fits" in elsewhere.problems[0]


@pytest.mark.parametrize("text", ["", "lock-version = 1", "[[", 'lock-version = "1.0"\ncreated-by = "x"\npackages = 3'])
def test_choose__no_lock__says_so(index: FakeUpstream, tmp_path: Path, text: str) -> None:
    lock = tmp_path / "pylock.toml"
    lock.write_text(text)
    with pytest.raises(RequirementsError, match="not a lock that can be read"):
        ask(index, Locked(file=lock))


def test_choose__uv_lock_without_its_project__says_what_to_do(index: FakeUpstream, tmp_path: Path) -> None:
    (tmp_path / "uv.lock").touch()
    with pytest.raises(RequirementsError, match=r"pyproject\.toml") as caught:
        ask(index, Locked(file=tmp_path / "uv.lock"))
    assert "uv export" in (caught.value.hint or "")


@pytest.mark.parametrize(("python", "arch"), [("2.7", "x86_64"), ("3.13", "vax"), ("three", "x86_64"), ("", "")])
def test_target__unknown__says_so(python: str, arch: str) -> None:
    with pytest.raises(UsageError, match="there is no Python"):
        target(arch, python=python)


@pytest.mark.parametrize(
    ("made", "text"),
    [(target(), "3.13 aarch64 glibc"), (target(python="3.14t", libc="musl"), "3.14t aarch64 musl")],
)
def test_target__text(made: FleetTarget, text: str) -> None:
    assert str(made) == text
