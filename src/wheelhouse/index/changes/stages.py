"""Files that are uploaded and not on the index yet: staged, looked at, then published all at once, or dropped.

A stage is a store over the same blobs with manifests of its own (`Store.staged`), one a project. Publishing a project
is one swap of its manifest on the index, so that a release is there whole or not at all; only then its staged manifest
is emptied, at the very generation that was published. So a crash anywhere can be mended by publishing again, and what
is staged in between is neither lost nor published unseen.

While a project is being published its staged manifest is `archived` (PEP 792): it takes no files, and is not dropped.
So its bytes are named by a manifest at every moment, and `gc` leaves them alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, is_normalized_name

from wheelhouse.errors import FileExistsDifferentError, IndexRefusesError, NotOnIndexError
from wheelhouse.index.changes.repository import Repository, as_new

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from wheelhouse.index.changes.repository import Outcome
    from wheelhouse.index.model import File, Manifest
    from wheelhouse.index.stores.store import Store

_LONGEST = 64
_BEING_PUBLISHED = "is being published"


def parse_stage(text: str) -> NormalizedName:
    """Return a stage's name. Raises NotOnIndexError: there can be no such stage."""
    if len(text) > _LONGEST or not is_normalized_name(text):
        raise NotOnIndexError(
            f"{text[:80]!r} is no stage's name",
            hint=f"small letters, digits and single `-` between them, {_LONGEST} at most",
        )
    return NormalizedName(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The stages of an index."""

    index: Repository

    def names(self) -> list[NormalizedName]:
        """Return the stages that have files."""
        return [stage for stage in self.index.store.stages() if any(found.files for found in self.manifests(stage))]

    def repository(self, stage: NormalizedName) -> Repository:
        """Return what uploads to a stage go to. A name that the index has with other bytes is refused here already."""
        store = self.index.store
        return Repository(store=store.staged(stage), base=store, now=self.index.now, pause=self.index.pause)

    def manifests(self, stage: NormalizedName) -> list[Manifest]:
        """Return what a stage has, by project: also the manifests that were emptied lately."""
        store = self.index.store.staged(stage)
        found = (store.read_manifest(project) for project in sorted(store.projects()))
        return [manifest for manifest in found if manifest is not None]

    def publish(self, stage: NormalizedName, staged: Sequence[Manifest]) -> list[Outcome]:
        """Bring all files of projects onto the index, each project in one step. Can be repeated, after a crash too.

        Raises FileExistsDifferentError or IndexRefusesError before anything is published if one file cannot be.
        """
        here = self.repository(stage)
        held = [here.set_status(found.name, "archived", _BEING_PUBLISHED) for found in staged if found.files]
        try:
            self._expect_no_conflicts(held)
            return [outcome for manifest in held for outcome in self._publish(here.store, manifest)]
        except IndexRefusesError:
            self._release(here, held)
            raise

    def drop(self, stage: NormalizedName, staged: Sequence[Manifest]) -> list[File]:
        """Take projects off a stage, and return the files that were there. Raises IndexRefusesError."""
        store = self.index.store.staged(stage)
        dropped: list[File] = []
        for found in staged:
            while (manifest := store.read_manifest(found.name)) is not None and manifest.files:
                if manifest.status == "archived":
                    raise IndexRefusesError(
                        f"{found.name} on the stage {stage} {_BEING_PUBLISHED}",
                        hint="if that was cut short, publish the stage again: it ends the work, or says what is wrong",
                    )
                if store.swap_manifest(_emptied(manifest)):
                    dropped += manifest.files
        return dropped

    def _expect_no_conflicts(self, staged: Sequence[Manifest]) -> None:
        """Hold all projects against the index before the first is published."""
        errors: list[IndexRefusesError] = []
        for manifest in staged:
            published = self.index.store.read_manifest(manifest.name)
            for file in manifest.files:
                try:
                    self.index.judge(published, [as_new(file)])
                except IndexRefusesError as error:
                    errors.append(error)
        if errors:
            kind = FileExistsDifferentError if isinstance(errors[0], FileExistsDifferentError) else IndexRefusesError
            reasons = "\n".join(dict.fromkeys(error.message for error in errors))
            raise kind(f"nothing was published:\n{reasons}", hint=errors[0].hint)

    def _publish(self, store: Store, staged: Manifest) -> list[Outcome]:
        outcomes = self.index.add_kept(staged.name, staged.files)
        if not store.swap_manifest(_emptied(staged)):  # another one published the same, or a hand was in it
            now = store.read_manifest(staged.name)
            if now is not None and now.files:
                raise IndexRefusesError(
                    f"{staged.name} was changed on its stage while it was published", hint="publish the stage again"
                )
        return outcomes

    @staticmethod
    def _release(here: Repository, held: Sequence[Manifest]) -> None:
        """Let projects that could not be published take files again, or be dropped."""
        for manifest in held:
            here.set_status(manifest.name, "active")


def _emptied(manifest: Manifest) -> Manifest:
    return manifest.changed(files=(), status="active", status_reason=None)


def expire(
    store: Store, *, staged_before: datetime, removed_before: datetime, dry_run: bool = False
) -> Iterator[tuple[NormalizedName, File]]:
    """Empty staged manifests that no file was put on since a moment, and remove those emptied before another.

    Yields each stage and file that goes. What is being published stays: that may have been cut short, and can be ended.
    """
    for stage in store.stages():
        staged = store.staged(stage)
        for project in staged.projects():
            manifest = staged.read_manifest(project)
            if manifest is None or manifest.status == "archived":
                continue
            if not manifest.files:
                if not dry_run:
                    staged.remove_manifest(manifest, written_before=removed_before)
            elif max(file.upload_time for file in manifest.files) < staged_before and (
                dry_run or staged.swap_manifest(_emptied(manifest))
            ):
                yield from ((stage, file) for file in manifest.files)
