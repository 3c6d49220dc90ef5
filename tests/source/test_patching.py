from __future__ import annotations

import difflib
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wheelhouse.errors import SourceError
from wheelhouse.process import Processes
from wheelhouse.source.patching import apply_patch

if TYPE_CHECKING:
    from pathlib import Path

OLD = "".join(f"line {number}\n" for number in range(1, 21))


def a_diff(old: str, new: str, name: str = "f.c", context: int = 3) -> str:
    """Return what `diff -u` says."""
    diff = difflib.unified_diff(lines_of(old), lines_of(new), f"a/{name}", f"b/{name}", n=context)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in diff)


def lines_of(text: str) -> list[str]:
    *lines, last = text.split("\n")
    return [f"{line}\n" for line in lines] + ([last] if last else [])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "f.c").write_text(OLD)
    return root


def patch(tree: Path, text: str) -> None:
    file = tree.parent / "0001-x.patch"
    file.write_bytes(text.encode())
    apply_patch(file, tree)


def test_patch__change(tree: Path) -> None:
    new = OLD.replace("line 5\n", "line five\n")
    patch(tree, "Subject: words before\n\n" + a_diff(OLD, new) + "-- \n2.39\n")
    assert (tree / "f.c").read_text() == new


def test_patch__moved_context__found_where_it_is(tree: Path) -> None:
    (tree / "f.c").write_text("more\n" * 7 + OLD)
    patch(tree, a_diff(OLD, OLD.replace("line 9\n", "").replace("line 18\n", "18\n")))
    assert (tree / "f.c").read_text() == "more\n" * 7 + OLD.replace("line 9\n", "").replace("line 18\n", "18\n")


def test_patch__context_differs__names_file_and_hunk_and_changes_nothing(tree: Path) -> None:
    (tree / "f.c").write_text(OLD.replace("line 17", "other"))
    (tree / "g.c").write_text(OLD)
    before = {path.name: path.read_bytes() for path in tree.iterdir()}
    text = a_diff(OLD, "x\n" + OLD, "g.c") + a_diff(OLD, OLD.replace("line 2\n", "").replace("line 18\n", ""))
    with pytest.raises(SourceError, match=r"0001-x\.patch: f\.c: hunk 2 of 2 does not apply: @@ -15") as caught:
        patch(tree, text)
    assert "when-version" in (caught.value.hint or "")
    assert {path.name: path.read_bytes() for path in tree.iterdir()} == before


def test_patch__git_headers(tree: Path) -> None:
    (tree / "gone").write_text("x\n")
    text = (
        "diff --git a/f.c b/src/g.c\nsimilarity index 90%\nrename from f.c\nrename to src/g.c\nindex 1..2 100644\n"
        + a_diff(OLD, OLD.replace("line 3\n", "")).replace("b/f.c", "b/src/g.c")
        + "diff --git a/run b/run\nnew file mode 100755\nindex 0000000..1\n"
        + "--- /dev/null\n+++ b/run\n@@ -0,0 +1 @@\n+#!\n"
        + "diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
        + "diff --git a/empty b/empty\nnew file mode 100644\nindex 0000000..e69de29\n"
    )
    patch(tree, text)
    assert sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*")) == ["empty", "run", "src", "src/g.c"]
    assert (tree / "src/g.c").read_text() == OLD.replace("line 3\n", "")
    assert (tree / "run").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing to see", "not a unified diff"),
        (a_diff(OLD, "x\n" + OLD, "../evil"), "outside the source"),
        (a_diff(OLD, "x\n" + OLD, "link/f"), "outside the source"),
        (a_diff(OLD, "x\n" + OLD, "none.c"), "not in the source"),
        (a_diff("", "x\n", "f.c").replace("a/f.c", "/dev/null"), "hunk 1|in the source already"),
        ("diff --git a/x b/x\nGIT binary patch\nliteral 1\n", "binary"),
        ("--- a/f.c\n+++ b/f.c\n@@ -1,3 +1,3 @@\n line 1\n", "shorter"),
        ("--- a/f.c\n+++ b/f.c\n@@ -1,2 +1 @@\n a\n b\n", "longer"),
        ("--- f.c\n+++ f.c\n@@ -1 +1 @@\n-a\n+b\n", "no folder to strip"),
    ],
)
def test_patch__bad__clear_error(tree: Path, text: str, message: str) -> None:
    (tree / "link").symlink_to(tree.parent)
    with pytest.raises(SourceError, match=message) as caught:
        patch(tree, text)
    assert caught.value.hint is not None
    assert (tree / "f.c").read_text() == OLD


def test_patch__last_line_without_its_end__gets_one_where_others_follow(tree: Path) -> None:
    (tree / "two").write_text("a\na\n")
    patch(tree, "--- a/two\n+++ b/two\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n")
    assert (tree / "two").read_text() == "b\na\n"


words = st.lists(st.sampled_from(["a", "b", "c", "", "\r"]), max_size=12)


@pytest.mark.skipif(shutil.which("patch") is None, reason="GNU patch is the oracle")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=words, new=words, before=words, context=st.integers(0, 3), ending=st.sampled_from(["\n", ""]))
def test_patch__as_gnu_patch_without_fuzz(
    tmp_path: Path, *, old: list[str], new: list[str], before: list[str], context: int, ending: str
) -> None:
    text = "\n".join(old) + ending
    diff = a_diff(text, "\n".join(new) + ending, "f", context)
    if not diff or not text:
        return
    target = "".join(f"{word}\n" for word in before) + text
    theirs, ours = (_tree(tmp_path, name, target) for name in ("theirs", "ours"))
    file = tmp_path / "x.patch"
    file.write_bytes(diff.encode())
    command = ("patch", "--binary", "-p1", "-F0", "-f", "-s", "-r-", "--no-backup-if-mismatch", "-i", file)
    status = Processes().run(command, cwd=theirs, check=False).returncode
    try:
        apply_patch(file, ours)
    except SourceError:
        assert status != 0
    else:
        assert status == 0
        assert (ours / "f").read_bytes() == ((theirs / "f").read_bytes() if (theirs / "f").exists() else b"")


def _tree(folder: Path, name: str, content: str) -> Path:
    root = folder / name
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    (root / "f").write_bytes(content.encode())
    return root
