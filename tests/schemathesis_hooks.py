"""What schemathesis, a process of its own, is told besides: names that are there, and what no answer may have in it.

`WHEELHOUSE_KNOWN` is a JSON object: values of path parameters, and `secrets`.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

import schemathesis

_KNOWN = json.loads(os.environ["WHEELHOUSE_KNOWN"])
_SECRETS = (*_KNOWN["secrets"], "Traceback", "site-packages", "wheelhouse/index")


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Put in what is there, for two of three, by what was drawn: the same draw is the same request."""
    if not path_parameters or zlib.crc32(repr(path_parameters).encode()) % 3 == 0:
        return path_parameters
    return {name: _KNOWN.get(name, value) for name, value in path_parameters.items()}


@schemathesis.check
def tells_no_secret(context: Any, response: Any, case: Any) -> None:
    """Hold an answer against what no answer may tell."""
    everything = response.content + repr(response.headers).encode()
    assert not [secret for secret in _SECRETS if secret.encode() in everything]
