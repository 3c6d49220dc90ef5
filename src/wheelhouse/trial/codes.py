"""The findings of a trial: their codes and what each means, for the trial and for the reference documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

REFUSED: Final = "WH401"
IMPORT_FAILED: Final = "WH402"
FOREIGN_MODULE: Final = "WH403"
COMMAND_FAILED: Final = "WH404"
CRASHED: Final = "WH405"
TIMED_OUT: Final = "WH406"
LEAKED_LIBRARY: Final = "WH407"
NOT_EXECUTED: Final = "WH408"
DEPENDENCY_MISSING: Final = "WH409"
EXTENSION_IDLE: Final = "WH410"

#: Code -> what it says, in one sentence.
MEANINGS: Final[Mapping[str, str]] = {
    REFUSED: "an installer refuses the wheel for the target that it was built for",
    IMPORT_FAILED: "a module cannot be imported from the installed wheel",
    FOREIGN_MODULE: "a module that should come from the wheel was found somewhere else",
    COMMAND_FAILED: "the recipe's test command ended with a status other than 0",
    CRASHED: "an import or the test command was ended by a signal, or ended the interpreter",
    TIMED_OUT: "the trial ran longer than it may",
    LEAKED_LIBRARY: "the wheel uses a library of the machine that not every machine of its platform has",
    NOT_EXECUTED: "the wheel was not run, because nothing here can run it",
    DEPENDENCY_MISSING: "what the wheel or its test requires cannot be installed",
    EXTENSION_IDLE: "no extension module of the wheel was loaded by the trial",
}
