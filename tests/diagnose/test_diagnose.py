from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import a_job
from wheelhouse.diagnose import diagnose
from wheelhouse.diagnose.logtext import BOUND, read_log
from wheelhouse.diagnose.lookup import FAMILIES, KnownPackages
from wheelhouse.diagnose.rules import all_rules, find_clue
from wheelhouse.errors import (
    BuildError,
    BuildTimeoutError,
    CanceledError,
    CheckError,
    MachineError,
    RequirementsError,
    SourceError,
    WheelhouseError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.diagnose.clue import Missing
    from wheelhouse.diagnose.lookup import ImageFamily
    from wheelhouse.record import Cause

HERE = Path(__file__).parent
LOGS = HERE / "logs"
EXPECTED: dict[str, dict[str, str]] = tomllib.loads((LOGS / "expected.toml").read_text("utf-8"))
LINES: dict[str, list[dict[str, str]]] = tomllib.loads((HERE / "lines.toml").read_text("utf-8"))
LDAP = "Modules/common.c:1:10: fatal error: lber.h: No such file or directory"


@dataclass
class FakeLookup:
    """Knows one package of each family, and remembers what it was asked."""

    family: ImageFamily | None = None
    asked: list[Missing] = field(default_factory=list)

    def packages(self, missing: Missing) -> Mapping[ImageFamily, str]:
        self.asked.append(missing)
        return {family: f"{missing.name}-of-{family}" for family in FAMILIES}


def cause_of(log: str, *, target: str = "cp311-manylinux_x86_64", **changes: Any) -> Cause:
    arguments = {"error": None, "lookup": KnownPackages(family="debian"), **changes}
    return diagnose(log, job=a_job(target=target), **arguments)


def test_logs__each_has_its_expectation() -> None:
    assert {path.stem for path in LOGS.glob("*.txt")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_diagnose__what_a_tool_really_said(name: str) -> None:
    expected = EXPECTED[name]
    log = (LOGS / f"{name}.txt").read_text("utf-8")

    cause = cause_of(log, target=expected.get("target", "cp311-manylinux_x86_64"))

    assert cause.kind == expected["kind"]
    assert expected["evidence"] in (cause.evidence or "")
    assert cause.mend[:1] == ((expected["mend"],) if "mend" in expected else ())
    assert "{" not in "".join([cause.message, *cause.mend])


@pytest.mark.parametrize(("kind", "entry"), [(kind, entry) for kind, entries in LINES.items() for entry in entries])
def test_diagnose__lines_of_tools(kind: str, entry: dict[str, str]) -> None:
    clue = find_clue(f"compiling\n{entry['line']}\nerror: something failed with exit code 1\n")

    assert clue is not None
    assert clue.rule.kind == kind
    assert clue.line == entry["line"].strip()
    if "name" in entry:
        assert clue.groups["name"] == entry["name"]


def test_rules__every_kind_is_shown_by_a_test() -> None:
    shown = {entry["kind"] for entry in EXPECTED.values()} | set(LINES) | set(_KINDS_OF_OTHER_TESTS)

    assert {rule.kind for rule in all_rules()} == shown


_KINDS_OF_OTHER_TESTS = (
    "compile-error",
    "import-failed",
    "python-c-api",
    "pure-wheel",
    "read-only",
    "missing-module-headers",
)


@pytest.mark.parametrize(
    ("line", "kind", "part"),
    [
        ("spam.c:1:2: error: expected ';' before 'x'", "compile-error", "spam.c:1:2 does not compile"),
        ("x.c:1:2: error: unknown type name 'PyNeverHeardOf'", "python-c-api", "`PyNeverHeardOf`"),
        (
            "auditwheel: error: Invalid binary wheel: no ELF executable or shared library file found",
            "pure-wheel",
            "tags",
        ),
        ("OSError: [Errno 30] Read-only file system: '/usr/share/x'", "read-only", "/usr/share/x"),
        (
            "x.cpp:1:10: fatal error: pybind11/pybind11.h: No such file or directory",
            "missing-module-headers",
            "pybind11",
        ),
        ("=== test\nImportError: libfoo.so.1: cannot open shared object file", "import-failed", "libfoo.so.1"),
    ],
)
def test_diagnose__rarer_kinds(line: str, kind: str, part: str) -> None:
    cause = cause_of(line)

    assert cause.kind == kind
    assert part in cause.message


def test_diagnose__names_the_package_of_each_family_and_the_jobs_own_first() -> None:
    debian = cause_of(LDAP)
    alpine = cause_of(LDAP, target="cp311-musllinux_x86_64")
    unknown = cause_of(LDAP, lookup=KnownPackages(family=None))
    container = cause_of(f"Starting container image host/pypa/manylinux_2_28_x86_64:2026\n{LDAP}")
    told = cause_of(
        f"=== image\nimage: host/x, Alma, packages by system-packages.manylinux\n=== build\nimage sha256:00\n{LDAP}"
    )

    assert debian.mend == (
        "system-packages.debian: libldap-dev",
        "system-packages.manylinux: openldap-devel",
        "system-packages.musllinux: openldap-dev",
    )
    assert sorted(debian.mend) == sorted(alpine.mend) == sorted(unknown.mend) == sorted(container.mend)
    assert alpine.mend[0] == "system-packages.musllinux: openldap-dev"
    assert unknown.mend[0] == container.mend[0] == told.mend[0] == "system-packages.manylinux: openldap-devel"


def test_diagnose__asks_the_lookup_only_for_what_a_package_provides() -> None:
    lookup = FakeLookup()

    cause_of("ModuleNotFoundError: No module named 'Cython'", lookup=lookup)
    assert lookup.asked == []

    cause_of(LDAP, lookup=lookup)
    assert [(missing.kind, missing.name) for missing in lookup.asked] == [("header", "lber.h")]


def test_diagnose__first_fatal_line_wins_over_its_consequences() -> None:
    log = f"{LDAP}\n/usr/bin/ld: cannot find -lssl\nerror: command 'gcc' failed: No such file or directory\n"

    assert cause_of(log).evidence == LDAP


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ("curl: (6) Could not resolve host: files.invalid", "no-network"),
        ("../numpy/meson.build:120:6: ERROR: Problem encountered: No BLAS library detected!", "configuration"),
    ],
)
def test_diagnose__what_was_looked_for_before__is_named_with_its_package(end: str, kind: str) -> None:
    before = "No package 'libnothere' found\nRun-time dependency openblas found: NO (tried pkg-config)\n"
    later = "\nNo package 'cairo' found\n"

    cause = cause_of(before + end + later)

    assert (cause.kind, cause.evidence) == (kind, end)
    assert "it did not find `openblas` here" in cause.message
    assert cause.mend[0] == "system-packages.debian: libopenblas-dev"


def test_diagnose__attempt_that_fails_is_not_the_cause() -> None:
    probes = (
        "Package libfoo was not found in the pkg-config search path.\n"
        "conftest.c:9:10: fatal error: sys/none.h: No such file or directory\n"
        "/tmp/tmp0abc_def/test.c:1:10: fatal error: other.h: No such file or directory\n"
        "-- Could NOT find OpenMP\n"
    )

    assert cause_of(probes + LDAP).evidence == LDAP
    assert cause_of(probes).kind == "missing-pkg-config-module"


def test_diagnose__machine_out_of_memory_explains_everything_before_it() -> None:
    assert cause_of(f"{LDAP}\ng++: fatal error: Killed signal terminated program cc1plus\n").kind == "out-of-memory"


def test_diagnose__only_the_stage_that_failed_is_read() -> None:
    log = f"=== build\n{LDAP}\n=== test\nModuleNotFoundError: No module named 'numpy'\n"

    assert cause_of(log).kind == "import-failed"


def test_diagnose__same_words_mean_another_thing_in_another_stage() -> None:
    line = "error: Could not resolve host: index.invalid"

    assert "index.url" in cause_of(f"=== requirements\n{line}").mend[0]
    assert "builds have no network" in cause_of(f"=== build\n{line}").message


def test_diagnose__colours_and_echoed_commands() -> None:
    log = (
        "$ sh -c 'fatal error: no.h: No such file or directory'\n"
        "\x1b[1mx.c:1:10: \x1b[31mfatal error: \x1b[mlber.h: No such file\x1b[0m\r\n"
    )

    assert cause_of(log).evidence == "x.c:1:10: fatal error: lber.h: No such file"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BuildTimeoutError("`make` did not end within 5 s and was stopped", hint="wait"), "timeout"),
        (CanceledError("stopped"), "canceled"),
        (CheckError("WH203"), "check"),
        (MachineError("no CPython 3.15 here"), "no-python"),
        (MachineError("no C compiler"), "missing-compiler"),
        (MachineError("No space left on device", where="disk"), "disk-full"),
        (MachineError("podman does not answer"), "no-engine"),
        (MachineError("something else"), "machine"),
        (SourceError("patch a.patch: hunk 2 does not apply"), "patch-failed"),
        (SourceError("expected sha256 aa, actual bb"), "hash-mismatch"),
        (SourceError("cannot connect to the index"), "no-network"),
        (SourceError("the archive is empty"), "source"),
        (RequirementsError("no wheel of Cython for cp315"), "requirements"),
    ],
)
def test_diagnose__error_that_is_certain(error: WheelhouseError, kind: str) -> None:
    cause = cause_of(LDAP, error=error)

    assert cause.kind == kind
    assert str(error) in cause.message
    if error.hint:
        assert error.hint in cause.mend


@pytest.mark.parametrize(
    ("message", "kind"),
    [("spam.whl has no extension module", "no-extension"), ("the build back end also needs numpy", "missing-module")],
)
def test_diagnose__build_error_with_a_log_that_says_nothing(message: str, kind: str) -> None:
    cause = cause_of("all is well", error=BuildError(message, hint="do this"))

    assert (cause.kind, cause.message, cause.mend) == (kind, message, ("do this",))


def test_diagnose__log_in_unknown_words() -> None:
    cause = cause_of("step 1\nFATAL error: the moon is full\nERROR Backend subprocess exited when trying\n")

    assert (cause.kind, cause.evidence) == ("unknown", "FATAL error: the moon is full")


@pytest.mark.parametrize("error", [None, BuildError("failed")])
def test_diagnose__empty_log(error: WheelhouseError | None) -> None:
    cause = cause_of("", error=error)

    assert cause.kind == "unknown"
    assert cause.message


@given(
    st.text()
    | st.lists(st.sampled_from([*LINES, LDAP, "error: {name} {0} \\", "=== build", "\x1b[", "\u2018\u2019"])).map(
        "\n".join
    )
)
def test_diagnose__takes_any_text(log: str) -> None:
    cause = diagnose(log, job=None, error=None, lookup=KnownPackages())

    assert cause.message


def test_diagnose__words_of_a_log_are_never_filled_in() -> None:
    cause = cause_of("x.c:1:1: error: {project} {version} {python}")

    assert "{project} {version} {python}" in cause.message


def test_read_log__huge_file_is_read_at_both_ends(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    with path.open("wb") as file:
        file.write(b"=== build\n")
        file.truncate(100_000_000)
        file.seek(100_000_000)
        file.write(f"\n{LDAP}\n".encode())

    log = read_log(path)

    assert len(log) < 3 * BOUND
    assert cause_of(log).evidence == LDAP


def test_read_log__no_file(tmp_path: Path) -> None:
    assert read_log(tmp_path / "none.txt") == ""


def test_diagnose__cause_at_the_start_of_a_long_text() -> None:
    assert cause_of(f"{LDAP}\n" + "warning: many words\n" * 200_000).evidence == LDAP
