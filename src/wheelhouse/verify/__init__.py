"""A wheel and what is told of it in; whether it is what it is said to be out."""

from __future__ import annotations

from wheelhouse.verify.claims import Claims, claims_beside
from wheelhouse.verify.codes import Code
from wheelhouse.verify.examine import provenances, verify_wheel
from wheelhouse.verify.identity import Identity
from wheelhouse.verify.published import on_index

__all__ = ["Claims", "Code", "Identity", "claims_beside", "on_index", "provenances", "verify_wheel"]
