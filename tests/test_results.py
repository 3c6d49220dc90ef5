from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from fakes import a_job, a_record
from wheelhouse.config import Config, Workspace
from wheelhouse.record import WheelFile
from wheelhouse.results import Results, provenance_beside

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.record import Record

JOB = a_job()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(
        registry=tmp_path / "recipes",
        dist=tmp_path / "dist",
        state=tmp_path / "state",
        cache=tmp_path / "cache",
        config=Config(),
    )


def commit(
    workspace: Workspace,
    content: bytes = b"wheel",
    key: str = "k1",
    name: str = "spam-1.0-py3-none-any.whl",
    provenance: bytes | None = None,
) -> Record:
    results = Results(workspace)
    wheel = results.staging() / name
    wheel.write_bytes(content)
    record = a_record(JOB, key=key).model_copy(
        update={"wheel": WheelFile(filename=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))}
    )
    results.begin(JOB.id).write_text("log\n")
    results.commit(record, wheel, provenance=provenance)
    return record


def test_commit__result__is_there_with_record_log_and_wheel_in_dist(workspace: Workspace) -> None:
    record = commit(workspace)
    results = Results(workspace)
    assert results.finished("k1")
    assert results.record("k1") == record
    assert results.latest(JOB.id) == record
    assert sorted(path.name for path in (workspace.results / "k1").iterdir()) == [
        "log.txt",
        "record.json",
        "spam-1.0-py3-none-any.whl",
    ]
    assert [path.read_bytes() for path in workspace.dist.iterdir()] == [b"wheel"]


def test_commit__nothing_of_the_work_is_left(workspace: Workspace) -> None:
    commit(workspace)
    assert [path for path in workspace.work.rglob("*") if path.is_file()] == []


def test_finished__unknown_key__is_false(workspace: Workspace) -> None:
    assert not Results(workspace).finished("k1")


def test_finished__wheel_truncated__is_false(workspace: Workspace) -> None:
    record = commit(workspace)
    Results(workspace).wheel(record).write_bytes(b"whe")
    assert not Results(workspace).finished("k1")


def test_intact__same_size_other_bytes__is_false(workspace: Workspace) -> None:
    record = commit(workspace)
    results = Results(workspace)
    assert results.intact(record)
    results.wheel(record).write_bytes(b"whEEl")
    assert results.finished("k1")
    assert not results.intact(record)


def test_finished__record_torn__is_false(workspace: Workspace) -> None:
    commit(workspace)
    path = workspace.results / "k1" / "record.json"
    path.write_bytes(path.read_bytes()[:40])
    assert not Results(workspace).finished("k1")


def test_offer__dist_emptied__is_filled_again(workspace: Workspace) -> None:
    record = commit(workspace)
    next(workspace.dist.iterdir()).unlink()
    Results(workspace).offer(record)
    assert [path.read_bytes() for path in workspace.dist.iterdir()] == [b"wheel"]


def test_offer__dist_file_spoilt__is_replaced_and_the_result_untouched(workspace: Workspace) -> None:
    record = commit(workspace)
    offered = next(workspace.dist.iterdir())
    offered.unlink()
    offered.write_bytes(b"spoilt")
    Results(workspace).offer(record)
    assert offered.read_bytes() == b"wheel"


def test_commit__other_tag_for_the_same_job__takes_the_old_wheel_out_of_dist(workspace: Workspace) -> None:
    commit(workspace)
    commit(workspace, content=b"new", key="k2", name="spam-1.0-cp311-cp311-manylinux_2_17_x86_64.whl")
    assert [path.name for path in workspace.dist.iterdir()] == ["spam-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"]
    assert Results(workspace).finished("k1")


def test_commit__same_key_again__replaces_the_result(workspace: Workspace) -> None:
    commit(workspace)
    commit(workspace, content=b"again")
    assert [path.read_bytes() for path in workspace.dist.iterdir()] == [b"again"]


def test_commit__provenance__is_kept_and_offered_beside_the_wheel(workspace: Workspace) -> None:
    record = commit(workspace, provenance=b"told")

    assert (workspace.results / "k1" / "provenance.json").read_bytes() == b"told"
    assert sorted(path.name for path in workspace.dist.glob("[!.]*")) == [record.wheel.filename if record.wheel else ""]
    assert provenance_beside(workspace.dist / "spam-1.0-py3-none-any.whl").read_bytes() == b"told"


def test_commit__other_wheel_of_the_job__takes_the_provenance_away_too(workspace: Workspace) -> None:
    commit(workspace, provenance=b"told")
    commit(workspace, b"other", "k2", "spam-1.0-1-py3-none-any.whl", provenance=b"told of another")

    assert [path.name for path in (workspace.dist / ".provenance").iterdir()] == ["spam-1.0-1-py3-none-any.whl.json"]


def test_offer__wheel_without_provenance__leaves_none_of_another(workspace: Workspace) -> None:
    commit(workspace, provenance=b"told")
    commit(workspace, b"other", "k2")

    assert not list((workspace.dist / ".provenance").iterdir())
