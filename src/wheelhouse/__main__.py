"""`wheelhouse` and `python -m wheelhouse`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    from wheelhouse.cli import run  # noqa: PLC0415 - after the interpreter knows that it is us who start

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
