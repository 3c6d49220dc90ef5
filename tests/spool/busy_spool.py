"""Programs over a spool, to be killed: `busy_spool.py accept|deliver FOLDER`. Each line on stdout is a promise."""

from __future__ import annotations

import io
import itertools
import os
import sys
import time
from pathlib import Path

from wheelhouse.spool import Spool


def accept(folder: Path) -> None:
    """Accept without end; a line is written once the spool has promised."""
    with Spool(folder) as spool:
        for number in itertools.count():
            data = f"{os.getpid()} {number}\n".encode() * (1 + number % 2000)
            name = f"{os.getpid()}-{number}"
            item = spool.accept(io.BytesIO(data), target="t", name=name, order_key=f"project-{number % 3}")
            sys.stdout.write(f"{item.sha256} {name}\n")
            sys.stdout.flush()


def deliver(folder: Path) -> None:
    """Deliver all that is there once a line comes in, a little slowly, and tell each before and after."""
    with Spool(folder) as spool:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        while True:
            item = spool.lease()
            if item is None:
                if not spool.stats().waiting:
                    return
                time.sleep(0.002)
                continue
            sys.stdout.write(f"begin {item.id} {item.order_key}\n")
            sys.stdout.flush()
            time.sleep(0.001)
            sys.stdout.write(f"end {item.id} {item.order_key}\n")
            sys.stdout.flush()
            spool.done(item)


if __name__ == "__main__":
    {"accept": accept, "deliver": deliver}[sys.argv[1]](Path(sys.argv[2]))
