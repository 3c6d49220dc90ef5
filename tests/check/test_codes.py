from __future__ import annotations

import re
from pathlib import Path

from wheelhouse.check.codes import Code
from wheelhouse.trial.codes import MEANINGS
from wheelhouse.verify import Code as VerifyCode

PAGE = Path(__file__).parents[2] / "docs/reference/findings.md"
ROW = re.compile(r"^\| (WH\d{3}) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def rows() -> dict[str, tuple[str, str]]:
    return {code: (severity, title) for code, severity, title, _ in ROW.findall(PAGE.read_text("utf-8"))}


def test_page__has_every_code_of_the_checks() -> None:
    expected = {
        kind.code: (
            str(kind.severity)
            if kind.foreign is kind.severity
            else f"{kind.severity} ({kind.foreign} in others' wheels)",
            kind.title,
        )
        for kind in Code
    }

    assert {code: row for code, row in rows().items() if code in expected} == expected


def test_page__has_every_code_of_the_trial_of_verify_and_no_other() -> None:
    assert {code: title for code, (_, title) in rows().items() if code.startswith("WH4")} == dict(MEANINGS)
    assert {code: row for code, row in rows().items() if code.startswith("WH6")} == {
        kind.code: (str(kind.severity), kind.title) for kind in VerifyCode
    }
    assert set(rows()) == {kind.code for kind in (*Code, *VerifyCode)} | set(MEANINGS)


def test_codes__are_unique() -> None:
    codes = [kind.code for kind in (*Code, *VerifyCode)]

    assert len(set(codes)) == len(codes)
    assert not set(codes) & set(MEANINGS)
