"""A program that publishes files without end and says each one that it was told is safe: to be killed at any moment.

Arguments: the store's folder, a folder for sources, and a word for the names.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from arrivals import an_arrival
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.stores.folder import FolderStore


def main(store: Path, sources: Path, word: str) -> None:
    repository = Repository(store=FolderStore.open(store))
    for number in itertools.count():
        name = f"spam-{number}+{word}.tar.gz"
        new, source = an_arrival(sources, name, os.urandom(3000) + name.encode())
        with repository.store.scratch() as scratch:
            scratch.write(source.read_bytes())
            scratch.flush()
            repository.add_file(new, Path(scratch.name))
        sys.stdout.write(f"{name} {new.sha256}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
