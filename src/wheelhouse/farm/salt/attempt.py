"""What the dispatcher remembers: of a job the attempts at it, of a minion what it does and when it was last heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from wheelhouse.farm.salt.minion import Minion
    from wheelhouse.plan import Planned

#: What a job is taken to need when its recipe does not say (bytes).
_USUAL_MEMORY = 10**9

#: unsent: the master did not take it; sent: nobody has confirmed it; running: its minion says so; canceling: its time
#: is over, and its minion was told; left: it was given up, and may end all the same; ended: it counts no more.
State = Literal["unsent", "sent", "running", "canceling", "left", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for what (seconds), and how often to try."""

    heartbeat: float = 10.0
    """Between two questions to a minion that has jobs."""
    lost_after: float = 60.0
    """A minion that was silent for so long is taken for dead, and its jobs go elsewhere."""
    attempts: int = 3
    """At one job."""
    absent: float = 600.0
    """How long a job waits for a minion that fits and is not there."""
    grace: float = 120.0
    """What a job may take over its own timeout: to start, to publish."""
    discover: float = 60.0
    """Between two looks for minions that have come."""
    master: float = 2.0
    """Between two attempts to reach the master."""


@dataclass(slots=True, kw_only=True, eq=False)
class Attempt:
    """One minion's turn at one job."""

    work: Work
    ticket: str
    minion: str
    state: State
    since: float
    """When the state was entered, by the dispatcher's clock."""
    deadline: float
    bundle: str
    """The files that its minion needs."""

    @property
    def occupies(self) -> bool:
        """Whether it takes up room on its minion."""
        return self.state in {"unsent", "sent", "running", "canceling"}


@dataclass(slots=True, kw_only=True, eq=False)
class Work:
    """A job that was taken from the queue, until it is settled."""

    entry: Planned
    waiting: float | None
    """Since when it waits for a minion; None: it does not."""
    attempts: list[Attempt] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What became of the attempts that came to nothing."""

    @property
    def memory(self) -> int:
        """Bytes that it needs."""
        return self.entry.job.memory or _USUAL_MEMORY


@dataclass(slots=True, kw_only=True, eq=False)
class Post:
    """A minion as the dispatcher sees it."""

    minion: Minion
    heard: float
    """When it answered last."""
    unanswered: int = 0
    """Heartbeats that the master sent and it did not answer since."""
    away: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    built: set[str] = field(default_factory=set)
    """Ids of the jobs whose wheels it has."""

    @property
    def load(self) -> int:
        """How many jobs it has now."""
        return sum(attempt.occupies for attempt in self.attempts)

    def has_room(self, work: Work) -> bool:
        """Say whether it can take one more. A job that is bigger than the machine gets it for itself."""
        taken = [attempt for attempt in self.attempts if attempt.occupies]
        if not taken:
            return True
        memory = sum(attempt.work.memory for attempt in taken) + work.memory
        return len(taken) < self.minion.width and (not self.minion.memory or memory <= self.minion.memory)


def choose(work: Work, fitting: list[Post]) -> Post | None:
    """Return the minion that a job goes to now, of those that fit and are there; None: it has to wait.

    What is built without a container links against the minion's C library, so the oldest of those that fit is waited
    for: its wheels run on the most machines, whichever minions are busy. Then those that have not failed at the job,
    those that have the wheels it depends on, and those with the most room.
    """
    if work.entry.builder == "host" and fitting:
        oldest = min(post.minion.libc_age for post in fitting)
        fitting = [post for post in fitting if post.minion.libc_age == oldest]
    failed = {attempt.minion for attempt in work.attempts}
    depends = set(work.entry.depends)
    room = [post for post in fitting if post.has_room(work)]
    return min(
        room,
        key=lambda post: (post.minion.id in failed, not depends & post.built, post.load / post.minion.width),
        default=None,
    )
