from __future__ import annotations

from fake_salt import a_minion
from fakes import FakeFacts, a_job
from wheelhouse.farm.salt.attempt import Attempt, Post, Work, choose
from wheelhouse.plan import make_plan


def a_work(*, depends: tuple[str, ...] = (), memory: int = 0) -> Work:
    jobs = [a_job("spam", depends=depends), *(a_job(name) for name in depends)]
    entry = next(entry for entry in make_plan(jobs, FakeFacts()).entries if entry.job.project == "spam")
    return Work(entry=entry, waiting=0.0)


def a_post(name: str, *, load: int = 0, width: int = 4, libc: str = "2.36", memory: int = 0) -> Post:
    post = Post(minion=a_minion(name, width=width, libc_version=libc, memory=memory), heard=0.0)
    for _ in range(load):
        occupy(post, a_work())
    return post


def occupy(post: Post, work: Work) -> None:
    attempt = Attempt(work=work, ticket="t", minion=post.minion.id, state="running", since=0.0, deadline=1.0, bundle="")
    work.attempts.append(attempt)
    post.attempts.append(attempt)


def test_choose__most_room__by_what_a_minion_holds() -> None:
    posts = [a_post("small", load=1, width=2), a_post("big", load=3, width=12)]
    chosen = choose(a_work(), posts)
    assert chosen is posts[1]


def test_choose__all_full__waits() -> None:
    assert choose(a_work(), [a_post("a", load=2, width=2)]) is None
    assert choose(a_work(), []) is None


def test_choose__memory__is_kept_and_an_empty_minion_takes_any_job() -> None:
    assert choose(a_work(), [a_post("a", load=1, memory=1_500_000_000)]) is None
    empty = a_post("a", memory=1)
    assert choose(a_work(), [empty]) is empty


def test_choose__the_oldest_c_library_is_full__waits_for_it() -> None:
    assert choose(a_work(), [a_post("old", load=4, libc="2.17"), a_post("new")]) is None


def test_choose__failed_at_it_before__goes_to_another() -> None:
    work, failed, other = a_work(), a_post("a"), a_post("b", load=3)
    occupy(failed, work)
    work.attempts[0].state = "ended"
    assert choose(work, [failed, other]) is other


def test_choose__has_what_it_depends_on__goes_there() -> None:
    has = a_post("a", load=3)
    has.built.add(a_job("library").id)
    assert choose(a_work(depends=("library",)), [a_post("b"), has]) is has
