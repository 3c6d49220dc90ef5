"""`wheelhouse` and `python -m wheelhouse`."""

from __future__ import annotations

import gc
import os
import sys

#: Objects made until the collector looks for circles. Starting makes a few hundred thousand, and none of them goes.
_UNTIL_COLLECTION = 100_000


def main() -> None:
    """Run the command line and exit with its status."""
    gc.set_threshold(_UNTIL_COLLECTION)
    # Else pydantic reads the metadata of every package that is installed here, to look for plug-ins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from wheelhouse.cli import run  # noqa: PLC0415 - after the interpreter knows that it is us who start

    status = run(sys.argv[1:])
    gc.freeze()  # nor does the interpreter look for them before it ends, which takes 50 ms
    sys.exit(status)


if __name__ == "__main__":
    main()
