from __future__ import annotations

from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from wheelhouse.check import Examination, accept
from wheelhouse.check.codes import Code
from wheelhouse.errors import CheckError
from wheelhouse.wheel import CheckedWheel, SealedWheel, WheelName

NAME = WheelName.parse("spam-1.0-py3-none-any.whl")
SEALED = SealedWheel(path=Path(NAME.filename), sha256="0" * 64, size=7)
WARNING = Code.NO_LICENCE.finding("no licence file")
ERROR = Code.HASH.finding("does not match", where="spam/x.py", hint="build it again")


def test_accept__no_errors() -> None:
    checked = accept(
        SEALED,
        Examination(name=NAME, sha256=SEALED.sha256, findings=(WARNING,)),
        trial_findings=[WARNING],
        executed=True,
    )

    assert checked == CheckedWheel(
        path=SEALED.path, sha256=SEALED.sha256, size=7, findings=(WARNING, WARNING), grafted=(), executed=True
    )
    assert NAME.project == canonicalize_name("spam")


@pytest.mark.parametrize("in_trial", [True, False])
def test_accept__errors(in_trial: bool) -> None:  # noqa: FBT001 - a parameter of the test
    own, tried = ((WARNING,), (ERROR,)) if in_trial else ((WARNING, ERROR), ())

    with pytest.raises(CheckError, match=r"WH212 error: spam/x\.py: does not match") as caught:
        accept(SEALED, Examination(name=NAME, sha256=SEALED.sha256, findings=own), trial_findings=tried, executed=True)

    assert "no licence" not in str(caught.value)
    assert caught.value.hint == "build it again"
