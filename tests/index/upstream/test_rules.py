from __future__ import annotations

from datetime import timedelta

import pytest
from packaging.utils import canonicalize_name

from wheelhouse.index.model import Manifest
from wheelhouse.index.upstream.rules import MirrorRules, Standing

EGGS = canonicalize_name("eggs")
OURS = Standing(ours=True, theirs=False, denied=False)
BOTH = Standing(ours=True, theirs=True, denied=False)
THEIRS = Standing(ours=False, theirs=True, denied=False)
DENIED = Standing(ours=False, theirs=False, denied=True)


@pytest.mark.parametrize(
    ("rules", "manifest", "standing"),
    [
        (MirrorRules(), None, THEIRS),
        (MirrorRules(), Manifest(name=EGGS), OURS),
        (MirrorRules(), Manifest(name=EGGS, policy="overlay"), BOTH),
        (MirrorRules(), Manifest(name=EGGS, policy="mirror"), THEIRS),
        (MirrorRules(policies={"eggs": "overlay"}), Manifest(name=EGGS), BOTH),
        (MirrorRules(policies={"eggs": "private"}), Manifest(name=EGGS, policy="overlay"), OURS),
        (MirrorRules(policies={"*": "private", "eggs": "mirror"}), None, THEIRS),
        (MirrorRules(policies={"eggs*": "overlay", "e*": "private"}), Manifest(name=EGGS), BOTH),
        (MirrorRules(policies={"egg": "private"}), None, THEIRS),
        (MirrorRules(deny=("e*",)), None, DENIED),
        (MirrorRules(deny=("e*",)), Manifest(name=EGGS), OURS),
        (MirrorRules(deny=("e*",), allow=("eggs",)), None, DENIED),
        (MirrorRules(allow=("ham",)), None, DENIED),
        (MirrorRules(allow=("ham", "*gg*")), None, THEIRS),
        (
            MirrorRules(deny=("eggs",)),
            Manifest(name=EGGS, policy="overlay"),
            Standing(ours=True, theirs=False, denied=True),
        ),
    ],
)
def test_standing(rules: MirrorRules, manifest: Manifest | None, standing: Standing) -> None:
    assert rules.standing(EGGS, manifest) == standing


def test_age_of__closest_pattern_counts() -> None:
    week, none, day = timedelta(days=7), timedelta(0), timedelta(days=1)
    rules = MirrorRules(min_age=week, min_ages={"acme-*": none, "acme-web": day})
    assert [rules.age_of(canonicalize_name(name)) for name in ("x", "acme-x", "acme.web")] == [week, none, day]
