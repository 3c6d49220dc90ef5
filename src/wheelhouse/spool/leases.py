"""The journal in; which of its items may be handed out now out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from wheelhouse.spool.owner import Owner


def due(
    connection: sqlite3.Connection, now: float, *, target: str | None, most: int, most_bytes: int | None
) -> list[sqlite3.Row]:
    """Return the oldest items that are due, and not behind another of their order key that is not among them."""
    blocked: set[tuple[str, str]] = set()
    chosen: list[sqlite3.Row] = []
    size = 0
    for row in connection.execute(
        "SELECT * FROM item WHERE state = 'waiting' AND (:target IS NULL OR target = :target) ORDER BY id",
        {"target": target},
    ):
        key = (row["target"], row["order_key"])
        if key in blocked:
            continue
        if row["owner"] is not None or row["not_before"] > now:
            blocked.add(key)
            continue
        size += row["size"]
        if chosen and most_bytes is not None and size > most_bytes:
            break
        chosen.append(row)
        if len(chosen) == most:
            break
    return chosen


def free_leases(connection: sqlite3.Connection, now: float, owner: Owner) -> None:
    """Take back what was leased for too long, or by a process that has ended."""
    held = connection.execute("SELECT DISTINCT owner FROM item WHERE owner IS NOT NULL").fetchall()
    dead = [row["owner"] for row in held if not owner.alive(row["owner"])]
    for name in dead:
        connection.execute("UPDATE item SET owner = NULL, leased_until = NULL WHERE owner = ?", (name,))
    if held:
        connection.execute("UPDATE item SET owner = NULL, leased_until = NULL WHERE leased_until <= ?", (now,))
