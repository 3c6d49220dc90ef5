"""`wheelhouse verify` on what `build` made, `publish` sent and `serve` serves: real builds of a tiny project."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import tiny
from index_server import index_server
from small_wheels import SmallWheel
from wheelhouse.cli import run
from wheelhouse.provenance import read_statement
from wheelhouse.results import provenance_beside
from wheelhouse.sbom import PATH
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a registry whose one project is built."""
    registry = tiny.write_registry(tmp_path_factory.mktemp("registry"), tiny.Tiny(name="ant"))
    assert run(["--registry", str(registry), "build", "ant", "--python", tiny.HERE, "--builder", "host"]) == 0
    return registry


@pytest.fixture
def registry(built: Path, tmp_path: Path) -> Path:
    """Give a copy of it, to be changed."""
    copy: Path = shutil.copytree(built, tmp_path / "registry", symlinks=True)
    return copy


def wheel_of(registry: Path) -> Path:
    (wheel,) = (registry / "dist").glob("*.whl")
    return wheel


def verify(registry: Path, *words: str | Path) -> int:
    return run(["--registry", str(registry), "verify", "--json", *map(str, words)])


def codes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    (wheel,) = json.loads(capsys.readouterr().out)
    return [finding["code"] for finding in wheel["findings"]]


@pytest.mark.slow
@pytest.mark.network
def test_build__puts_a_valid_bill_of_materials_into_the_wheel(registry: Path) -> None:
    wheel = wheel_of(registry)

    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"ant-1.0.dist-info/{PATH}").decode()

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert json.loads(text)["metadata"]["timestamp"].startswith("2023-11-14")
    assert sorted(path.name for path in (registry / "dist").iterdir()) == [".provenance", wheel.name]
    statement = read_statement(provenance_beside(wheel).read_bytes())
    assert statement.is_of(wheel.name, sha256_of(wheel))
    assert len(statement.digests("build-requirement")) == 1


@pytest.mark.slow
@pytest.mark.network
def test_verify__as_built__is_what_is_told_of_it(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(registry, registry / "dist") == 0

    assert codes(capsys) == ["WH623", "WH614", "WH631"]


@pytest.mark.slow
@pytest.mark.network
def test_verify__rebuild__gives_the_same_bytes_without_what_was_kept(
    registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(registry / ".wheelhouse")

    assert verify(registry, wheel_of(registry), "--rebuild") == 0

    assert codes(capsys)[-1] == "WH643"
    assert not list((registry / ".wheelhouse").glob("results/*")), "nothing of a rebuild is kept"


@pytest.mark.slow
@pytest.mark.network
def test_verify__rebuild_by_another_recipe__names_the_input(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = registry / "recipes" / "ant" / "recipe.toml"
    recipe.write_text(f'{recipe.read_text()}\n[build]\nenvironment = {{ ANSWER = "43" }}\n')

    assert verify(registry, wheel_of(registry), "--rebuild") == 31

    (wheel,) = json.loads(capsys.readouterr().out)
    (last,) = wheel["findings"][-1:]
    assert last["code"] == "WH641"
    assert "recipe.build.environment: (none) -> " in last["message"]


@pytest.mark.slow
@pytest.mark.network
def test_verify__rebuild_of_what_has_no_recipe__says_so(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(registry / "recipes" / "ant")

    assert verify(registry, wheel_of(registry), "--rebuild") == 31

    assert codes(capsys)[-1] == "WH642"


@pytest.mark.slow
@pytest.mark.network
def test_verify__provenance_changed__is_an_error(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = provenance_beside(wheel_of(registry))
    told: Any = json.loads(place.read_bytes())
    told["predicate"]["buildDefinition"]["internalParameters"]["inputs"]["source.sha256"] = "0" * 64
    place.unlink()
    place.write_text(json.dumps(told))

    assert verify(registry, wheel_of(registry)) == 31

    assert codes(capsys) == ["WH623", "WH613", "WH613", "WH631"]


@pytest.mark.slow
@pytest.mark.network
def test_verify__on_the_index__has_to_be_these_bytes(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = wheel_of(registry)
    with index_server(registry, "--allow-anonymous-upload") as server:
        assert run(["--registry", str(registry), "publish", str(wheel), "--index-url", f"{server.url}/legacy/"]) == 0
        capsys.readouterr()
        assert verify(registry, wheel, "--index-url", f"{server.url}/simple/") == 0
        assert codes(capsys)[0] == "WH603"

        (registry / "dist" / "other").mkdir()
        other = SmallWheel(name="ant").write(registry / "dist" / "other")
        changed = other.rename(other.with_name(wheel.name))
        assert verify(registry, changed, "--index-url", f"{server.url}/simple/") == 31
        assert codes(capsys)[0] == "WH602"

        unknown = SmallWheel(name="ant", version="2.0").write(registry / "dist" / "other")
        assert verify(registry, unknown, "--index-url", f"{server.url}/simple/") == 31
        assert codes(capsys)[0] == "WH601"

        assert verify(registry, wheel, "--index-url", f"{server.url}/nothing/") == 2


def test_verify__of_what_is_no_wheel__is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "spam-1.0-py3-none-any.whl"
    path.write_bytes(b"nothing")

    assert run(["verify", str(path)]) == 10
    assert run(["verify", "--identity", "nobody", str(path)]) == 2


def test_verify__strict__counts_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = SmallWheel().write(tmp_path)

    assert run(["verify", str(wheel)]) == 0
    assert "WH611 warning: nothing tells where it comes from" in capsys.readouterr().out
    assert run(["verify", "--strict", str(wheel)]) == 31
    assert run(["verify", "--identity", "github:acme/wheels", str(wheel)]) == 31


def test_verify__help__has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--help"]) == 0
    assert "--identity github:acme/wheels/release.yml" in capsys.readouterr().out
