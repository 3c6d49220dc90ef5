"""`wheelhouse spool`: what was accepted and is not yet delivered, and what to do about it."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.publish import conclude, connect, open_spool, teller
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.cli.session import Session
    from wheelhouse.publish import Sent
    from wheelhouse.spool import Item, Spool

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@click.group()
def spool() -> None:
    """Look after wheels that were accepted for an index and are not yet there."""


@spool.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the items and the totals as JSON.")
@pass_session
def list_items(session: Session, *, as_json: bool) -> None:
    """List what waits and what was set aside, oldest first: number, state, age, file, and what was said last."""
    with _existing(session) as there:
        items = there.items() if there is not None else []
        stats = there.stats() if there is not None else None
    if as_json:
        session.json({"items": [item.to_json() for item in items], "stats": stats})
        return
    now = time.time()
    for item in items:
        said = f"  {item.verdict}" if item.verdict else ""
        click.echo(f"{item.id:>5}  {_state(item, now):<22}  {_span(now - item.accepted):>4}  {item.name}{said}")
    if stats is None or not items:
        session.talk.print("the spool is empty")
        return
    session.talk.print(
        f"{stats.waiting} waiting, {stats.aside} set aside; {stats.size / 1e6:,.1f} of {stats.limit / 1e6:,.0f} MB",
        markup=False,
    )


@spool.command()
@click.argument("item", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print the item as JSON.")
@pass_session
def show(session: Session, *, item: int, as_json: bool) -> None:
    """Show all that is known of one item."""
    with _needed(session, item) as there:
        found = there.item(item)
    if as_json:
        session.json(found.to_json())
        return
    for key, value in found.to_json().items():
        if key in {"accepted", "not_before", "leased_until"}:
            value = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(value)) if value else "-"  # noqa: PLW2901 - for people
        click.echo(f"{key:<13} {value}")


@spool.command()
@click.argument("items", nargs=-1, type=int, metavar="[ITEM]...")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0, metavar="SECONDS")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each wheel as JSON.")
@pass_session
def retry(session: Session, *, items: tuple[int, ...], timeout: float, as_json: bool) -> None:
    """Deliver what waits, now. Items named here are tried even if they were set aside.

    Those of one project go in the order in which they were accepted. Exit status 20: the index refused a wheel.
    """
    from wheelhouse.publish import Destination, Sender, deliver  # noqa: PLC0415 - start-up time
    from wheelhouse.spool import State  # noqa: PLC0415 - likewise

    sent: list[Sent] = []
    with _needed(session, *items) as there:
        for identifier in items:
            there.revive(identifier)
        waiting = [item for item in there.items() if item.state is State.WAITING]
        for url in dict.fromkeys(item.target for item in waiting):
            repository = next((item.fields.get("repository") for item in waiting if item.target == url), None)
            destination = Destination(url=url, repository=repository)
            with connect(destination, timeout=timeout) as uploader:
                sender = Sender(
                    destination=destination,
                    uploader=uploader,
                    spool=there,
                    tell=teller(session, as_json=as_json),
                )
                sent += deliver(sender).sent
    conclude(session, sent, None, as_json=as_json)


@spool.command()
@click.argument("items", nargs=-1, required=True, type=int, metavar="ITEM...")
@pass_session
def drop(session: Session, *, items: tuple[int, ...]) -> None:
    """Give items up: they will not be delivered, and their bytes are removed from the spool."""
    with _needed(session, *items) as there:
        for identifier in items:
            click.echo(f"dropped {there.forget(identifier).name}")


@spool.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@pass_session
def fsck(session: Session, *, as_json: bool) -> None:
    """Read every byte of the spool; set aside what is damaged, and remove what nobody waits for.

    Exit status 22: something that was accepted is damaged.
    """
    from wheelhouse.spool import Inspection, State  # noqa: PLC0415 - start-up time
    from wheelhouse.spool import fsck as inspect  # noqa: PLC0415 - likewise

    with _existing(session) as there:
        found = inspect(there) if there is not None else Inspection(items=0, damaged=(), orphans=(), journal=())
    if as_json:
        session.json(
            {
                "items": found.items,
                "damaged": [item.to_json() | {"state": str(State.ASIDE)} for item in found.damaged],
                "orphans": found.orphans,
                "journal": found.journal,
            }
        )
    session.talk.print(f"{found.items} items read, {len(found.orphans)} files of no item removed", markup=False)
    if not found.sound:
        names = [f"{item.name} (item {item.id})" for item in found.damaged]
        raise SpoolError(
            f"damaged: {', '.join([*names, *found.journal])}",
            where=os.fspath(session.workspace.spool),
            hint="publish these wheels again; `wheelhouse spool drop` gives up what cannot be had",
        )


@contextmanager
def _existing(session: Session) -> Iterator[Spool | None]:
    """Open the spool; None: there is none, and looking does not make one."""
    if not session.workspace.spool.is_dir():
        yield None
        return
    with open_spool(session) as there:
        yield there


@contextmanager
def _needed(session: Session, *items: int) -> Iterator[Spool]:
    """Open the spool, and see that the items are there before anything is done to one of them. Raises SpoolError."""
    with open_spool(session) as there:
        for identifier in items:
            there.item(identifier)
        yield there


def _state(item: Item, now: float) -> str:
    """Return where an item stands, in words for a column."""
    if item.state != "waiting":
        return str(item.state)
    if item.leased_until is not None:
        return "being delivered"
    if item.not_before > now:
        return f"waiting, again in {_span(item.not_before - now)}"
    return "waiting"


def _span(seconds: float) -> str:
    """Return a length of time in its largest whole unit."""
    for unit, size in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
