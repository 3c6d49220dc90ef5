from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from recipes import write_recipe
from wheelhouse.errors import MachineError
from wheelhouse.finding import Finding, Severity
from wheelhouse.lifecycle.solving import Solution, solve
from wheelhouse.recipe import load_recipe
from wheelhouse.record import Cause, Record, WheelFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.recipe import Recipe

ACL = Cause(
    kind="missing-header",
    message="the header `sys/acl.h` is not there",
    mend=("system-packages.debian: libacl1-dev", "system-packages.musllinux: acl-dev"),
)


def a_record(cause: Cause | None = None, *findings: Finding) -> Record:
    wheel = WheelFile(filename="demo-1.2-cp311-cp311-linux_x86_64.whl", sha256="0" * 64, size=1)
    failed = cause is not None
    return Record(
        job="demo-1.2-cp311-manylinux_x86_64",
        project="demo",
        version="1.2",
        target="cp311-manylinux_x86_64",
        status="failed" if failed else "built",
        started=datetime.now(UTC),
        seconds=1.0,
        cause=cause,
        findings=findings,
        wheel=None if failed else wheel,
    )


def refused(*findings: tuple[str, str, str | None]) -> Record:
    """Return the record of a wheel that did not pass: code, message and place of each finding."""
    found = [
        Finding(code=code, severity=Severity.ERROR, message=message, where=where) for code, message, where in findings
    ]
    return a_record(Cause(kind="check", message="did not pass its checks"), *found)


@dataclass
class FakeMachine:
    """Has some packages; knows of some."""

    known: frozenset[str] = frozenset({"libacl1-dev"})
    installed: list[str] = field(default_factory=list)
    allowed: bool = True

    def lacking(self, packages: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in packages if name not in self.installed)

    def install(self, packages: Sequence[str]) -> tuple[str, ...]:
        if not self.allowed:
            raise MachineError("not installed", hint="apt-get install")
        self.installed += [name for name in packages if name in self.known]
        return tuple(name for name in packages if name not in self.known)


@dataclass
class Trying:
    """A recipe, and the records of its builds in order."""

    path: Path
    machine: FakeMachine = field(default_factory=FakeMachine)
    told: list[str] = field(default_factory=list)
    registry: list[NormalizedName] = field(
        default_factory=lambda: [canonicalize_name("pycairo"), canonicalize_name("demo")]
    )

    def solve(self, *records: Record, **options: Any) -> Solution:
        left = list(records)
        wheel = self.path.with_name("demo-1.2-cp311-cp311-linux_x86_64.whl")
        if not wheel.exists():
            zipfile.ZipFile(wheel, "w").close()
        return solve(
            self.path,
            build=lambda: left.pop(0),
            dist=self.path.parent,
            machine=self.machine,
            registry=lambda: self.registry,
            tell=self.told.append,
            **options,
        )

    @property
    def recipe(self) -> Recipe:
        return load_recipe(self.path)


@pytest.fixture
def trying(tmp_path: Path) -> Trying:
    return Trying(path=write_recipe(tmp_path, '# why\n[test]\nimports = ["demo", "demo._x"] # what\n'))


def test_solve__works_at_once__nothing_is_changed(trying: Trying) -> None:
    before = trying.path.read_text()

    solution = trying.solve(a_record())

    assert (solution.reason, len(solution.rounds)) == ("", 1)
    assert trying.path.read_text() == before


def test_solve__missing_package__is_written_for_all_families_and_installed(trying: Trying) -> None:
    solution = trying.solve(a_record(ACL), a_record())

    assert solution.reason == ""
    assert trying.machine.installed == ["libacl1-dev"]
    packages = trying.recipe.system_packages
    assert (packages.debian, packages.musllinux, packages.manylinux) == (("libacl1-dev",), ("acl-dev",), ())
    assert "# why\n" in trying.path.read_text()
    assert solution.rounds[0].changes[0].startswith("system-packages.debian: libacl1-dev (the header `sys/acl.h`")


def test_solve__same_cause_after_its_mending__says_so(trying: Trying) -> None:
    solution = trying.solve(a_record(ACL), a_record(ACL))

    assert solution.reason.startswith(
        "the header `sys/acl.h` is not there; libacl1-dev is installed and has it not: another version"
    )
    assert "what might help: system-packages" not in solution.reason


def test_solve__package_that_the_machine_does_not_know__leaves_the_recipe(trying: Trying) -> None:
    trying.machine.known = frozenset()

    solution = trying.solve(a_record(ACL), a_record(ACL))

    assert "distribution has no package libacl1-dev" in solution.reason
    assert trying.recipe.system_packages.debian == ()
    assert trying.recipe.system_packages.musllinux == ("acl-dev",)


def test_solve__not_allowed_to_install__says_the_command(trying: Trying) -> None:
    trying.machine.allowed = False

    solution = trying.solve(a_record(ACL))

    assert solution.reason == "not installed; apt-get install"
    assert solution.record is not None


def test_solve__requirement_and_variable__are_written(trying: Trying) -> None:
    requires = Cause(
        kind="missing-module", message="no Cython", mend=("build.requires: Cython", "version: a newer one")
    )
    policy = Cause(kind="cmake", message="old", mend=('build.environment: CMAKE_POLICY_VERSION_MINIMUM = "3.5"',))

    solution = trying.solve(a_record(requires), a_record(policy), a_record())

    assert solution.reason == ""
    assert trying.recipe.build.requires == ("Cython",)
    assert trying.recipe.build.environment == {"CMAKE_POLICY_VERSION_MINIMUM": "3.5"}


def test_solve__several_requirements_in_a_line__are_all_written(trying: Trying) -> None:
    asked = Cause(kind="missing-module", message="needs more", mend=("build.requires: cython>=3.0.1, numpy<3,>=2",))

    assert trying.solve(a_record(asked), a_record()).reason == ""
    assert trying.recipe.build.requires == ("cython>=3.0.1", "numpy<3,>=2")


def test_solve__flags__are_added_to_those_that_are_there(trying: Trying) -> None:
    first, second = (
        Cause(kind="compiler-too-strict", message=flag, mend=(f'build.environment: CFLAGS = "{flag}"',))
        for flag in ("-Wno-error=a", "-Wno-error=b")
    )

    assert trying.solve(a_record(first), a_record(second), a_record()).reason == ""
    assert trying.recipe.build.environment == {"CFLAGS": "-Wno-error=a -Wno-error=b"}
    assert trying.solve(a_record(second)).reason.startswith("-Wno-error=b")  # it is there, and did not help


def test_solve__test_of_a_module_that_is_not_there__goes_with_its_import(trying: Trying) -> None:
    text = trying.path.read_text().replace('"demo", ', "")
    trying.path.write_text(f"{text}command = 'python -c \"import demo._x\"'\n")
    absent = ("WH402", "`import demo._x` fails: ModuleNotFoundError: No module named 'demo._x'", None)

    assert trying.solve(refused(absent), a_record()).reason == ""
    assert (trying.recipe.test.imports, trying.recipe.test.command) == ((), None)


@pytest.mark.parametrize("line", ["build.requires: cmake>=", "build.extension: false", "version: a newer release", ""])
def test_solve__lines_that_want_a_person__are_told(trying: Trying, line: str) -> None:
    solution = trying.solve(a_record(Cause(kind="odd", message="it is odd", mend=(line,), evidence="the line")))

    assert solution.reason == f"it is odd; what might help: {line}; the log says: the line"


def test_solve__grafted_libraries__are_allowed(trying: Trying) -> None:
    library = ("WH501", "libacl.so.1 was grafted", "demo.libs/libacl-4b46c012.so.1.1.2301")

    solution = trying.solve(refused(library), a_record())

    assert solution.rounds[0].outcome == "failed: 1 grafted libraries that the recipe does not allow"
    assert trying.recipe.repair.allow_grafted == ("libacl",)


def test_solve__module_that_the_wheel_has_not__is_left_out_of_the_test(trying: Trying) -> None:
    absent = ("WH402", "`import demo._x` fails: ModuleNotFoundError: No module named 'demo._x'", None)

    solution = trying.solve(refused(absent), a_record())

    assert solution.reason == ""
    assert trying.recipe.test.imports == ("demo",)


def test_solve__module_that_ends_its_own_import__is_taken_at_its_word(trying: Trying) -> None:
    said = ("WH402", "`import demo._x` fails: RuntimeError: only on a Raspberry Pi!", None)

    trying.solve(refused(said), a_record())

    assert trying.recipe.test.imports == ()
    assert trying.recipe.test.command is not None
    assert (
        "except RuntimeError as error:\n    assert 'only on a Raspberry Pi!' in str(error)"
        in trying.recipe.test.command
    )
    assert '"only' not in trying.recipe.test.command


@pytest.mark.parametrize("words", ['"; rm -rf ~; "', "$(reboot)", "`reboot`", "\\", "'''"])
def test_solve__words_that_a_shell_would_read__are_not_written(trying: Trying, words: str) -> None:
    said = f"`import demo._x` fails: RuntimeError: only on this board {words}"
    trying.solve(refused(("WH402", said, None)), a_record())

    assert trying.recipe.test.command is not None
    assert "'only on this board' in" in trying.recipe.test.command
    assert words not in trying.recipe.test.command


@pytest.mark.parametrize("said", ["demo.InternalError: libraries do not match", "RuntimeError", "OSError: no"])
def test_solve__error_that_states_nothing__is_no_refusal(trying: Trying, said: str) -> None:
    solution = trying.solve(refused(("WH402", f"`import demo._x` fails: {said}", None)))

    assert said in solution.reason
    assert trying.recipe.test.command is None


def test_solve__import_error__is_no_refusal(trying: Trying) -> None:
    failed = ("WH402", "`import demo._x` fails: ImportError: undefined symbol: y", None)

    solution = trying.solve(refused(failed))

    assert "undefined symbol: y" in solution.reason


def test_solve__idle_extension__is_named_and_tried(trying: Trying) -> None:
    idle = Finding(code="WH410", severity=Severity.WARNING, message="idle", where="demo/_fast.cpython-311.so")

    solution = trying.solve(a_record(None, idle), a_record())

    assert len(solution.rounds) == 2
    assert trying.recipe.test.imports == ("demo", "demo._x", "demo._fast")


def test_solve__idle_extension_with_no_importable_name__is_left(trying: Trying) -> None:
    idle = Finding(code="WH410", severity=Severity.WARNING, message="idle", where="demo/mod-py311.cpython-311.so")

    assert trying.solve(a_record(None, idle)).reason == ""


def test_solve__requirement_of_which_there_is_a_recipe__is_built_first(trying: Trying) -> None:
    cause = Cause(kind="requirements", message="Because pycairo>=1.16.0 has no usable wheels and demo needs it")

    trying.solve(a_record(cause), a_record())

    assert trying.recipe.depends.build == ("pycairo",)


def test_solve__rounds__are_bounded(trying: Trying) -> None:
    records = [a_record(Cause(kind="x", message=f"no {n}", mend=(f"build.requires: p{n}",))) for n in range(3)]

    solution = trying.solve(*records, rounds=3)

    assert solution.reason.startswith("3 rounds were not enough: no 2")


def test_solve__no_name_of_the_recipe_is_in_the_wheel__the_wheel_tells_them(trying: Trying) -> None:
    names = ("demo", "demo._x")
    absent = [("WH402", f"`import {n}` fails: ModuleNotFoundError: No module named '{n}'", None) for n in names]
    with zipfile.ZipFile(trying.path.with_name("demo-1.2-cp311-cp311-linux_x86_64.whl"), "w") as wheel:
        for name in ("eggs/_fried.cpython-311.so", "demo.libs/libx.so", "eggs/__init__.py"):
            wheel.writestr(name, "")

    solution = trying.solve(refused(*absent), a_record(), a_record())

    assert (solution.reason, len(solution.rounds)) == ("", 3)
    assert trying.recipe.package.import_names == ("eggs",)
    assert trying.recipe.test.imports == ("eggs._fried",)


@pytest.mark.parametrize(("folder", "exclude"), [("/sasl2", ("libplain.so.*",)), ("", ())])
def test_solve__library_opened_at_run_time__is_left_to_the_machine_if_it_is_a_plugin(
    trying: Trying, folder: str, exclude: tuple[str, ...]
) -> None:
    path = f"/usr/lib/x86_64-linux-gnu{folder}/libplain.so.2.0.25"
    message = f"libplain.so.2 of this machine ({path}) is opened at run time: users need not have it"

    trying.solve(refused(("WH407", message, None)), a_record())

    assert trying.recipe.repair.exclude == exclude


NO_WHEEL = Cause(
    kind="requirements",
    message="no wheels for the build requirements on cp311: Because lib-foo>=1 has no usable wheels and you require"
    " lib-foo>=1. hint: Wheels are required for `lib-foo` because building from source is disabled for all packages",
)


def test_solve__requirement_without_wheel_or_recipe__a_recipe_of_it_is_asked_for(trying: Trying) -> None:
    asked: list[str] = []

    def supply(name: NormalizedName) -> None:
        asked.append(name)
        trying.registry.append(name)

    solution = trying.solve(a_record(NO_WHEEL), a_record(), supply=supply)

    assert (asked, solution.reason) == (["lib-foo"], "")
    assert trying.recipe.depends.build == ("lib-foo",)


def test_solve__requirement_that_cannot_be_supplied__is_asked_for_once_and_told(trying: Trying) -> None:
    asked: list[str] = []

    solution = trying.solve(a_record(NO_WHEEL), supply=asked.append)

    assert asked == ["lib-foo"]
    assert "lib-foo>=1 has no usable wheels" in solution.reason
