"""What a wheel says it is, in its filename, METADATA and WHEEL: findings where they, or its job, do not agree."""

from __future__ import annotations

import email.parser
import email.policy
from typing import TYPE_CHECKING

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.check.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

    from packaging.tags import Tag

    from wheelhouse.check.contents import Contents, Expectation
    from wheelhouse.finding import Finding
    from wheelhouse.target import BuildIdentifier
    from wheelhouse.wheel import WheelName


def check_identity(contents: Contents, expectation: Expectation | None) -> Iterator[Finding]:
    """Hold filename, WHEEL and the job's expectation against each other."""
    yield from _filename(contents.name)
    yield from _dist_info(contents)
    yield from _wheel_file(contents)
    if expectation is not None:
        yield from _expected(contents, expectation)


def _filename(name: WheelName) -> Iterator[Finding]:
    project, version = name.filename.split("-")[:2]
    normal = str(name.project).replace("-", "_")
    if project != normal:
        yield Code.FILENAME_FORM.finding(
            f"the name in the filename is `{project}`, normalised `{normal}`", hint="wheels of new releases need it so"
        )
    if version != str(name.version):
        yield Code.FILENAME_FORM.finding(f"the version in the filename is `{version}`, normalised `{name.version}`")


def _dist_info(contents: Contents) -> Iterator[Finding]:
    folders = {member.name.split("/")[0] for member in contents.members if ".dist-info/" in member.name}
    folders = {folder for folder in folders if folder.endswith(".dist-info")}
    if contents.dist_info is None:
        found = ", ".join(sorted(folders)) or "none"
        yield Code.DIST_INFO.finding(f"a wheel has one .dist-info folder; found {found}")
        return
    project, _, version = contents.dist_info.removesuffix(".dist-info").partition("-")
    if canonicalize_name(project) != contents.name.project or not _same_version(version, contents.name.version):
        yield Code.DIST_INFO.finding(
            f"does not fit the filename: {contents.name.project} {contents.name.version}", where=contents.dist_info
        )


def _same_version(text: str, version: Version) -> bool:
    try:
        return Version(text.replace("_", "-")) == version
    except InvalidVersion:
        return False


def _wheel_file(contents: Contents) -> Iterator[Finding]:
    where = contents.under_dist_info("WHEEL")
    data = contents.texts.get("WHEEL")
    if data is None:
        yield Code.WHEEL_FILE.finding("WHEEL is missing", where=where)
        return
    try:
        message = email.parser.HeaderParser(policy=email.policy.compat32).parsestr(data.decode("utf-8"))
    except ValueError as error:
        yield Code.WHEEL_FILE.finding(f"is not UTF-8: {error}", where=where)
        return
    yield from _format_version(message, where)
    yield from _tags(message, contents, where)
    yield from _build(message, contents.name, where)
    yield from _purelib(message, contents, where)


def _format_version(message: Message, where: str) -> Iterator[Finding]:
    version = str(message.get("Wheel-Version", "")).strip()
    if not version:
        yield Code.WHEEL_FILE.finding("has no Wheel-Version", where=where)
    elif version.split(".")[0] != "1":
        yield Code.WHEEL_FILE.finding(f"has Wheel-Version {version}; installers know 1", where=where)


def _tags(message: Message, contents: Contents, where: str) -> Iterator[Finding]:
    stated: set[Tag] = set()
    for text in message.get_all("Tag", []):
        try:
            stated |= parse_tag(str(text).strip())
        except ValueError:
            yield Code.WHEEL_FILE.finding(f"`Tag: {text}` is not a tag", where=where)
    if stated != contents.name.tags:
        more = ", ".join(sorted(str(tag) for tag in stated - contents.name.tags))
        less = ", ".join(sorted(str(tag) for tag in contents.name.tags - stated))
        said = "; ".join(
            part
            for part in (f"only in WHEEL: {more}" * bool(more), f"only in the filename: {less}" * bool(less))
            if part
        )
        yield Code.TAGS.finding(said, where=where, hint="rename wheels with `wheel tags`, never by hand")


def _build(message: Message, name: WheelName, where: str) -> Iterator[Finding]:
    stated = str(message.get("Build", "")).strip()
    named = "".join(str(part) for part in name.build)
    if stated != named:
        yield Code.BUILD_TAG.finding(f"build tag `{stated or 'none'}`, filename `{named or 'none'}`", where=where)


def _purelib(message: Message, contents: Contents, where: str) -> Iterator[Finding]:
    stated = str(message.get("Root-Is-Purelib", "")).strip().lower()
    if stated not in {"true", "false"}:
        yield Code.WHEEL_FILE.finding("has no Root-Is-Purelib of true or false", where=where)
        return
    binary = next((member.name for member, _ in contents.binaries), None)
    if stated == "true" and binary is not None:
        yield Code.PURELIB.finding(f"says pure, but there is a binary: {binary}", where=where)


def _expected(contents: Contents, expectation: Expectation) -> Iterator[Finding]:
    name = contents.name
    if name.project != expectation.project or name.version != expectation.version:
        yield Code.UNEXPECTED.finding(
            f"is {name.project} {name.version}; the job builds {expectation.project} {expectation.version}",
            hint="the source's own metadata names another project or version: correct the recipe",
        )
    number = name.build[0] if name.build else 0
    if number != expectation.build_number:
        yield Code.UNEXPECTED.finding(f"has build number {number}; the recipe says {expectation.build_number}")
    target = expectation.target
    if target is not None and not fits(name, target):
        yield Code.UNEXPECTED.finding(
            f"has no tag that fits {target}", hint="the build ran with another Python, or for another machine"
        )
    if expectation.abi3 and not _is_freethreaded(target) and all(tag.abi != "abi3" for tag in name.tags):
        yield Code.ABI3_EXPECTED.finding(
            "has no abi3 tag",
            hint="switch the limited API on in the build (`[tool.distutils.bdist_wheel] py-limited-api`), "
            "or take `abi3` out of the recipe",
        )


def _is_freethreaded(target: BuildIdentifier | None) -> bool:
    return target is not None and target.freethreaded


def fits(name: WheelName, target: BuildIdentifier) -> bool:
    """Say whether an installer on `target` takes a wheel of this name, by its tags."""
    return any(_fits(tag, target) for tag in name.tags)


def _fits(tag: Tag, target: BuildIdentifier) -> bool:
    return _python_fits(tag, target) and _platform_fits(tag.platform, target)


def _python_fits(tag: Tag, target: BuildIdentifier) -> bool:
    if tag.interpreter in {target.python_tag, "py3", f"py{target.python[0]}{target.python[1]}"}:
        if target.implementation == "cp" and tag.abi.startswith("cp"):
            return tag.abi == target.abi_tag
        return True
    minor = tag.interpreter.removeprefix("cp3")
    return (
        tag.abi == "abi3"
        and target.implementation == "cp"
        and not target.freethreaded
        and minor.isdigit()
        and int(minor) <= target.python[1]
    )


def _platform_fits(platform: str, target: BuildIdentifier) -> bool:
    if platform == "any":
        return True
    if target.family == "win":
        return platform == {"x86": "win32", "AMD64": "win_amd64", "ARM64": "win_arm64"}.get(target.arch)
    if target.is_linux:
        # A linux_* tag is a finding of its own (WH303).
        return platform.startswith((target.family, "linux")) and platform.endswith(f"_{target.arch}")
    return platform.startswith(target.family) and platform.endswith(target.arch)
