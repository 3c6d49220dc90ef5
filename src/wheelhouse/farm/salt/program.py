"""Lines of JSON in, calls of Salt functions; what became of them out, as lines of JSON.

A program of its own, which `bus` starts with the Python that Salt is installed in: it imports nothing of wheelhouse.
One process makes all calls of a run, because starting Salt's client takes a second.

In:  {"call": 1, "to": ["m1"], "by": "list", "function": "test.ping", "arguments": {}}
Out: {"ready": "3008.4"}
     {"sent": 1, "minions": ["m1"]}  or  {"unsent": 1, "why": "…"}
     {"returned": 1, "minion": "m1", "code": 0, "value": true}
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import salt.client
import salt.config
import salt.utils.event
import salt.utils.jid
import salt.version
from salt.exceptions import SaltException

#: Calls whose returns are still told; what is older is forgotten.
_REMEMBERED = 20_000
_TICK = 1.0
_PATIENCE = 10.0


class _Program:
    def __init__(self, config: str) -> None:
        self._config = config
        self._opts = salt.config.client_config(config)
        self._client: Any = None
        self._calls: dict[str, int] = {}
        """By Salt's id of a job."""
        self._out = threading.Lock()
        self._listening = threading.Event()

    def run(self) -> None:
        """Work until the input ends."""
        threading.Thread(target=self._listen, daemon=True).start()
        self._listening.wait(_PATIENCE)  # else the first returns may come before we hear
        self.tell({"ready": str(salt.version.__version__)})
        for line in sys.stdin:
            self._send(json.loads(line))

    def tell(self, message: dict[str, Any]) -> None:
        """Print a message."""
        with self._out:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    def _send(self, request: dict[str, Any]) -> None:
        number = request["call"]
        jid = salt.utils.jid.gen_jid(self._opts)
        self._calls[jid] = number  # before it is sent: a return may come at once
        if len(self._calls) > _REMEMBERED:
            del self._calls[next(iter(self._calls))]
        try:
            if self._client is None:
                self._client = salt.client.LocalClient(self._config)
            sent = self._client.run_job(
                request["to"],
                request["function"],
                tgt_type=request["by"],
                kwarg=request["arguments"],
                jid=jid,
                listen=False,
            )
        except (SaltException, OSError) as error:
            self._client = None  # a master that was started anew has another key
            self.tell({"unsent": number, "why": str(error) or type(error).__name__})
            return
        self.tell({"sent": number, "minions": list(sent.get("minions") or ()) if sent else []})

    def _listen(self) -> None:
        """Tell of the returns of our calls. The master's socket goes with the master: look for it again and again."""
        opts = self._opts
        with salt.utils.event.get_event("master", sock_dir=opts["sock_dir"], opts=opts, listen=True) as bus:
            while True:
                try:
                    if not bus.connect_pub(timeout=_TICK):
                        time.sleep(_TICK)
                        continue
                    self._listening.set()
                    event = bus.get_event(wait=_TICK, tag="salt/job/", full=True, auto_reconnect=True)
                except (SaltException, OSError, RuntimeError) as error:
                    sys.stderr.write(f"events: {error}\n")
                    time.sleep(_TICK)
                    continue
                if event is not None and "/ret/" in event["tag"]:
                    self._returned(event["data"])

    def _returned(self, data: dict[str, Any]) -> None:
        number = self._calls.get(data.get("jid", ""))
        if number is not None:
            code = data.get("retcode", 0 if data.get("success") else 1)
            self.tell({"returned": number, "minion": data["id"], "code": code, "value": data.get("return")})


if __name__ == "__main__":
    _Program(sys.argv[1]).run()
