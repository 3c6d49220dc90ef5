"""A program that publishes files without end, several at once, and says each one that it was told is safe.

To be killed at any moment.

Arguments: the store's folder, a folder for sources, and a word for the names.
"""

from __future__ import annotations

import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from arrivals import an_arrival
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.stores.folder import FolderStore

THREADS = 4


def main(store: Path, sources: Path, word: str) -> None:
    repository = Repository(store=FolderStore.open(store))
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(partial(publish, repository, sources), (f"{word}.{thread}" for thread in range(THREADS))))


def publish(repository: Repository, sources: Path, word: str) -> None:
    for number in itertools.count():
        name = f"spam-{number}+{word}.tar.gz"
        new, source = an_arrival(sources, name, os.urandom(3000) + name.encode())
        with repository.store.scratch() as scratch:
            scratch.write(source.read_bytes())
            scratch.flush()
            repository.add_file(new, Path(scratch.name))
        os.write(sys.stdout.fileno(), f"{name} {new.sha256}\n".encode())  # a line at once, whatever else is written


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
