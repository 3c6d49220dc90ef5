"""Bytes and a destination in; a promise out that they are kept until delivered, whatever crashes in between.

A folder of files by sha256, and a journal that says where each is to go. See `spool.Spool`.
"""

from __future__ import annotations

from wheelhouse.spool.backoff import Backoff
from wheelhouse.spool.inspection import Inspection, fsck
from wheelhouse.spool.item import Item, State, Stats
from wheelhouse.spool.spool import Spool

__all__ = ["Backoff", "Inspection", "Item", "Spool", "State", "Stats", "fsck"]
