"""A selector over build identifiers in; what is wrong with it out.

cibuildwheel lets a selector that picks nothing pass in silence; here that is a mistake, since nobody writes one to pick
nothing.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from wheelhouse.target import known_identifiers, matches

if TYPE_CHECKING:
    from collections.abc import Iterator


def selector_problems(text: str) -> Iterator[str]:
    """Yield what is wrong with a selector, or with several that blanks separate."""
    if not text.split():
        yield "an empty selector picks no build identifier; leave the key out, or write `*`"
    for pattern in text.split():
        if problem := _problem(pattern):
            yield problem


@functools.cache  # a thousand recipes have a handful of different selectors
def _problem(pattern: str) -> str | None:
    if any(matches(pattern, text) for text in known_identifiers()):
        return None
    python, dash, platform = pattern.partition("-")
    pythons = dict.fromkeys(text.split("-", 1)[0] for text in known_identifiers())
    platforms = dict.fromkeys(text.split("-", 1)[1] for text in known_identifiers())
    message = f"`{pattern}` picks no build identifier"
    if not dash:
        return f"{message}; did you mean `{pattern}-*`?" if _picks(f"{pattern}-*") else f"{message}, as `cp313-*` does"
    if not _picks(f"{python}-*"):
        return message + _near(python, pythons, "{}-" + platform, f"Pythons are {', '.join(pythons)}")
    if not _picks(f"*-{platform}"):
        return message + _near(platform, platforms, python + "-{}", f"platforms are {', '.join(platforms)}")
    return f"{message}: there is no {python} for {platform}"


def _picks(pattern: str) -> bool:
    return any(matches(pattern, text) for text in known_identifiers())


def _near(part: str, known: dict[str, None], form: str, otherwise: str) -> str:
    import difflib  # noqa: PLC0415 - only on a mistake

    # Compared without its wildcards, against whole names and their beginnings ("musllinux_").
    bare = part.strip("*")
    near = difflib.get_close_matches(bare, [*known, *{name.split("_")[0] for name in known}], n=1)
    if near and near[0] != bare:
        return f"; did you mean `{form.format(near[0] if near[0] in known else f'{near[0]}_*')}`?"
    return f"; {otherwise}"
