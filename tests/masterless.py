"""Salt without a master: states, pillar and a minion's configuration in a folder, `salt-call --local` on them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from salt_environment import FORMULA, salt_or_skip

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PATIENCE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class StateResult:
    """What a state said."""

    id: str
    name: str
    result: bool | None
    changes: Mapping[str, Any]
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Masterless:
    """A minion that is its own master."""

    salt: Path
    """Environment that has Salt."""
    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the minion has beside the usual ones."""

    @property
    def home(self) -> Path:
        """Home folder of whoever runs it."""
        return self.root / "home"

    @classmethod
    def make(cls, root: Path, **environment: str) -> Masterless:
        """Lay the folders out; skip where there is no Salt."""
        minion = cls(salt=salt_or_skip(), root=root, environment=environment)
        for folder in ("etc", "states", "pillar", "home"):
            (root / folder).mkdir(parents=True)
        configuration = {
            "id": "lone",
            "file_client": "local",
            "root_dir": str(root),
            "pki_dir": "pki",
            "log_file": "log/minion",
            "log_level_logfile": "debug",
            "file_roots": {"base": [str(root / "states"), str(FORMULA)]},
            "pillar_roots": {"base": [str(root / "pillar")]},
        }
        (root / "etc/minion").write_text(yaml.safe_dump(configuration))
        minion.set_pillar({})
        return minion

    def set_pillar(self, pillar: Mapping[str, Any]) -> None:
        """Give the minion its pillar."""
        (self.root / "pillar/top.sls").write_text("base:\n  '*':\n    - all\n")
        (self.root / "pillar/all.sls").write_text(yaml.safe_dump(pillar))

    def call(self, *words: str) -> Any:
        """Call a function and return what it says."""
        ran = self.run(*words)
        assert ran.stdout, ran.stderr
        return json.loads(ran.stdout)["local"]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call a function as a user does."""
        options = [f"--config-dir={self.root / 'etc'}", "--local", "--out=json", "--retcode-passthrough"]
        command = [str(self.salt / "bin/salt-call"), *options, *words]
        # Of this machine's own configuration nothing counts but what a test hands on.
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "XDG_"))}
        environment = {**own, "HOME": str(self.root / "home"), **self.environment}
        return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, env=environment, check=False)

    def apply(self, name: str, *, test: bool = False) -> dict[str, StateResult]:
        """Apply a state file and return what each state said, by its id."""
        said = self.call("state.apply", name, *(["test=True"] if test else []))
        assert isinstance(said, dict), said
        told = (
            StateResult(
                id=each["__id__"],
                name=each["name"],
                result=each["result"],
                changes=each["changes"],
                comment=each["comment"],
            )
            for each in said.values()
        )
        return {each.id: each for each in told}

    def apply_text(self, states: Mapping[str, Any] | str, *, test: bool = False) -> dict[str, StateResult]:
        """Apply states that are written here."""
        text = states if isinstance(states, str) else yaml.safe_dump(states)
        (self.root / "states/written.sls").write_text(text)
        return self.apply("written", test=test)
