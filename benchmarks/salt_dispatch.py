"""What it costs to send jobs to Salt minions, beside Salt's own `cmd_async`; and whether all of many come back.

    python benchmarks/salt_dispatch.py                            # two minions, 100 jobs
    python benchmarks/salt_dispatch.py --minions 20 --jobs 200    # takes 3 GB of memory

A real master and real minions run on this machine; a job is a command that prints a record and ends. Salt is taken from
WHEELHOUSE_TEST_SALT, or installed once, as for the tests. Sending is measured in turns of both ways, a job's whole call
to a function that does nothing (`test.arg`), so that the machine's other work hits them alike. The farm's CPU is with
hearing what comes back, which `cmd_async` alone does not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes import a_job, a_record
from salt_environment import ensure_salt
from salt_fleet import SaltFleet, salt_fleet
from wheelhouse import __version__
from wheelhouse.config import Config, Workspace
from wheelhouse.farm.salt.bundle import pack
from wheelhouse.farm.salt.bus import Call, Returned, Sent, salt_bus
from wheelhouse.farm.salt.discover import discover
from wheelhouse.farm.salt.dispatch import dispatch
from wheelhouse.farm.salt.minion import FleetFacts
from wheelhouse.farm.salt.orders import Desk, Orders
from wheelhouse.joblog import Silent
from wheelhouse.plan import make_plan
from wheelhouse.process import Processes
from wheelhouse.results import Results
from wheelhouse.salt_config import SaltSettings

if TYPE_CHECKING:
    from wheelhouse.farm.salt.bus import SaltBus
    from wheelhouse.record import Record

#: A command that has built before it was asked.
_NO_OP = """\
#!/bin/sh
while [ "$1" != --job ]; do shift; done
exec sed "s/JOB/$2/" {record}
"""
#: Salt's own way, in Salt's own Python: a client that calls and calls.
_SALTS_OWN = """\
import json, sys, time, salt.client
client = salt.client.LocalClient(sys.argv[1])
for line in sys.stdin:
    began, used = time.perf_counter(), time.process_time()
    for minion, arguments in json.loads(line):
        client.cmd_async(minion, "test.arg", kwarg=arguments)
    print(json.dumps([time.perf_counter() - began, time.process_time() - used]), flush=True)
"""
_BLOCK = 10
_BUNDLE = pack({"wheelhouse.toml": b"", "recipes/p/recipe.toml": b"x" * 1000})


def settings(fleet: SaltFleet) -> SaltSettings:
    return SaltSettings.model_validate({"python": str(fleet.python), "master-config": str(fleet.config)})


def child_of(process: psutil.Process) -> psutil.Process:
    """Return the program that speaks to Salt for us."""
    return next(child for child in process.children() if "program.py" in " ".join(child.cmdline()))


def used(*processes: psutil.Process) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def job_arguments(name: str) -> dict[str, Any]:
    return {"job": "q-1.0-cp311-manylinux_x86_64", "ticket": name, "bundle": _BUNDLE, "builder": "host", "timeout": 60}


def compare_sending(fleet: SaltFleet, bus: SaltBus, jobs: int) -> None:
    """Send blocks of calls each way in turns and print medians of a block's mean."""
    minions = list(fleet.minions)
    me = psutil.Process()
    both = (me, child_of(me))
    own = subprocess.Popen(
        [str(fleet.python), "-c", _SALTS_OWN, str(fleet.config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    theirs: list[tuple[float, float]] = []
    ours: list[tuple[float, float]] = []

    def send_theirs(block: int) -> None:
        assert own.stdin is not None
        assert own.stdout is not None
        calls = [(minions[at % len(minions)], job_arguments(f"theirs-{block}-{at}")) for at in range(_BLOCK)]
        own.stdin.write(json.dumps(calls) + "\n")
        own.stdin.flush()
        wall, cpu = json.loads(own.stdout.readline())
        theirs.append((wall / _BLOCK, cpu / _BLOCK))
        time.sleep(1)  # what comes back is no part of it

    def send_ours(block: int) -> None:
        began, before = time.perf_counter(), used(*both)
        calls = {
            bus.send(
                Call(
                    function="test.arg",
                    arguments=job_arguments(f"ours-{block}-{at}"),
                    to=[minions[at % len(minions)]],
                )
            )
            for at in range(_BLOCK)
        }
        sent: set[int] = set()
        back: set[int] = set()
        while sent < calls:
            message = bus.receive(30)
            sent |= {message.call} if isinstance(message, Sent) else set()
            back |= {message.call} if isinstance(message, Returned) else set()
        ours.append(((time.perf_counter() - began) / _BLOCK, (used(*both) - before) / _BLOCK))
        while back < calls:
            message = bus.receive(30)
            back |= {message.call} if isinstance(message, Returned) else set()

    for block in range(jobs // _BLOCK + 1):
        for send in (send_theirs, send_ours) if block % 2 else (send_ours, send_theirs):
            send(block)
    own.communicate()
    print(f"sending, {jobs} calls each in blocks of {_BLOCK}, milliseconds a call (medians: wall, CPU of the clients)")
    medians = {}
    for name, runs in (("cmd_async", theirs[1:]), ("the farm", ours[1:])):
        medians[name] = [statistics.median(run[at] for run in runs) * 1000 for at in (0, 1)]
        print(f"  {name:<10} {medians[name][0]:6.1f} {medians[name][1]:6.1f}")
    wall, cpu = (medians["the farm"][at] / medians["cmd_async"][at] for at in (0, 1))
    print(f"  {'ratio':<10} {wall:6.2f} {cpu:6.2f}")


def run_all(bus: SaltBus, folder: Path, jobs: int) -> None:
    """Dispatch no-op jobs, and print how many came back and how fast."""
    found = discover(bus, "*", patience=120)
    folders = {name: folder / name for name in ("registry", "dist", "state", "cache")}
    results = Results(Workspace(**folders, config=Config()))
    facts = FleetFacts(
        minions=found.minions,
        refused={},
        setting="host",
        results=results,
        recorded=lambda job, than: None,  # noqa: ARG005
    )
    kept: list[str] = []
    told: list[str] = []

    def keep(record: Record, log: str) -> None:  # noqa: ARG001
        kept.append(record.job)

    nothing: Any = lambda *given: None  # noqa: ARG005, E731
    desk = Desk(
        observer=Silent(),
        begin=nothing,
        keep=keep,
        reused=nothing,
        finished=nothing,
        recorded=nothing,
        tell=told.append,
    )
    orders = Orders(run=f"bench-{time.time():.0f}", expression="*", publish="http://x/", bundle=lambda entry: _BUNDLE)  # noqa: ARG005
    plan = make_plan([a_job(f"q{number}", target="cp311-manylinux_x86_64") for number in range(jobs)], facts)
    me = psutil.Process()
    both = (me, child_of(me))
    began, before = time.perf_counter(), used(*both)
    records = dispatch(plan, found.minions, bus=bus, orders=orders, desk=desk)
    wall, cpu = time.perf_counter() - began, used(*both) - before
    built = sum(record.status == "built" for record in records.values())
    minions = len(found.minions)
    print(f"{jobs} jobs on {minions} minions: {built} built, {len(kept)} records of {len(set(kept))} jobs")
    print(f"  {wall:.1f} s, {wall / jobs * 1000:.0f} ms a job; CPU of the farm {cpu / jobs * 1000:.0f} ms a job")
    for line in told:
        print(f"  {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minions", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=100)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wb") as name:
        folder = Path(name)
        command = folder / "no-op"
        record = folder / "record.json"
        made = a_record(a_job("q")).model_copy(update={"job": "JOB"})
        record.write_text(json.dumps([made.model_dump(mode="json")]))
        command.write_text(_NO_OP.format(record=record))
        command.chmod(0o755)
        grains = {"version": __version__, "libc": "glibc", "libc_version": "2.36", "pythons": ["3.11"], "width": 4}
        minions = {
            f"m{number}": {
                "wheelhouse": {"command": str(command), "root": str(folder / f"m{number}" / "builds")},
                "grains": {"cpuarch": "x86_64", "wheelhouse": grains},
            }
            for number in range(chosen.minions)
        }
        with (
            salt_fleet(ensure_salt(), folder, minions) as fleet,
            salt_bus(settings(fleet), processes=Processes(), log=folder / "salt.txt") as bus,
        ):
            print(f"load {psutil.getloadavg()[0]:.1f}, memory in use {psutil.virtual_memory().used / 1e9:.1f} GB")
            compare_sending(fleet, bus, min(chosen.jobs, 200))
            run_all(bus, folder, chosen.jobs)


if __name__ == "__main__":
    main()
