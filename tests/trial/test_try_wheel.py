from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from small_wheels import SmallWheel
from trial_setting import TAG, TARGET, Setting
from wheelhouse.errors import CanceledError, InvalidWheelError, MachineError
from wheelhouse.finding import Severity
from wheelhouse.target import BuildIdentifier
from wheelhouse.trial import Container, Host, NotExecuted, choose
from wheelhouse.trial.choose import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wheelhouse.builders.engine import Engine
    from wheelhouse.trial import TrialResult

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its targets are Linux's")

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="makes shared libraries with cc")


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(work=tmp_path / "work")


def a_wheel(folder: Path, code: str, **files: str) -> Path:
    return SmallWheel(tag=TAG, files={"spam/__init__.py": code, **files}).write(folder)


def only(result: TrialResult) -> tuple[str, str]:
    (finding,) = result.findings
    return finding.code, finding.message


def test_try_wheel__a_good_wheel_has_no_findings(tmp_path: Path, setting: Setting) -> None:
    result = setting.try_it(
        a_wheel(tmp_path, "ANSWER = 42"), command="python -c 'import spam; assert spam.ANSWER == 42'"
    )

    assert result.findings == ()
    assert result.executed
    assert sys.version.split()[0] in result.environment


def test_try_wheel__failed_import(tmp_path: Path, setting: Setting) -> None:
    result = setting.try_it(a_wheel(tmp_path, "1 / 0"), command="echo never reached")

    assert only(result) == ("WH402", "`import spam` fails: ZeroDivisionError: division by zero")
    assert result.executed
    assert "Traceback" in setting.log.read_text()
    assert "\nnever reached" not in setting.log.read_text()


def test_try_wheel__import_that_exits_is_a_failed_import(tmp_path: Path, setting: Setting) -> None:
    assert only(setting.try_it(a_wheel(tmp_path, "raise SystemExit(0)")))[0] == "WH402"


def test_try_wheel__every_failed_import_is_told(tmp_path: Path, setting: Setting) -> None:
    result = setting.try_it(a_wheel(tmp_path, ""), imports=("spam.one", "spam", "spam.two"))

    assert [finding.message for finding in result.findings] == [
        "`import spam.one` fails: ModuleNotFoundError: No module named 'spam.one'",
        "`import spam.two` fails: ModuleNotFoundError: No module named 'spam.two'",
    ]


def test_try_wheel__module_from_elsewhere(tmp_path: Path, setting: Setting) -> None:
    code, message = only(setting.try_it(a_wheel(tmp_path, ""), imports=("json",)))

    assert code == "WH403"
    assert "json/__init__.py" in message


def test_try_wheel__built_in_module(tmp_path: Path, setting: Setting) -> None:
    code, message = only(setting.try_it(a_wheel(tmp_path, ""), imports=("sys",)))

    assert (code, message) == ("WH403", "`import sys` does not find the wheel's module but the interpreter itself")


def test_try_wheel__namespace_package_counts_as_the_wheels_own(tmp_path: Path, setting: Setting) -> None:
    wheel = SmallWheel(tag=TAG, files={"space/spam.py": ""}).write(tmp_path)

    assert setting.try_it(wheel, imports=("space", "space.spam")).findings == ()


def test_try_wheel__crash_names_module_and_signal(tmp_path: Path, setting: Setting) -> None:
    wheel = a_wheel(tmp_path, "import ctypes; ctypes.string_at(0)")

    assert only(setting.try_it(wheel)) == ("WH405", "`import spam` was ended by SIGSEGV")
    assert "Segmentation fault" in setting.log.read_text()


def test_try_wheel__import_that_ends_the_process(tmp_path: Path, setting: Setting) -> None:
    wheel = a_wheel(tmp_path, "import os; os._exit(0)")

    assert only(setting.try_it(wheel)) == ("WH405", "`import spam` ended the interpreter with status 0")


def test_try_wheel__crash_at_exit(tmp_path: Path, setting: Setting) -> None:
    wheel = a_wheel(tmp_path, "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGABRT)")

    assert only(setting.try_it(wheel)) == ("WH405", "Python, at its exit, was ended by SIGABRT")


def test_try_wheel__failed_command_tells_its_last_line(tmp_path: Path, setting: Setting) -> None:
    result = setting.try_it(a_wheel(tmp_path, ""), command="echo first; echo 'it is broken' >&2; exit 3")

    assert only(result) == (
        "WH404",
        "the test command (`echo first; echo 'it is broken' >&2; exit 3`) ended with status 3: it is broken",
    )


def test_try_wheel__crash_of_the_command(tmp_path: Path, setting: Setting) -> None:
    result = setting.try_it(a_wheel(tmp_path, ""), command="python -c 'import ctypes; ctypes.string_at(0)'")

    code, message = only(result)
    assert code == "WH405"
    assert message.endswith("was ended by SIGSEGV")


def test_try_wheel__command_without_imports(tmp_path: Path, setting: Setting) -> None:
    wheel = a_wheel(tmp_path, "1 / 0")

    assert setting.try_it(wheel, imports=(), command="true").findings == ()
    assert only(setting.try_it(wheel, imports=(), command="false"))[0] == "WH404"


@pytest.mark.parametrize(("code", "command"), [("import time; time.sleep(60)", None), ("", "sleep 60")])
def test_try_wheel__timeout(tmp_path: Path, setting: Setting, code: str, command: str | None) -> None:
    result = replace(setting, timeout=2.0).try_it(a_wheel(tmp_path, code), command=command)

    kind, message = only(result)
    assert kind == "WH406"
    assert ("sleep 60" if command else "`import spam`") in message


def test_try_wheel__canceled_run_starts_nothing(tmp_path: Path, setting: Setting) -> None:
    setting.processes.cancel()

    with pytest.raises(CanceledError):
        setting.try_it(a_wheel(tmp_path, ""))


def test_try_wheel__environment_is_clean(tmp_path: Path, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "intruder.py").write_text("")
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "CC", "TOKEN"):
        monkeypatch.setenv(name, str(outside))
    command = """
    test -z "$(ls -A)" || exit 1
    test -z "${CC-}${TOKEN-}${LD_LIBRARY_PATH-}${PYTHONPATH-}" || exit 2
    python -c 'import intruder' 2>/dev/null && exit 3
    python -c 'import pytest' 2>/dev/null && exit 4
    python -c 'import probe' 2>/dev/null && exit 5
    test "$(python -c 'import spam, sys; print(spam.__file__.startswith(sys.prefix))')" = True || exit 6
    """

    assert setting.try_it(a_wheel(tmp_path, ""), command=command).findings == ()


def test_try_wheel__own_scripts_are_on_path_and_use_the_same_python(tmp_path: Path, setting: Setting) -> None:
    entry_points = "[console_scripts]\nspam = spam:main\n"
    files = {
        "spam/__init__.py": "import sys\ndef main(): print('prefix', sys.prefix)\n",
        "spam-1.0.dist-info/entry_points.txt": entry_points,
        "spam-1.0.data/scripts/spam-tool": "#!python\nimport spam; spam.main()\n",
    }
    wheel = SmallWheel(tag=TAG, files=files).write(tmp_path)

    result = setting.try_it(wheel, command="spam && spam-tool")

    assert result.findings == ()
    prefix = (setting.work / "trial/env").resolve()
    assert setting.log.read_text().count(f"prefix {prefix}\n") == 2


def test_try_wheel__pth_files_are_honoured(tmp_path: Path, setting: Setting) -> None:
    wheel = SmallWheel(tag=TAG, files={"spam.pth": "hidden", "hidden/spam.py": ""}).write(tmp_path)

    assert setting.try_it(wheel).findings == ()


def test_try_wheel__output_that_looks_like_ours_is_output(tmp_path: Path, setting: Setting) -> None:
    result = setting.try_it(a_wheel(tmp_path, "print('wheelhouse-trial: {', flush=True)"))

    assert result.findings == ()
    assert "wheelhouse-trial: {\n" in setting.log.read_text()


@pytest.mark.parametrize(
    "tag", ["cp27-cp27m-linux_x86_64", "py3-none-manylinux_2_17_s390x", "py3-none-musllinux_1_2_x86_64"]
)
def test_try_wheel__lying_tags_are_refused(tmp_path: Path, setting: Setting, tag: str) -> None:
    result = setting.try_it(SmallWheel(tag=tag).write(tmp_path))

    code, message = only(result)
    assert code == "WH401"
    assert tag in message
    assert not result.executed


def test_try_wheel__wheel_that_an_installer_refuses(tmp_path: Path, setting: Setting) -> None:
    wheel = SmallWheel(tag=TAG, files={"spam.py": ""}).write(tmp_path)
    lying = wheel.rename(wheel.with_name(wheel.name.replace("spam", "eggs")))

    assert only(setting.try_it(lying))[0] == "WH401"


def test_try_wheel__no_metadata_is_no_wheel(tmp_path: Path, setting: Setting) -> None:
    path = tmp_path / SmallWheel(tag=TAG).filename
    path.write_bytes(b"no zip")

    with pytest.raises(InvalidWheelError):
        setting.try_it(path)


def test_try_wheel__dependency_from_our_own_wheels(tmp_path: Path, setting: Setting) -> None:
    own, index = tmp_path / "own", tmp_path / "index"
    index.mkdir()
    SmallWheel(name="eggs", files={"eggs.py": ""}).write(own)
    SmallWheel(name="ham", files={"ham.py": ""}).write(own)
    metadata = (
        "Requires-Dist: eggs>=1\nRequires-Dist: bacon; extra == 'meat'\nRequires-Dist: sausage; os_name == 'nt'\n"
    )
    wheel = SmallWheel(tag=TAG, files={"spam.py": "import eggs"}, metadata=metadata).write(tmp_path)

    offered = replace(setting, own_wheels=(own,), index=index.as_uri())

    assert offered.try_it(wheel, requires=("ham",), command="python -c 'import ham'").findings == ()


def test_try_wheel__missing_dependency(tmp_path: Path, setting: Setting) -> None:
    (tmp_path / "index").mkdir()
    wheel = SmallWheel(tag=TAG, metadata="Requires-Dist: eggs>=1\n").write(tmp_path)

    result = replace(setting, index=(tmp_path / "index").as_uri()).try_it(wheel)

    code, message = only(result)
    assert code == "WH409"
    assert "eggs>=1" in message


def test_try_wheel__foreign_target_is_installed_and_noted(tmp_path: Path, setting: Setting) -> None:
    wheel = SmallWheel(tag="cp313-cp313-manylinux_2_17_aarch64").write(tmp_path)
    foreign = replace(setting, target="cp313-manylinux_aarch64", interpreter=NotExecuted(reason="no such machine"))

    result = foreign.try_it(wheel)

    (finding,) = result.findings
    assert (finding.code, finding.severity) == ("WH408", Severity.NOTE)
    assert "no such machine" in finding.message
    assert (result.executed, result.environment) == (False, "")
    assert list((setting.work / "trial").rglob("spam/__init__.py"))


@pytest.mark.parametrize("target", ["cp314t-manylinux_x86_64", "pp311-manylinux_aarch64", "cp312-manylinux_s390x"])
def test_try_wheel__target_that_uv_has_no_name_for(tmp_path: Path, setting: Setting, target: str) -> None:
    foreign = replace(setting, target=target, interpreter=NotExecuted(reason="no such machine"))

    result = foreign.try_it(SmallWheel().write(tmp_path / "plain"))
    needy = foreign.try_it(SmallWheel(metadata="Requires-Dist: eggs\n").write(tmp_path / "needy"))

    assert only(result)[0] == "WH408"
    assert list((setting.work / "trial").rglob("site-packages"))
    assert only(needy)[0] == "WH408"
    assert "resolve eggs" in only(needy)[1]


def test_try_wheel__python_that_does_not_start_is_the_machines_fault(tmp_path: Path, setting: Setting) -> None:
    executable = tmp_path / "python3"
    executable.write_text("#!/bin/sh\necho 'bad interpreter' >&2; exit 127\n")
    executable.chmod(0o755)
    foreign = replace(setting, target="cp314t-manylinux_x86_64", interpreter=Broken(executable=executable, version="0"))

    with pytest.raises(MachineError, match="does not start") as caught:
        foreign.try_it(SmallWheel().write(tmp_path / "plain"))
    assert "bad interpreter" in (caught.value.hint or "")


class Broken(Host):
    """A Python that an installer cannot ask."""

    @property
    def installs_for(self) -> None:
        return None


def library(path: Path, source: str, *options: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    code = path.with_suffix(".c")
    code.write_text(source)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, code, f"-Wl,-soname,{path.name}", *options], check=True)
    return path


def leaning_wheel(tmp_path: Path, *, linked: bool) -> Path:
    leaked = library(tmp_path / "outside/libleak.so.1", "int leak(void) { return 1; }")
    options = ["-Wl,--no-as-needed", str(leaked), f"-Wl,-rpath,{leaked.parent}"] if linked else []
    inner = library(tmp_path / "inside/inner.so", "int inner(void) { return 1; }", *options)
    opened = "pathlib.Path(__file__).with_name('inner.so')" if linked else repr(str(leaked))
    code = f"import ctypes, pathlib; ctypes.CDLL(str({opened}))"
    files: dict[str, str | bytes] = {"spam/__init__.py": code, "spam/inner.so": inner.read_bytes()}
    return SmallWheel(tag=TAG, files=files).write(tmp_path)


@needs_compiler
def test_try_wheel__library_of_the_machine_that_is_linked(tmp_path: Path, setting: Setting) -> None:
    result = setting.try_it(leaning_wheel(tmp_path, linked=True))

    (finding,) = result.findings
    assert (finding.code, finding.where) == ("WH407", "spam/inner.so")
    assert f"libleak.so.1 of this machine ({tmp_path}/outside/libleak.so.1) is linked with" in finding.message


@needs_compiler
def test_try_wheel__library_of_the_machine_that_is_opened(tmp_path: Path, setting: Setting) -> None:
    result = setting.try_it(leaning_wheel(tmp_path, linked=False), command="true")

    assert [finding.code for finding in result.findings] == ["WH407"]
    assert "opened at run time" in result.findings[0].message


@needs_compiler
def test_try_wheel__library_that_the_recipe_leaves_to_the_machine(tmp_path: Path, setting: Setting) -> None:
    result = replace(setting, machine_libraries=("libleak.so.*",)).try_it(leaning_wheel(tmp_path, linked=True))

    assert result.findings == ()


@needs_compiler
def test_try_wheel__extension_that_no_import_loads(tmp_path: Path, setting: Setting) -> None:
    inner = library(tmp_path / "inside/_inner.so", "int inner(void) { return 1; }")
    files: dict[str, str | bytes] = {"spam/__init__.py": "", "spam/_inner.so": inner.read_bytes()}
    wheel = SmallWheel(tag=TAG, files=files).write(tmp_path)

    result = setting.try_it(wheel)

    (finding,) = result.findings
    assert (finding.code, finding.severity, finding.where) == ("WH410", Severity.WARNING, "spam/_inner.so")
    assert '"spam._inner"' in (finding.hint or "")
    assert setting.try_it(wheel, command="true").findings == ()


@needs_compiler
def test_try_wheel__extension_of_a_dependency__does_not_stand_for_the_wheels_own(
    tmp_path: Path, setting: Setting
) -> None:
    inner = library(tmp_path / "inside/_inner.so", "int inner(void) { return 1; }").read_bytes()
    load = "import ctypes, pathlib\nctypes.CDLL(str(pathlib.Path(__file__).with_name('_a.so')))\n"
    files: dict[str, str | bytes] = {"ham/__init__.py": load, "ham/_a.so": inner}
    own, index = tmp_path / "own", tmp_path / "index"
    index.mkdir()
    SmallWheel(name="ham", tag=TAG, files=files).write(own)
    files = {"spam/__init__.py": "import ham", "spam/_inner.so": inner}
    wheel = SmallWheel(tag=TAG, files=files, metadata="Requires-Dist: ham\n").write(tmp_path)

    (finding,) = replace(setting, own_wheels=(own,), index=index.as_uri()).try_it(wheel).findings
    assert (finding.code, finding.where) == ("WH410", "spam/_inner.so")


def test_try_wheel__standard_librarys_own_libraries_are_no_leak(tmp_path: Path, setting: Setting) -> None:
    assert setting.try_it(a_wheel(tmp_path, "import ssl, sqlite3, lzma, bz2, decimal, ctypes")).findings == ()


@pytest.mark.container
def test_try_wheel__in_a_minimal_container(
    tmp_path: Path, setting: Setting, engine: Engine, image_of: Callable[[str], str]
) -> None:
    target = BuildIdentifier.parse("cp39-manylinux_x86_64")
    wheel = SmallWheel(tag="cp39-cp39-manylinux_2_17_x86_64").write(tmp_path)
    surroundings = Surroundings(
        pythons=tuple,
        engine=engine,
        images={"manylinux_x86_64": image_of("bullseye-minimal-x86_64")},
        environment=os.environ,
        processes=setting.processes,
    )

    interpreter = choose(target, wheel, surroundings)
    inside = replace(setting, target=str(target), interpreter=interpreter)
    good = inside.try_it(
        wheel, command="grep -q bullseye /etc/os-release && ! command -v gcc && python -c 'import spam'"
    )
    bad = inside.try_it(wheel, command="python -c 'import os; os.abort()'")
    slow = replace(inside, timeout=4.0).try_it(wheel, command="sleep 60")

    assert isinstance(interpreter, Container)
    assert good.findings == ()
    assert good.environment.startswith("container ")
    assert "was ended by SIGABRT" in only(bad)[1]
    assert only(slow)[0] == "WH406"


def test_target__is_this_machines() -> None:
    assert str(BuildIdentifier.parse(TARGET)) == TARGET
