"""A store around a store: all is handed on, and what a kind of store does otherwise it overrides."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime
    from pathlib import Path
    from typing import BinaryIO

    from packaging.utils import NormalizedName

    from wheelhouse.index.model import Manifest, Sha256
    from wheelhouse.index.stores.store import Blob, Store

_NOTHING: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True)
class WrappedStore:
    """Speaks the protocol of `store.Store`; its docstrings hold."""

    inner: Store

    def around(self) -> AbstractContextManager[None]:
        """Surround every question to the inner store but `local_path`, which files in their thousands go through."""
        return _NOTHING

    @property
    def address(self) -> str:
        """The inner one's."""
        return self.inner.address

    @contextmanager
    def scratch(self) -> Iterator[BinaryIO]:
        """Hand on."""
        with self.around(), self.inner.scratch() as file:
            yield file

    def put_file(self, source: Path, sha256: Sha256) -> None:
        """Hand on."""
        with self.around():
            self.inner.put_file(source, sha256)

    def put_bytes(self, data: bytes, sha256: Sha256) -> None:
        """Hand on."""
        with self.around():
            self.inner.put_bytes(data, sha256)

    def local_path(self, sha256: Sha256) -> Path | None:
        """Hand on."""
        return self.inner.local_path(sha256)

    def find_blob(self, sha256: Sha256) -> Blob | None:
        """Hand on."""
        with self.around():
            return self.inner.find_blob(sha256)

    def open_range(self, sha256: Sha256, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Hand on."""
        with self.around():
            yield from self.inner.open_range(sha256, start, end)

    def blobs(self) -> Iterator[Blob]:
        """Hand on."""
        with self.around():
            yield from self.inner.blobs()

    def remove_blob(self, sha256: Sha256, *, put_before: datetime) -> bool:
        """Hand on."""
        with self.around():
            return self.inner.remove_blob(sha256, put_before=put_before)

    def read_manifest(self, project: NormalizedName) -> Manifest | None:
        """Hand on."""
        with self.around():
            return self.inner.read_manifest(project)

    def swap_manifest(self, manifest: Manifest) -> bool:
        """Hand on."""
        with self.around():
            return self.inner.swap_manifest(manifest)

    def write(self, blobs: Sequence[tuple[bytes, Sha256]], manifests: Sequence[Manifest]) -> Sequence[bool]:
        """Hand on."""
        with self.around():
            return self.inner.write(blobs, manifests)

    def projects(self) -> Mapping[NormalizedName, str]:
        """Hand on."""
        with self.around():
            return self.inner.projects()

    def names(self) -> AbstractSet[NormalizedName]:
        """Hand on."""
        with self.around():
            return self.inner.names()

    def mark(self, project: NormalizedName) -> str | None:
        """Hand on."""
        with self.around():
            return self.inner.mark(project)

    def claim(self, name: str, *, until: datetime) -> bool:
        """Hand on."""
        with self.around():
            return self.inner.claim(name, until=until)

    def pulse(self) -> str | None:
        """Hand on."""
        return self.inner.pulse()

    def staged(self, stage: NormalizedName) -> Store:
        """Return the inner one's: what is known here of projects is not true of a stage."""
        return self.inner.staged(stage)

    def stages(self) -> Sequence[NormalizedName]:
        """Hand on."""
        with self.around():
            return self.inner.stages()

    def remove_manifest(self, manifest: Manifest, *, written_before: datetime) -> bool:
        """Hand on."""
        with self.around():
            return self.inner.remove_manifest(manifest, written_before=written_before)

    def tidy(self, *, put_before: datetime) -> int:
        """Hand on."""
        with self.around():
            return self.inner.tidy(put_before=put_before)
