"""Wheels that passed their checks in; on the index out, or in the spool on their way there."""

from __future__ import annotations

from wheelhouse.publish.destination import Destination, find_destination
from wheelhouse.publish.prepare import Publishable, checking, prepare
from wheelhouse.publish.reply import Reply, Uploader, Verdict
from wheelhouse.publish.sending import Delivered, Outcome, Sender, Sent, deliver, insist, publish

__all__ = [
    "Delivered",
    "Destination",
    "Outcome",
    "Publishable",
    "Reply",
    "Sender",
    "Sent",
    "Uploader",
    "Verdict",
    "checking",
    "deliver",
    "find_destination",
    "insist",
    "prepare",
    "publish",
]
