from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from servers import Answer, serve
from tiny import Tiny, write_registry
from wheelhouse.cli import run
from wheelhouse.config import Config, index_url
from wheelhouse.source.location import project_page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JSON = "application/vnd.pypi.simple.v1+json"


@dataclass
class Shop:
    """An index with sdists, and a registry whose sources come from it."""

    folder: Path
    url: str = ""
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    routes: dict[str, list[Answer]] = field(default_factory=dict)

    def publish(self, tiny: Tiny, **more: Any) -> str:
        """Put the sdist on the index; return its hash."""
        path = tiny.write_sdist(self.folder / "sdists")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.routes[f"/files/{path.name}"] = [Answer(body=path.read_bytes())]
        self.offer(tiny.name, path.name, digest, **more)
        return digest

    def offer(self, name: str, filename: str, digest: str = "0" * 64, **more: Any) -> None:
        entry = {"filename": filename, "url": f"/files/{filename}", "hashes": {"sha256": digest}, **more}
        self.files.setdefault(name, []).append(entry)
        page = {"meta": {"api-version": "1.0"}, "name": name, "files": self.files[name]}
        answer = Answer(body=json.dumps(page).encode(), headers={"Content-Type": JSON})
        self.routes[f"/simple/{name}/"] = [answer]

    def borrow(self, name: str) -> None:
        """Offer the newest wheel that the configured index has of a project."""
        page = project_page(canonicalize_name(name), index=index_url(Config(), os.environ))
        wheels = [file for file in page.packages if file.package_type == "wheel" and not file.is_yanked]
        newest = max(wheels, key=lambda file: Version(file.version or "0"))
        self.offer(name, newest.filename, newest.digests["sha256"], url=newest.url)

    def registry(self, *projects: Tiny) -> Path:
        """Write recipes of what is published, with sources from the index."""
        (self.folder / "registry").mkdir()
        root = write_registry(
            self.folder / "registry",
            *projects,
            settings=f'[index]\nurl = "{self.url}"\n[build]\nbuilder = "host"\n[targets]\nbuild = ["cp311-many*"]\n',
        )
        for tiny in projects:
            path = root / "recipes" / tiny.name / "recipe.toml"
            lines = [line for line in path.read_text().splitlines() if not line.startswith(("[source]", "url ="))]
            path.write_text("# kept\n" + "\n".join(lines) + "\n")
        return root


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("WHEELHOUSE_CACHE", str(tmp_path / "cache"))
    made = Shop(folder=tmp_path)
    with serve(made.routes) as server:
        made.url = f"{server.url}/simple"
        yield made


def call(root: Path, *words: str) -> int:
    return run(["--registry", str(root), *words])


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def wheel(name: str, version: str, tag: str) -> str:
    return f"{name}-{version}-{tag}.whl"


def test_new__from_the_index__writes_a_recipe_once(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    root = shop.registry()
    shop.publish(Tiny(name="spam"))
    shop.publish(Tiny(name="spam", version="2.0rc1"))
    digest = shop.publish(Tiny(name="spam", version="1.10"))

    assert call(root, "recipe", "new", "Spam", "--json") == 0
    account = told(capsys)
    assert (account["version"], account["sha256"]) == ("1.10", digest)
    assert account["extensions"] == [{"name": "spam", "where": "pyproject.toml"}]
    written = (root / "recipes" / "spam" / "recipe.toml").read_text()
    assert f'sha256 = "{digest}" # says the index' in written
    assert "# Licence: MIT" in written

    assert call(root, "recipe", "new", "spam") == 2
    assert "is there already, and nothing was changed" in capsys.readouterr().err
    assert (root / "recipes" / "spam" / "recipe.toml").read_text() == written


def test_new__index_is_gone__what_was_seen_before_will_do(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    root = shop.registry()
    shop.publish(Tiny(name="spam"))
    assert call(root, "recipe", "new", "spam==1.0", "--print") == 0
    first = capsys.readouterr().out
    shop.routes["/simple/spam/"] = [Answer(status=403)]

    assert call(root, "recipe", "new", "spam", "--print") == 0

    assert capsys.readouterr().out == first.replace("says the index", "says the index, when it was last asked")


def test_new__path__asks_no_index(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    root = shop.registry()
    path = Tiny(name="spam").write_sdist(shop.folder)

    assert call(root, "recipe", "new", str(path)) == 0
    assert "says the file that was given" in (root / "recipes" / "spam" / "recipe.toml").read_text()


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        (["nobody"], 5, "the index does not know nobody"),
        (["spam==9"], 5, "no sdist of spam that fits ==9; it has 1.0"),
        (["spam spam"], 2, "neither a project nor an sdist"),
        (["./nothing.tar.gz"], 2, "has not the name of an sdist"),
        (["./nothing-1.0.tar.gz"], 5, "cannot be read"),
        (["spam", "--install"], 2, "go with --solve"),
        (["spam", "--solve", "--print"], 2, "--print writes no recipe"),
    ],
)
def test_new__mistakes(
    shop: Shop, capsys: pytest.CaptureFixture[str], words: list[str], status: int, part: str
) -> None:
    root = shop.registry()
    shop.publish(Tiny(name="spam"))

    assert call(root, "recipe", "new", *words) == status
    said = capsys.readouterr().err.replace("\nhint: ", "; ")
    assert part in said
    assert not (root / "recipes" / "spam").exists()


@pytest.mark.slow
@pytest.mark.network
def test_new__solve__builds_and_mends(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    root = shop.registry()
    (root / "wheelhouse.toml").write_text('[build]\ntoolchain = "system"\n')
    path = Tiny(name="spam", setup="import importlib; importlib.import_module('Cython')").write_sdist(shop.folder)

    assert call(root, "recipe", "new", str(path), "--solve", "--json") == 0

    account = told(capsys)
    assert account["solved"] is True
    first, second = account["rounds"]
    assert [change.partition(" (")[0] for change in first["changes"]] == ["build.requires: Cython"]
    assert (second["outcome"], second["changes"]) == (f"{account['wheel']} passed all checks", [])
    assert (root / "dist" / account["wheel"]).is_file()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(("older", "status", "version"), [("", 0, "1.5"), ("#error odd", 3, "3.0")])
def test_new__solve__library_too_old__an_older_version_that_does_without(
    shop: Shop, capsys: pytest.CaptureFixture[str], older: str, status: int, version: str
) -> None:
    root = shop.registry()
    (root / "wheelhouse.toml").write_text(f'[index]\nurl = "{shop.url}"\n[build]\ntoolchain = "system"\n')
    shop.borrow("setuptools")
    asks = "static int limit = FOO_LIMIT;"
    for number, before in (("1.5", older), ("2.0", asks), ("3.0", asks)):
        shop.publish(Tiny(name="spam", version=number, before=before))

    assert call(root, "recipe", "new", "spam", "--solve", "--json") == status

    said = capsys.readouterr()
    assert "3.0 needs FOO_LIMIT, which is not here; trying 1.5" in said.err
    account = json.loads(said.out)
    assert account["version"] == version
    assert f'version = "{version}"' in (root / "recipes" / "spam" / "recipe.toml").read_text()
    if status:
        assert "'FOO_LIMIT' undeclared" in account["reason"]
        assert "1.5 has no wheel either" in account["reason"]


def test_bump__newest_release_that_upstream_stands_by(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    old = Tiny(name="spam")
    root = shop.registry(old)
    shop.publish(old)
    digest = shop.publish(Tiny(name="spam", version="1.1"))
    shop.publish(Tiny(name="spam", version="1.2"), yanked="broken")
    shop.publish(Tiny(name="spam", version="2.0a1"))

    assert call(root, "recipe", "bump", "--all", "--check") == 1
    assert capsys.readouterr().out == "spam 1.0 there is 1.1\n"
    assert call(root, "recipe", "bump", "spam", "--json") == 0

    (entry,) = told(capsys)
    assert (entry["state"], entry["before"], entry["after"], entry["sha256"]) == ("bumped", "1.0", "1.1", digest)
    text = (root / "recipes" / "spam" / "recipe.toml").read_text()
    assert text.startswith("# kept\n")
    assert f'version = "1.1"\nsha256 = "{digest}"' in text
    assert call(root, "recipe", "bump", "spam") == 0
    assert "upstream's newest version is in 1 of 1 recipes" in capsys.readouterr().err


def test_bump__keep__leaves_the_old_version_below(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    root = shop.registry(Tiny(name="spam", recipe="[resources]\nmemory = '1 GB'\n"))
    shop.publish(Tiny(name="spam", version="1.1"))

    assert call(root, "recipe", "bump", "spam", "--keep") == 0
    assert call(root, "recipe", "list") == 0
    assert capsys.readouterr().out.endswith("spam  1.1, 1.0\n")


def test_bump__patch_that_no_longer_applies__is_refused(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    root = shop.registry(
        Tiny(name="spam", recipe='[[source.patches]]\nfile = "a.patch"\nupstream-status = "Pending"\n')
    )
    recipe = root / "recipes" / "spam" / "recipe.toml"
    (recipe.parent / "a.patch").write_text("--- a/LICENSE\n+++ b/LICENSE\n@@ -1 +1 @@\n-GPL\n+MIT\n")
    before = recipe.read_text()
    shop.publish(Tiny(name="spam", version="1.1"))

    assert call(root, "recipe", "bump", "spam") == 3
    assert "left as it is, though there is 1.1: a.patch: LICENSE: hunk 1 of 1 does not apply" in capsys.readouterr().out
    (recipe.parent / "a.patch").write_text("--- a/LICENSE\n+++ b/LICENSE\n@@ -1 +1 @@\n-MIT\n+GPL\n")
    assert recipe.read_text() == before
    assert call(root, "recipe", "bump", "spam") == 0


def test_bump__index_knows_nothing__is_told(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    root = shop.registry(Tiny(name="spam"))

    assert call(root, "recipe", "bump", "--all", "--json") == 3
    assert told(capsys)[0]["state"] == "unknown"
    assert call(root, "recipe", "bump") == 2


def test_status__unnecessary_behind_and_unknown(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    root = shop.registry(Tiny(name="ham"), Tiny(name="eggs"), Tiny(name="spam"))
    (root / "wheelhouse.toml").write_text(
        f'[index]\nurl = "{shop.url}"\n[targets]\nbuild = ["cp31{{1,2}}-manylinux*"]\narchs = ["x86_64"]\n'
    )
    for name, version in (("ham", "1.0"), ("spam", "1.1")):
        shop.publish(Tiny(name=name, version=version))
    shop.offer("ham", wheel("ham", "1.0", "cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64"))
    shop.offer("spam", wheel("spam", "1.1", "cp312-cp312-manylinux_2_28_x86_64"))
    shop.offer("spam", wheel("spam", "1.1", "cp311-cp311-musllinux_1_2_x86_64"))

    assert call(root, "status", "--json") == 0
    eggs, ham, spam = told(capsys)
    assert eggs["problem"].endswith("the index does not know eggs")
    assert (ham["unnecessary"], ham["behind"], ham["targets"]) == (True, False, 2)
    assert (spam["unnecessary"], spam["behind"]) == (False, True)
    assert spam["served-by-upstream"] == ["cp312-manylinux_x86_64"]

    assert call(root, "status", "ham") == 0
    out, err = capsys.readouterr()
    assert out == "ham 1.0: unnecessary: upstream has wheels of 1.0 for all 2 targets\n"
    assert err == "1 recipe: 1 unnecessary, 0 behind, 0 failing, 0 retired\n"


def test_retire__recipe_leaves_all_and_comes_back(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    root = shop.registry(Tiny(name="ham"), Tiny(name="spam"))

    assert call(root, "recipe", "retire", "ham", "--reason", 'upstream has "wheels"') == 0
    capsys.readouterr()
    assert call(root, "plan", "--all", "--builder", "host", "--json") == 0
    assert {entry["project"] for entry in told(capsys)} == {"spam"}
    assert call(root, "plan", "ham", "--builder", "host", "--json") == 0
    assert {entry["project"] for entry in told(capsys)} == {"ham"}
    assert call(root, "recipe", "retire", "ham", "--undo") == 0
    assert call(root, "recipe", "retire", "ham") == 2
    capsys.readouterr()
    assert call(root, "plan", "--all", "--builder", "host", "--json") == 0
    assert {entry["project"] for entry in told(capsys)} == {"ham", "spam"}
