"""`wheelhouse spool`: what was accepted and is not yet delivered, and what to do about it."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.publish import conclude, connect, open_spool, teller
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import SpoolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.cli.session import Session
    from wheelhouse.publish import Destination, Sent, Uploader
    from wheelhouse.spool import Item, Spool, Stats

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_INDEX = "index:"
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Address:
    """An item, and the spool it is in."""

    number: int
    of_index: bool
    """In the spool of `wheelhouse serve`; else in that of `wheelhouse publish`."""

    def __str__(self) -> str:
        return f"{_INDEX if self.of_index else ''}{self.number}"


class _AddressType(click.ParamType[_Address]):
    name = "item"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> _Address:
        text = str(value)
        digits = text.removeprefix(_INDEX)
        if not digits.isdecimal():
            self.fail(f"{text!r} is no item: `wheelhouse spool list` shows them, as 12 or {_INDEX}12", param, ctx)
        return _Address(number=int(digits), of_index=text.startswith(_INDEX))


_ADDRESS = _AddressType()


@click.group()
def spool() -> None:
    """Look after wheels, and records of builds, that were accepted for an index and are not yet there.

    There are two spools: that of `wheelhouse publish` and that of `wheelhouse serve`, whose items are written index:12.
    """


@spool.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the items and the totals as JSON.")
@pass_session
def list_items(session: Session, *, as_json: bool) -> None:
    """List what waits and what was set aside: number, state, age, target, file, and what was said last."""
    items: list[tuple[_Address, Item]] = []
    stats: dict[bool, Stats | None] = {}
    for of_index in (False, True):
        with _existing(session, of_index=of_index) as there:
            found = there.items() if there is not None else []
            stats[of_index] = there.stats() if there is not None else None
        items += [(_Address(number=item.id, of_index=of_index), item) for item in found]
    if as_json:
        told = [{**item.to_json(), "item": str(address)} for address, item in items]
        session.json({"items": told, "stats": stats[False], "index": stats[True]})
        return
    now = time.time()
    for address, item in items:
        said = f"  {item.verdict}" if item.verdict else ""
        age = _span(now - item.accepted)
        click.echo(f"{address!s:>9}  {_state(item, now):<22}  {age:>4}  {item.target}  {item.name}{said}")
    if not items:
        session.talk.print("the spool is empty")
    for of_index, counted in stats.items():
        if counted is not None and counted.waiting + counted.aside:
            session.talk.print(
                f"{'index: ' if of_index else ''}{counted.waiting} waiting, {counted.aside} set aside;"
                f" {counted.size / 1e6:,.1f} of {counted.limit / 1e6:,.0f} MB",
                markup=False,
            )


@spool.command()
@click.argument("item", type=_ADDRESS)
@click.option("--json", "as_json", is_flag=True, help="Print the item as JSON.")
@pass_session
def show(session: Session, *, item: _Address, as_json: bool) -> None:
    """Show all that is known of one item."""
    with _needed(session, [item], of_index=item.of_index) as there:
        found = there.item(item.number)
    if as_json:
        session.json(found.to_json())
        return
    for key, value in found.to_json().items():
        if key in {"accepted", "not_before", "leased_until"}:
            value = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(value)) if value else "-"  # noqa: PLW2901 - for people
        click.echo(f"{key:<13} {value}")


@spool.command()
@click.argument("items", nargs=-1, type=_ADDRESS, metavar="[ITEM]...")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=60.0, metavar="SECONDS")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each wheel as JSON.")
@pass_session
def retry(session: Session, *, items: tuple[_Address, ...], timeout: float, as_json: bool) -> None:
    """Deliver what waits, now. Items named here are tried even if they were set aside.

    Those of one project go in the order in which they were accepted. Exit status 20: the index refused a wheel.
    What is in the spool of `wheelhouse serve` is delivered by the server, while it runs.
    """
    from wheelhouse.publish import Destination, Sender, deliver  # noqa: PLC0415 - start-up time
    from wheelhouse.spool import State  # noqa: PLC0415 - likewise

    sent: list[Sent] = []
    own = [item for item in items if not item.of_index]
    with ExitStack() as stack:
        there = stack.enter_context(_needed(session, own, of_index=False))
        _hurry_index(session, [item for item in items if item.of_index])
        for address in own:
            there.revive(address.number)
        waiting = [item for item in there.items() if item.state is State.WAITING]
        for url in dict.fromkeys(item.target for item in waiting):
            repository = next((item.fields.get("repository") for item in waiting if item.target == url), None)
            destination = Destination(url=url, repository=repository)
            with _uploader(session, destination, timeout=timeout) as uploader:
                sender = Sender(
                    destination=destination,
                    uploader=uploader,
                    spool=there,
                    tell=teller(session, as_json=as_json),
                )
                sent += deliver(sender).sent
    conclude(session, sent, None, as_json=as_json)


@spool.command()
@click.argument("items", nargs=-1, required=True, type=_ADDRESS, metavar="ITEM...")
@pass_session
def drop(session: Session, *, items: tuple[_Address, ...]) -> None:
    """Give items up: they will not be delivered, and their bytes are removed from the spool."""
    with ExitStack() as stack:
        spools = {
            of_index: stack.enter_context(
                _needed(session, [item for item in items if item.of_index == of_index], of_index=of_index)
            )
            for of_index in {item.of_index for item in items}
        }
        for address in items:
            click.echo(f"dropped {spools[address.of_index].forget(address.number).name}")


@spool.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@pass_session
def fsck(session: Session, *, as_json: bool) -> None:
    """Read every byte of the spools; set aside what is damaged, and remove what nobody waits for.

    Exit status 22: something that was accepted is damaged.
    """
    from wheelhouse.spool import Inspection, State  # noqa: PLC0415 - start-up time
    from wheelhouse.spool import fsck as inspect  # noqa: PLC0415 - likewise

    read: list[Inspection] = []
    for of_index in (False, True):
        with _existing(session, of_index=of_index) as there:
            read += [inspect(there)] if there is not None else []
    found = Inspection(
        items=sum(one.items for one in read),
        damaged=tuple(item for one in read for item in one.damaged),
        orphans=tuple(orphan for one in read for orphan in one.orphans),
        journal=tuple(fault for one in read for fault in one.journal),
    )
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
            where=os.fspath(session.workspace.state),
            hint="publish these wheels again; `wheelhouse spool drop` gives up what cannot be had",
        )


@contextmanager
def _uploader(session: Session, destination: Destination, *, timeout: float) -> Iterator[Uploader]:
    """Give what delivers to an address: wheels, or the records of builds."""
    from wheelhouse.cli.recording import IndexRecords, takes_records  # noqa: PLC0415 - start-up time

    if takes_records(destination.url):
        with IndexRecords.of(destination.url, session.talk.print) as records:
            yield records
        return
    with connect(destination, timeout=timeout, settings=session.workspace.config.publish) as uploader:
        yield uploader


def _hurry_index(session: Session, items: list[_Address]) -> None:
    """Let the server deliver at once what waits in its spool, and these items too."""
    from wheelhouse.spool import State  # noqa: PLC0415 - start-up time

    with _existing(session, of_index=True) as existing:
        if existing is None and not items:
            return
    with _needed(session, items, of_index=True) as there:
        for address in items:
            there.revive(address.number)
        waiting = [item for item in there.items() if item.state is State.WAITING]
        for target in {item.target for item in waiting}:
            there.hurry(target)
    if waiting:
        session.talk.print(
            f"{len(waiting)} in the spool of `wheelhouse serve`: the server delivers them while it runs", markup=False
        )


def _open(session: Session, *, of_index: bool) -> Spool:
    if not of_index:
        return open_spool(session)
    from wheelhouse.spool import Spool  # noqa: PLC0415 - start-up time

    workspace = session.workspace
    return Spool(workspace.index_spool, limit_bytes=workspace.config.serve.spool_megabytes * _MEGABYTE)


@contextmanager
def _existing(session: Session, *, of_index: bool) -> Iterator[Spool | None]:
    """Open a spool; None: there is none, and looking does not make one."""
    workspace = session.workspace
    if not (workspace.index_spool if of_index else workspace.spool).is_dir():
        yield None
        return
    with _open(session, of_index=of_index) as there:
        yield there


@contextmanager
def _needed(session: Session, items: list[_Address], *, of_index: bool) -> Iterator[Spool]:
    """Open a spool, and see that the items are there before anything is done to one of them. Raises SpoolError."""
    with _open(session, of_index=of_index) as there:
        for address in items:
            there.item(address.number)
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
