"""How Python, its C API, setuptools and Cython say that source and Python do not fit each other."""

from __future__ import annotations

import functools
import importlib.resources
import re
import tomllib

from wheelhouse.diagnose.clue import Rule, Weight

_QUOTE = "['\"`‘’“”]"
_NEWER = ("version: a newer release of {project}", "targets.skip: {python_tag}-*", "build.requires: Cython>=3.1")

_COMPLAINT = (
    "(?:implicit declaration of function|undeclared function|undeclared identifier|unknown type name|too (?:few|many) arguments to function(?: call)?"
    f"|undefined symbol:|undefined reference to) ?{_QUOTE}?"
)


@functools.cache
def c_api_rules() -> tuple[Rule, ...]:
    """Return the rules for names of CPython's C API, made from `c_api.toml`."""
    data = tomllib.loads(importlib.resources.files(__package__).joinpath("c_api.toml").read_text("utf-8"))
    names = {table: "|".join(re.escape(name) for version in data[table].values() for name in version) for table in data}
    removed, added, members = names["removed"], names["added"], names["removed-members"]
    gone = "{project} {version} uses `{name}`, which the C API of Python {python} no longer has"
    return (
        Rule(
            kind="python-too-new",
            pattern=re.compile(
                rf"error: .*{_QUOTE}(?:struct )?_?(?:Py\w+|C[Ff]rame|_?frame|ts){_QUOTE}.* no member named {_QUOTE}(?P<name>{members}){_QUOTE}"
            ),
            message=gone,
            mend=_NEWER,
        ),
        Rule(
            kind="python-too-new",
            pattern=re.compile(
                rf"error: no member named {_QUOTE}(?P<name>{members}){_QUOTE} in {_QUOTE}(?:struct )?_*(?:Py\w+|ts|typeobject|longobject|frame){_QUOTE}"
            ),
            message=gone,
            mend=_NEWER,
        ),
        Rule(
            kind="python-too-new",
            pattern=re.compile(rf"error: (?:.*{_COMPLAINT}|{_QUOTE})(?P<name>{removed})\b"),
            message=gone,
            mend=_NEWER,
        ),
        Rule(
            kind="python-too-new",
            pattern=re.compile(rf"(?:warning: .*)?{_COMPLAINT}(?P<name>{removed})\b"),
            message=gone,
            mend=_NEWER,
            weight=Weight.PROBE,
        ),
        Rule(
            kind="python-too-old",
            pattern=re.compile(rf"(?:error: (?:.*{_COMPLAINT}|{_QUOTE})|undefined symbol: )(?P<name>{added})\b"),
            message="{project} {version} uses `{name}`, which the C API of Python {python} does not have yet",
            mend=("targets.skip: {python_tag}-*", "version: an older release of {project}"),
        ),
        Rule(
            kind="python-c-api",
            pattern=re.compile(rf"error: (?:.*{_COMPLAINT}|{_QUOTE})(?P<name>_?Py[A-Z]\w+)\b"),
            message="{project} {version} uses `{name}`, which the C API of Python {python} does not have",
            mend=_NEWER,
        ),
    )


SUPPORT = (
    Rule(
        kind="python-too-new",
        pattern=re.compile(
            r"the configured Python interpreter version \((?P<name>[\d.]+)\) is newer than PyO3's maximum supported version"
            r"|Python (?P<other>3\.\d+) (?:is )?(?:currently )?not (?:yet )?supported|Cannot install on Python version (?P<third>[\d.]+)|only versions >=?.* are supported|RuntimeError: Python version .*not supported"
        ),
        message="{project} {version} does not support Python {python} yet",
        mend=(*_NEWER, 'build.environment: PYO3_USE_ABI3_FORWARD_COMPATIBILITY = "1"'),
    ),
    Rule(
        kind="python-not-supported",
        pattern=re.compile(
            r"(?:requires a different Python|Package requires a different Python|[Rr]equires-Python|requires Python) ?:?.*?(?P<name>(?:not in )?['‘`]?[<>=!~]+ ?3[\w.,<>=!~ *]*)"
        ),
        message="{project} {version} says itself that it does not support Python {python}",
        mend=("targets.skip: {python_tag}-*", "version: another release of {project}"),
    ),
    Rule(
        kind="cython-too-old",
        pattern=re.compile(
            r"(?:Cython (?:version )?(?P<name>>=?\s?[\d.]+) (?:is )?(?:required|needed)|requires Cython ?(?P<other>>=[\d.]+)|Cython .* is too old|this file was (?:generated|compiled) (?:with|by) an old(?:er)? Cython)"
        ),
        message="the Cython that was resolved is too old for this source",
        mend=("build.requires: Cython>=3.1",),
    ),
    Rule(
        kind="cython-too-new",
        pattern=re.compile(r"Cython\.Compiler\.Errors\.CompileError: (?P<name>\S+)"),
        message="Cython does not take `{name}`: often a source written for another release of Cython",
        mend=("build.constraints: Cython<3", "version: a newer release of {project}"),
    ),
)

MODULES = (
    Rule(
        kind="python-too-new",
        pattern=re.compile(
            rf"ModuleNotFoundError: No module named {_QUOTE}(?P<name>distutils\.msvccompiler|imp|asynchat|asyncore|cgi|pipes|lib2to3|telnetlib|crypt|nntplib|xdrlib)\b"
        ),
        message="the build imports `{name}`, which Python {python} no longer has",
        mend=_NEWER,
    ),
    Rule(
        kind="python-too-new",
        pattern=re.compile(rf"ModuleNotFoundError: No module named {_QUOTE}(?P<name>distutils)\b"),
        message="the build imports `distutils`, which Python has no longer since 3.12; setuptools brings its own",
        mend=("build.requires: setuptools", *_NEWER),
    ),
    Rule(
        kind="python-too-new",
        pattern=re.compile(
            r"AttributeError: module 'configparser' has no attribute '(?P<name>SafeConfigParser)'|AttributeError: 'ConfigParser' object has no attribute '(?P<method>readfp)'"
            r"|AttributeError: module '(?:inspect|ast|collections|platform|asyncio|importlib\.resources|unittest)' has no attribute '(?P<attribute>\w+)'|ImportError: cannot import name '(?P<import>Mapping|MutableMapping|Iterable|Callable|Sequence)' from 'collections'"
        ),
        message="the build uses `{name}{method}{attribute}{import}`, which the standard library of Python {python} no longer has",
        mend=_NEWER,
    ),
    Rule(
        kind="setuptools-too-old",
        pattern=re.compile(r"module 'pkgutil' has no attribute '(?P<name>ImpImporter)'"),
        message="the setuptools that was resolved is too old for Python {python}",
        mend=("build.requires: setuptools>=68", "targets.skip: {python_tag}-*"),
    ),
    Rule(
        kind="setuptools-too-new",
        pattern=re.compile(
            rf"No module named {_QUOTE}(?P<name>pkg_resources|setuptools\.(?:_distutils\.msvccompiler|command\.test|config\.\w+|extern\b\S*?|package_index))"
        ),
        message="the build imports `{name}`, which newer setuptools no longer has",
        mend=("build.constraints: setuptools<81", "version: a newer release of {project}"),
    ),
    Rule(
        kind="setuptools-too-new",
        pattern=re.compile(r"(?P<name>use_2to3) is invalid"),
        message="the source is written for Python 2 and asks setuptools to translate it, which it no longer does",
        mend=("build.constraints: setuptools<58", "version: a newer release of {project}"),
    ),
    Rule(
        kind="setuptools-too-new",
        pattern=re.compile(
            r"(?P<name>License classifiers (?:have been superseded|are deprecated)[^.]*|`project\.license` (?:as a TOML table|must be)[^.]*|invalid pyproject\.toml config|configuration error: `[\w.-]+` must"
            r"|[Ii]nvalid dash-separated (?:option|key)|Multiple top-level packages discovered|AttributeError: module 'setuptools' has no attribute '\w+'|cannot import name '\w+' from 'setuptools[\w.]*'"
            r"|error: invalid command 'test'|'install_layout'|has no attribute '_fix_compile_args')"
        ),
        message="the setuptools that was resolved is too new for this source ({name})",
        mend=("build.constraints: setuptools<77", "version: a newer release of {project}"),
    ),
    Rule(
        kind="setuptools-too-old",
        pattern=re.compile(r"error: invalid command '(?P<name>bdist_wheel)'"),
        message="the setuptools that was resolved cannot make wheels by itself",
        mend=("build.requires: wheel", "build.requires: setuptools>=70.1"),
    ),
    Rule(
        kind="import-failed",
        pattern=re.compile(r"(?P<name>(?:ModuleNotFoundError|ImportError): .*)"),
        message="the finished wheel cannot be imported: {name}",
        mend=("test.imports: the modules that the wheel holds", "test.requires: what the import needs besides"),
        stages=frozenset({"test", "check", "trial"}),
    ),
    Rule(
        kind="missing-module",
        pattern=re.compile(rf"(?:ModuleNotFoundError|ImportError): No module named {_QUOTE}?(?P<name>[\w.]+){_QUOTE}?"),
        message="the build imports the Python module `{name}`, which is not among its requirements",
        mend=("build.requires: {distribution}",),
    ),
    Rule(
        kind="missing-module",
        pattern=re.compile(
            r"(?:Cannot import '(?P<name>[\w.]+)'|BackendUnavailable: .*'(?P<other>[\w.]+)'|Backend '(?P<third>[\w.]+)(?::\w+)?' is not available)"
        ),
        message="the build back end `{name}` is not among the build requirements",
        mend=("build.requires: {distribution}",),
    ),
    Rule(
        kind="missing-module",
        pattern=re.compile(
            r"Missing dependencies:?$|missing build requirements? `?(?P<name>[\w.-]+)`?|(?P<other>[\w.-]+)(?:[<>=~!][\S]*)? not (?:satisfied|installed) .*build requirement|Getting requirements to build wheel.* (?P<third>[\w.-]+) is missing"
        ),
        message="a build requirement is not there: {name}",
        mend=("build.requires: {name}",),
        weight=Weight.PROBE,
    ),
    Rule(
        kind="python-2-source",
        pattern=re.compile(r"SyntaxError: Missing parentheses in call to '(?P<name>print|exec)'"),
        message="the source is written for Python 2",
        mend=("version: a newer release of {project}",),
    ),
)
