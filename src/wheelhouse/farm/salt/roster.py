"""Who is there: minions as they answer, come and fall silent in; those that can take a job, and those lost, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wheelhouse.builders import Unavailable
from wheelhouse.farm.salt.attempt import Post
from wheelhouse.farm.salt.minion import fit, read_minion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wheelhouse.farm.salt.attempt import Work
    from wheelhouse.farm.salt.bus import Returned
    from wheelhouse.farm.salt.minion import Minion
    from wheelhouse.job import BuilderName
    from wheelhouse.target import BuildIdentifier

    Kind = tuple[BuildIdentifier, bool, BuilderName | None]


def kind_of(work: Work) -> Kind:
    """Return what decides which minions fit a job: thousands of jobs are of a few kinds."""
    job = work.entry.job
    return (job.target, job.extension, work.entry.builder)


class Roster:
    """The minions of a run."""

    def __init__(
        self,
        minions: Sequence[Minion],
        *,
        lost_after: float,
        clock: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._lost_after, self._clock, self._tell = lost_after, clock, tell
        self._posts = {minion.id: Post(minion=minion, heard=clock()) for minion in minions}
        self._fitting: dict[Kind, list[Post]] = {}

    def __getitem__(self, minion: str) -> Post:
        """Return a minion that is known, by its id."""
        return self._posts[minion]

    def __iter__(self) -> Iterator[Post]:
        """Return all that are known."""
        return iter(self._posts.values())

    def fitting(self, work: Work) -> list[Post]:
        """Return the minions that are there and can build a job by the builder that was planned."""
        kind = kind_of(work)
        if kind not in self._fitting:
            job, builder = work.entry.job, work.entry.builder
            assert builder is not None  # noqa: S101 - what cannot be built is not in the queue
            self._fitting[kind] = [post for post in self if fit(job, post.minion, builder) == builder]
        return [post for post in self._fitting[kind] if not post.away]

    def heard(self, minion: str) -> None:
        """Note that a minion has answered."""
        post = self._posts.get(minion)
        if post is None:
            return
        post.heard, post.unanswered = self._clock(), 0
        if post.away:
            post.away = False
            self._tell(f"{minion} is back")

    def asked(self, minions: Iterable[str]) -> None:
        """Note that the master has sent them a question."""
        for minion in minions:
            self._posts[minion].unanswered += 1

    def master_is_back(self) -> None:
        """Note that nobody was silent who could not be heard while the master was away."""
        for post in self:
            post.heard, post.unanswered = self._clock(), 0

    def join(self, answer: Returned) -> None:
        """Take in what a minion says that it can do; one that is new may get jobs from now on."""
        minion = read_minion(answer.minion, answer.value)
        if isinstance(minion, Unavailable):
            return
        self._fitting.clear()
        known = self._posts.get(minion.id)
        if known is not None:
            known.minion = minion
            self.heard(minion.id)
        else:
            self._tell(f"{minion.id} joins")
            self._posts[minion.id] = Post(minion=minion, heard=self._clock())

    def lost(self) -> list[tuple[Post, float]]:
        """Return the minions that have jobs and are taken for dead from now on, and how long they have been silent."""
        now = self._clock()
        found = [
            (post, now - post.heard)
            for post in self
            if not post.away and post.load and post.unanswered > 1 and now - post.heard > self._lost_after
        ]
        for post, silent in found:
            post.away = True
            self._tell(f"{post.minion.id} has been silent for {silent:.0f} s: its jobs go elsewhere")
        return found
