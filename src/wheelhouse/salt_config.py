"""What `wheelhouse.toml` says of a Salt fleet, under `[salt]`."""

from __future__ import annotations

from typing import Annotated

import pydantic

from wheelhouse.toml import Duration, Strict


class SaltSettings(Strict):
    """How `--farm salt` reaches minions, and how long it waits for them."""

    python: str = ""
    """The Python that Salt is installed in. Default: that of `salt-run` on PATH, or of Salt's own packages."""
    master_config: str = "/etc/salt/master"
    """The master's configuration file."""
    minions: str = "G@wheelhouse:version:*"
    """Which minions may get jobs, as Salt's compound matcher takes it."""
    heartbeat: Duration = 10.0
    """How often minions that have jobs are asked how these do."""
    lost_after: Duration = 60.0
    """A minion that is silent for so long is taken for dead, and its jobs go elsewhere."""
    absent: Duration = 600.0
    """How long a job waits for a minion that fits and is not there."""
    attempts: Annotated[int, pydantic.Field(strict=True, ge=1, le=9)] = 3
    """How often a job is tried, where minions die of it or from under it."""
