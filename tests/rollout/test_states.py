"""States that cannot be had: each says why in its comment, and none leaves half of anything behind."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin

from masterless import Masterless
from served import EGGS, SPAM, Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("index"), [EGGS, SPAM]) as index:
        yield index


@pytest.fixture
def minion(tmp_path: Path) -> Masterless:
    return Masterless.make(tmp_path / "minion", PIP_RETRIES="0", PIP_TIMEOUT="5")


def with_token(index: Served) -> str:
    return f"{index.url}/simple/".replace("://", f"://__token__:{index.token}@")


def test_installed__what_cannot_be_had__is_false_with_its_cause(
    minion: Masterless, index: Served, tmp_path: Path
) -> None:
    app, bare = tmp_path / "app", tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", app], check=True)
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, bare], check=True)
    (minion.root / "states/needs.txt").write_text("acme-spam==1.0\nacme-eggs==1.0\n")
    url = with_token(index)
    cases: dict[str, tuple[dict[str, object], str]] = {
        "float": ({"name": "acme-spam", "version": 1.10}, "write the version in quotes"),
        "whole number": ({"name": "acme-spam", "version": 2}, "write the version in quotes"),
        "float in pkgs": ({"pkgs": [{"acme-spam": 1.10}]}, "the version of acme-spam is the float 1.1 here"),
        "two places": ({"version": "1.0", "pkgs": ["acme-spam"]}, "`version` goes with one project"),
        "option": ({"name": "--index-url=http://elsewhere.example/"}, "is no requirement"),
        "no version": ({"name": "acme-spam", "version": "9.9"}, "No matching distribution found for acme-spam==9.9"),
        "no version, uv": (
            {"name": "acme-spam", "version": "9.9", "target": str(bare), "installer": find_uv_bin()},
            "acme-spam==9.9",
        ),
        "no project": ({"name": "acme-nowhere"}, "`only_binary: false`"),
        "no environment": (
            {"name": "acme-spam", "target": str(tmp_path / "none")},
            "there is no Python environment at",
        ),
        "no token": ({"name": "acme-spam", "index": f"{index.url}/simple/"}, "acme-spam"),
        "no index": ({"name": "acme-spam", "index": "http://127.0.0.1:1/simple/"}, "acme-spam"),
        "no file": ({"requirements": "salt://nothing.txt"}, "the master has no salt://nothing.txt"),
        "no installer": ({"name": "acme-spam", "installer": "/nowhere/uv"}, "there is no /nowhere/uv on this minion"),
    }
    good = {
        "what the file says": {
            "wheelhouse.installed": [{"requirements": "salt://needs.txt"}, {"target": str(app)}, {"index": url}]
        }
    }
    states = {
        name: {
            "wheelhouse.installed": [{key: value} for key, value in {"target": str(app), "index": url, **given}.items()]
        }
        for name, (given, _) in cases.items()
    }

    said = minion.apply_text({**states, **good})

    for name, (_, cause) in cases.items():
        assert said[name].result is False, name
        assert cause in said[name].comment, (name, said[name].comment)
        assert "Traceback" not in said[name].comment
        assert index.token not in said[name].comment
        assert said[name].changes == {}
    assert said["what the file says"].result is True
    assert set(said["what the file says"].changes) == {"acme-eggs", "acme-spam"}


def test_environment__made_and_emptied__tells_what_it_does(minion: Masterless, index: Served, tmp_path: Path) -> None:
    target = tmp_path / "srv/app"
    states = {
        "made": {"wheelhouse.environment": [{"name": str(target)}, {"python": sys.executable}]},
        "spam": {
            "wheelhouse.installed": [{"name": "acme-spam"}, {"target": str(target)}, {"index": with_token(index)}]
        },
        "impossible": {"wheelhouse.environment": [{"name": str(tmp_path / "none")}, {"python": "/bin/false"}]},
    }
    predicted = minion.apply_text(states, test=True)
    assert predicted["made"].result is None
    assert predicted["spam"].changes == {"acme-spam": {"old": "", "new": "latest"}}
    assert not target.exists()

    done = minion.apply_text(states)
    assert done["made"].result is True
    assert set(done["spam"].changes) == {"acme-eggs", "acme-spam"}
    assert done["impossible"].result is False
    assert not (tmp_path / "none").exists()

    gone = {
        "made": states["made"],
        "spam": {"wheelhouse.removed": [{"name": "Acme_Spam"}, {"target": str(target)}]},
        "elsewhere": {"wheelhouse.removed": [{"name": "acme-spam"}, {"target": str(tmp_path / "none")}]},
    }
    removal = {"acme-spam": {"old": "1.0", "new": ""}}
    assert minion.apply_text(gone, test=True)["spam"].changes == removal
    done = minion.apply_text(gone)
    assert {name: each.changes for name, each in done.items()} == {"made": {}, "spam": removal, "elsewhere": {}}
    done = minion.apply_text(gone)
    assert {each.result for each in done.values()} == {True}
    assert not any(each.changes for each in done.values())


def test_installed__for_a_user__is_the_users(minion: Masterless, index: Served) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can run commands as somebody else")
    with tempfile.TemporaryDirectory() as made:  # pytest's own folders are nobody else's to enter
        home = Path(made)
        home.chmod(0o755)
        shutil.chown(home, "nobody")
        (minion.root / "states/needs.txt").write_text("acme-spam==1.0\n")
        options = [{"user": "nobody"}, {"target": str(home / "app")}]
        states = {
            "made": {
                "wheelhouse.environment": [{"name": str(home / "app")}, {"python": "python3"}, {"user": "nobody"}]
            },
            "needs": {
                "wheelhouse.installed": [*options, {"requirements": "salt://needs.txt"}, {"index": with_token(index)}]
            },
        }
        done = minion.apply_text(states)
        assert [each.comment for each in done.values() if not each.result] == []
        assert set(done["needs"].changes) == {"acme-eggs", "acme-spam"}
        (module,) = home.glob("app/lib/python3*/site-packages/acme_spam.py")
        assert module.owner() == "nobody"
        assert minion.apply_text(states, test=True)["needs"].result is True


@pytest.mark.network
def test_installed__by_a_pip_that_cannot_tell_what_it_would_do__is_still_idempotent(
    minion: Masterless, index: Served, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    subprocess.run([sys.executable, "-m", "venv", old], check=True)
    subprocess.run([old / "bin/pip", "install", "--quiet", "pip==22.1.2"], check=True)
    states = {
        "spam": {
            "wheelhouse.installed": [
                {"name": "acme-spam"},
                {"version": "1.0"},
                {"target": str(old)},
                {"index": with_token(index)},
            ]
        }
    }
    assert minion.apply_text(states, test=True)["spam"].changes == {"acme-spam": {"old": "", "new": "1.0"}}
    assert set(minion.apply_text(states)["spam"].changes) == {"acme-eggs", "acme-spam"}
    assert minion.apply_text(states)["spam"].changes == {}
    assert minion.apply_text(states, test=True)["spam"].result is True


def test_credentials__other_lines_of_the_file__stay(minion: Masterless, tmp_path: Path) -> None:
    minion.set_pillar({"wheelhouse": {"client": {"token": "wh_one"}}})
    files = {name: tmp_path / f"{name}.netrc" for name in ("others", "old", "spread", "broken", "link", "wide")}
    others = "machine pypi.example login me password secret\ndefault login nobody password nothing\n"
    files["others"].write_text(others)
    files["old"].write_text(f"{others}machine wheels.example login __token__ password wh_zero\n")
    files["spread"].write_text("machine wheels.example\n  login me\n  password secret\n")
    files["broken"].write_text("machine\n")
    files["link"].symlink_to(files["others"])
    files["wide"].write_text("machine wheels.example login __token__ password wh_one\n")
    files["wide"].chmod(0o644)
    user = os.environ.get("USER", "root")
    states = {
        name: {
            "wheelhouse.credentials": [
                {"name": user},
                {"machine": "wheels.example"},
                {"pillar": "wheelhouse:client:token"},
                {"file": str(path)},
            ]
        }
        for name, path in files.items()
    }
    states["nobody"] = {
        "wheelhouse.credentials": [
            {"name": "no-such-user"},
            {"machine": "wheels.example"},
            {"pillar": "wheelhouse:client:token"},
        ]
    }
    states["nothing"] = {
        "wheelhouse.credentials": [{"name": user}, {"machine": "wheels.example"}, {"pillar": "wheelhouse:client:tokn"}]
    }

    said = minion.apply_text(states)

    for name in ("spread", "broken", "link", "nobody", "nothing"):
        assert said[name].result is False, name
    assert files["spread"].read_text().count("secret") == 1
    for name in ("others", "old", "wide"):
        assert said[name].result is True, said[name].comment
        assert stat.S_IMODE(files[name].stat().st_mode) == 0o600
    ours = "machine wheels.example login __token__ password wh_one\n"
    assert files["others"].read_text() == ours + others
    assert files["old"].read_text() == ours + others
    assert files["wide"].read_text() == ours
