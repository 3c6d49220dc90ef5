"""An index that has a small wheel and another that it needs, readable with a token only: what clients are tried on."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from index_server import index_server, wheelhouse
from small_wheels import SmallWheel
from wheelhouse.index.changes.repository import NewFile, Repository
from wheelhouse.index.model import FileName, Sha256
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: Names that nobody has: what is installed came from here.
EGGS = SmallWheel(name="acme_eggs", files={"acme_eggs.py": "ANSWER = 42\n"}, metadata="Requires-Python: >=3.8\n")
SPAM = SmallWheel(
    name="acme_spam",
    files={"acme_spam.py": "from acme_eggs import ANSWER as ANSWER\n"},
    metadata="Requires-Python: >=3.8\nRequires-Dist: acme-eggs\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    url: str
    token: str


@contextmanager
def served(folder: Path, wheels: Iterable[SmallWheel] = (EGGS, SPAM)) -> Iterator[Served]:
    """Serve wheels to whoever has the token."""
    repository = Repository(store=FolderStore.open(folder / ".wheelhouse" / "index"))
    for wheel in wheels:
        path = wheel.write(folder / "made")
        data = path.read_bytes()
        new = NewFile(
            name=FileName.parse(path.name),
            sha256=Sha256(hashlib.sha256(data).hexdigest()),
            size=len(data),
            requires_python=">=3.8",
            metadata=wheel.members()[f"{wheel.dist_info}/METADATA"],
        )
        repository.add_file(new, path)
    (folder / "wheelhouse.toml").write_text('[serve]\nanonymous-read = "nobody"\n')
    with index_server(folder) as server:
        token = wheelhouse(folder, "token", "create", "reader", "--scope", "read:*")
        yield Served(url=server.url, token=token)
