from __future__ import annotations

from typing import TYPE_CHECKING

from wheelhouse.joblog import JobLog

if TYPE_CHECKING:
    from pathlib import Path


class Heard:
    def __init__(self) -> None:
        self.stages: list[tuple[str, str]] = []

    def stage(self, job: str, stage: str) -> None:
        self.stages.append((job, stage))


def test_stage__is_told_written_and_timed(tmp_path: Path) -> None:
    heard = Heard()
    log = JobLog(tmp_path / "log", job="spam", observer=heard)
    with log.stage("build"):
        log.line("working")
    assert heard.stages == [("spam", "build")]
    assert log.path.read_text() == "=== build\nworking\n"
    assert list(log.timings) == ["build"]


def test_stage__within_a_stage__counts_for_itself_alone(tmp_path: Path) -> None:
    log = JobLog(tmp_path / "log", job="spam")
    with log.stage("build"):
        with log.stage("repair"):
            log._since -= 10  # ten seconds pass
        log._since -= 1
    assert round(log.timings["repair"]) == 10
    assert round(log.timings["build"]) == 1


def test_stage__named_again_inside_itself__is_one_stage(tmp_path: Path) -> None:
    heard = Heard()
    log = JobLog(tmp_path / "log", job="spam", observer=heard)
    with log.stage("build"), log.stage("build"):
        log._since -= 5
    assert heard.stages == [("spam", "build")]
    assert round(log.timings["build"]) == 5
