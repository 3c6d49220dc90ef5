from __future__ import annotations

import dataclasses
import shlex
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from cibuildwheel.environment import parse_environment
from cibuildwheel.oci_container import OCIContainerEngineConfig
from cibuildwheel.options import ShlexTableFormat
from hypothesis import given
from hypothesis import strategies as st

from fakes import a_job
from wheelhouse.builders.cibuildwheel_config import (
    INSTALLED,
    ContainerPlan,
    container_config,
    native_config,
    repair_command,
    requirements_list,
    to_toml,
    wants_network,
)
from wheelhouse.cibuildwheel_options import option_problems
from wheelhouse.job import RepairSpec
from wheelhouse.requirements import Lock, Pin, Requirements

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.job import Job

PLAN = ContainerPlan(
    engine="podman",
    create_args=("--network=none", "--volume=/a folder:/in:ro,z", "--label=x=y"),
    image_option="manylinux-x86_64-image",
    image="localhost/x:1",
    front_end="uv",
    installed=True,
    epoch=1_700_000_000,
)
TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=30)


def options(job: Job, **changes: Any) -> dict[str, Any]:
    text = container_config(job, dataclasses.replace(PLAN, **changes))
    table: dict[str, Any] = tomllib.loads(text)["tool"]["cibuildwheel"]
    return table


def environment(job: Job) -> dict[str, str]:
    """Let cibuildwheel itself read the variables."""
    return parse_environment(options(job)["environment"]).as_dictionary({"HOME": "/root", "PATH": "/usr/bin"})


def test_container_config__nothing_of_the_container_is_the_hosts() -> None:
    engine = options(a_job())["container-engine"]

    read = OCIContainerEngineConfig.from_config_string(
        "podman; "
        + ShlexTableFormat(sep="; ", pair_sep=":").format_table({k: v for k, v in engine.items() if k != "name"})
    )

    assert read.disable_host_mount
    assert read.create_args == PLAN.create_args


@given(value=TEXT)
def test_container_config__variables_arrive_as_written(value: str) -> None:
    job = dataclasses.replace(a_job(), environment={"WORD": value, "LAST": "1"})

    read = environment(job)

    assert (read["WORD"], read["LAST"]) == (value, "1")


def test_container_config__recipe_wins_over_our_variables() -> None:
    read = environment(dataclasses.replace(a_job(), environment={"TZ": "CET"}))

    assert (read["TZ"], read["SOURCE_DATE_EPOCH"], read["UV_OFFLINE"]) == ("CET", "1700000000", "1")


@pytest.mark.parametrize("verbatim", ['CFLAGS="-O1 $HOME"', {"CFLAGS": "-O1 $HOME"}])
def test_container_config__verbatim_environment_is_expanded(verbatim: object) -> None:
    read = environment(dataclasses.replace(a_job(), cibuildwheel={"environment": verbatim}))

    assert read["CFLAGS"] == "-O1 /root"


def test_container_config__no_build_id_and_the_recipes_linker_flags_stay() -> None:
    assert environment(a_job())["LDFLAGS"].split() == ["-Wl,--build-id=none"]
    for job in (
        dataclasses.replace(a_job(), environment={"LDFLAGS": "-L/opt/lib"}),
        dataclasses.replace(a_job(), cibuildwheel={"environment": {"LDFLAGS": "-L/opt/lib"}}),
    ):
        assert environment(job)["LDFLAGS"].split() == ["-Wl,--build-id=none", "-L/opt/lib"]


def test_container_config__platform_table_wins_over_the_general_one() -> None:
    verbatim = {"before-all": "general", "linux": {"before-all": "linux"}, "macos": {"before-all": "macos"}}

    read = options(dataclasses.replace(a_job(), cibuildwheel=verbatim))

    assert read["before-all"] == "linux"
    assert not {"linux", "macos"} & read.keys()


def test_container_config__requirements_come_before_what_the_image_has() -> None:
    read = environment(dataclasses.replace(a_job(), environment={"PYTHONPATH": "/elsewhere"}))

    assert (read["PYTHONPATH"], read["PATH"]) == (INSTALLED, f"{INSTALLED}/bin:/usr/bin")
    assert "PYTHONPATH" not in str(options(a_job(), installed=False)["environment"])


def test_container_config__recipes_hooks_are_its_own() -> None:
    assert options(dataclasses.replace(a_job(), cibuildwheel={"before-build": "make"}))["before-build"] == "make"
    assert "before-build" not in options(a_job())


def test_container_config__without_uv_in_the_image() -> None:
    assert options(a_job(), front_end="build")["build-frontend"] == {"name": "build", "args": ["--no-isolation"]}


def test_container_config__settings_of_the_back_end() -> None:
    job = dataclasses.replace(a_job(), config_settings={"setup-args": ("-Da=b c", "-Dx"), "one": "it's"})

    assert shlex.split(options(job)["config-settings"]) == ["setup-args=-Da=b c", "setup-args=-Dx", "one=it's"]


@pytest.mark.parametrize(
    ("name", "expected"), [("before-all", True), ("before-build", True), ("build-verbosity", False)]
)
def test_wants_network__for_hooks_only(name: str, expected: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert wants_network(dataclasses.replace(a_job(), cibuildwheel={name: "1"})) is expected


def test_repair_command__excluded_and_unstripped() -> None:
    job = dataclasses.replace(a_job(), repair=RepairSpec(exclude=("libcuda.so.1", "lib x"), strip=False))

    assert repair_command(job) == (
        "env -u PYTHONPATH PYTHONDONTWRITEBYTECODE=1 auditwheel repair --plat auto"
        " --exclude libcuda.so.1 --exclude 'lib x' -w {dest_dir} {wheel}"
    )


def test_requirements_list__pinned_by_hash(tmp_path: Path) -> None:
    pin = Pin(name="setuptools", version="80.9.0", filename="x.whl", sha256="ab", url="file:///x.whl")

    listed = requirements_list(Requirements(lock=Lock(pins=(pin,)), folder=tmp_path))

    assert listed == "setuptools==80.9.0 --hash=sha256:ab\n"


def test_native_config__tests_and_audits_are_ours() -> None:
    text = native_config(a_job(), platform="macos", epoch=1, folder="/wheels")
    read = tomllib.loads(text)["tool"]["cibuildwheel"]

    assert (read["test-command"], read["audit-command"], read["build-frontend"]) == ("", "", "build[uv]")
    assert not any(key.startswith("container") for key in read)
    assert not [key for key in read if "UV_OFFLINE" in str(read[key])]


@given(table=st.dictionaries(TEXT, TEXT | st.integers(-9, 9) | st.booleans() | st.lists(TEXT, max_size=2), max_size=3))
def test_to_toml__reads_back(table: dict[str, object]) -> None:
    assert tomllib.loads(to_toml(table))["tool"]["cibuildwheel"] == table


def test_container_config__is_what_cibuildwheels_schema_allows() -> None:
    job = dataclasses.replace(a_job(), config_settings={"a": "b"}, cibuildwheel={"before-all": "true"})

    problems = [text for _, text in option_problems(options(job)) if "wheelhouse" not in text and "use `" not in text]

    assert problems == []
