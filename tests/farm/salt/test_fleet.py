"""`wheelhouse build --farm salt` with a real master and two real minions, which are killed and cut off meanwhile.

One minion says by its grains that it is an aarch64 machine with a container engine, and is not: what is built on it for
aarch64 is built by the host builder, which compiles for that architecture with zig. What is slow is played by a command
that sleeps (`sleeper`): the faults are Salt's and the machines', not the build's.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import tiny
from index_server import IndexServer, index_server
from salt_environment import salt_or_skip
from salt_fleet import SaltFleet, salt_fleet, until
from wheelhouse import __version__
from wheelhouse.farm.salt.bus import Call, Returned, SaltBus, salt_bus
from wheelhouse.process import Processes
from wheelhouse.salt_config import SaltSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.network]

_CP = f"cp{tiny.HERE.replace('.', '')}"
_GRAINS = {"version": __version__, "libc": "glibc", "libc_version": "2.36", "pythons": [tiny.HERE], "width": 3}
#: Stands for the command on a minion: jobs of projects that are named `sleep…` only sleep, all else is real.
_SLEEPER = """\
#!{python}
import datetime, json, os, re, sys, time
job = sys.argv[sys.argv.index("--job") + 1] if "--job" in sys.argv else ""
found = re.match(r"sleep(\\d+)", job)
if not found:
    os.execv({python!r}, [{python!r}, "-m", "wheelhouse", *sys.argv[1:]])
with open(os.path.join(os.environ["WHEELHOUSE_STATE"] + ".began"), "a") as file:
    file.write(job + "\\n")
print(f"{{job}}: build", file=sys.stderr, flush=True)
time.sleep(int(found[1]))
project, version, *target = job.split("-")
print(json.dumps([dict(
    job=job, project=project, version=version, target="-".join(target), status="built", key="k" + job,
    started=datetime.datetime.now(datetime.timezone.utc).isoformat(), seconds=float(found[1]),
    wheel=dict(filename=f"{{project}}-{{version}}-py3-none-any.whl", sha256="0" * 64, size=1),
    details=dict(published=dict(outcome="published"))
)]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    fleet: SaltFleet
    index: IndexServer

    def registry(self, folder: Path, *projects: tiny.Tiny, settings: str = "", builder: str = "host") -> Path:
        text = (
            f'[build]\nbuilder = "{builder}"\n[publish]\nurl = "{self.index.url}/legacy/"\n'
            f'[salt]\npython = "{self.fleet.python}"\nmaster-config = "{self.fleet.config}"\nheartbeat = "2s"\n'
        )
        return tiny.write_registry(folder, *projects, settings=text + settings)

    def began(self, minion: str) -> list[str]:
        """Return the jobs that a minion has slept for, each time."""
        path = self.fleet.root(minion) / "state.began"
        return path.read_text().splitlines() if path.is_file() else []


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    salt = salt_or_skip()
    folder = tmp_path_factory.mktemp("f")
    sleeper = folder / "sleeper"
    sleeper.write_text(_SLEEPER.format(python=sys.executable))
    sleeper.chmod(0o755)

    def minion(name: str, **grains: Any) -> dict[str, Any]:
        return {
            "wheelhouse": {"command": str(sleeper), "root": str(folder / name / "builds")},
            "grains": {"cpuarch": grains["arch"], "wheelhouse": {**_GRAINS, **grains}},
        }

    minions = {
        "intel": minion("intel", arch="x86_64", engine="docker"),
        "arm": minion("arm", arch="aarch64", engine="podman", emulates=["x86_64"]),
    }
    minions["arm"]["multiprocessing"] = True  # Salt's default; the other has threads, which take less memory
    on_master = {
        "wheelhouse": {"command": f"{Path(sys.executable).parent}/wheelhouse", "registry": str(folder / "runs")}
    }
    with (
        index_server(folder / "index", "--allow-anonymous-upload") as index,
        salt_fleet(salt, folder, minions, wired=("arm",), master=on_master) as fleet,
    ):
        yield Farm(fleet=fleet, index=index)


def command(registry: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "wheelhouse", "--registry", str(registry), *words]


def build(registry: Path, *words: str) -> subprocess.Popen[str]:
    words = ("build", "--all", "--farm", "salt", "--only", f"{_CP}-manylinux_*", *words)
    return subprocess.Popen(command(registry, *words), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str], seconds: float = 400.0) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def records(registry: Path) -> dict[str, dict[str, Any]]:
    paths = (registry / ".wheelhouse" / "jobs").glob("*/record.json")
    return {path.parent.name: json.loads(path.read_text()) for path in paths}


def running(farm: Farm, minion: str, registry: Path) -> bool:
    """Say whether a minion has begun a job of this registry."""
    names = [path.name for path in (registry / "recipes").iterdir()]
    return any(job.split("-")[0] in names for job in farm.began(minion))


def sleepers(*names: str) -> list[tiny.Tiny]:
    return [tiny.Tiny(name=name) for name in names]


def test_fleet__ten_jobs__each_on_a_minion_that_fits_and_its_wheel_on_the_index(farm: Farm, tmp_path: Path) -> None:
    projects = [tiny.Tiny(name=f"{name}ling", answer=7) for name in ("ant", "bat", "cat", "dog", "elk")]
    registry = farm.registry(tmp_path, *projects)
    status, _, err = end(build(registry, "--arch", "x86_64", "--arch", "aarch64"), 400)
    assert status == 0, err
    made = records(registry)
    assert len(made) == 10
    for job, record in made.items():
        assert record["status"] == "built"
        assert record["details"]["minion"] == ("arm" if job.endswith("aarch64") else "intel")
        assert record["details"]["published"]["outcome"] == "published"
        name, sha256 = record["wheel"]["filename"], record["wheel"]["sha256"]
        kept = list((farm.index.registry / ".wheelhouse" / "index").rglob(f"*{sha256}*"))
        assert kept, name  # whole: the master's file server would take no file (`file_recv` is off)
        assert "build" in (registry / ".wheelhouse" / "jobs" / job / "log.txt").read_text()

    status, _, err = end(build(registry, "--arch", "x86_64", "--arch", "aarch64"))
    assert status == 0
    assert "0 built, 10 reused, 0 failed" in err

    shutil.rmtree(registry / ".wheelhouse")  # as on another master: the index knows what was built
    status, _, err = end(build(registry, "--arch", "x86_64", "--arch", "aarch64"))
    assert status == 0
    assert "0 built, 10 reused, 0 failed" in err
    assert records(registry).keys() == made.keys()


def test_fleet__one_job_fails__its_cause_comes_back_though_salt_exits_with_0(farm: Farm, tmp_path: Path) -> None:
    registry = farm.registry(tmp_path, tiny.Tiny(name="badling", before="#error no"))
    status, _, err = end(build(registry, "--arch", "x86_64"))
    assert status == 3
    (record,) = records(registry).values()
    assert "does not compile" in record["cause"]["message"]
    assert record["cause"]["message"] in err


def test_fleet__a_minion_is_killed_with_its_job__the_job_goes_elsewhere(farm: Farm, tmp_path: Path) -> None:
    registry = farm.registry(
        tmp_path, *sleepers("sleep6a", "sleep6b"), builder="cibuildwheel", settings='lost-after = "6s"\n'
    )
    process = build(registry, "--arch", "x86_64")
    until(lambda: running(farm, "intel", registry), 180, "intel has a job")
    farm.fleet.minions["intel"].kill()
    for one in psutil.process_iter(["cmdline"]):  # a power cut: what it runs dies too
        if str(farm.fleet.root("intel")) in " ".join(one.info["cmdline"] or ()):
            one.kill()
    try:
        status, _, err = end(process)
    finally:
        farm.fleet.minions["intel"].start()
        farm.fleet.await_ready("intel")
    assert status == 0, err
    assert {record["details"]["minion"] for record in records(registry).values()} == {"arm"}
    assert "intel: silent for" in " ".join(record["details"].get("before", "") for record in records(registry).values())


def test_fleet__a_minion_is_killed_and_comes_back__its_job_has_gone_on(farm: Farm, tmp_path: Path) -> None:
    registry = farm.registry(tmp_path, *sleepers("sleep12c"), builder="cibuildwheel")
    process = build(registry, "--arch", "aarch64")
    until(lambda: running(farm, "arm", registry), 180, "arm has a job")
    farm.fleet.minions["arm"].kill()
    farm.fleet.minions["arm"].start()
    status, _, err = end(process)
    assert status == 0, err
    assert farm.began("arm").count(f"sleep12c-1.0-{_CP}-manylinux_aarch64") == 1


def test_fleet__the_master_is_killed__no_result_is_lost_and_none_built_twice(farm: Farm, tmp_path: Path) -> None:
    registry = farm.registry(tmp_path, *sleepers("sleep5d", "sleep5e", "sleep5f", "sleep5g"), builder="cibuildwheel")
    process = build(registry, "--arch", "x86_64")
    until(lambda: running(farm, "intel", registry) and running(farm, "arm", registry), 180, "both have jobs")
    farm.fleet.master.kill()
    time.sleep(12)  # the results are returned to nobody
    farm.fleet.master.start()
    status, _, err = end(process)
    assert status == 0, err
    assert len(records(registry)) == 4
    assert all(record["status"] == "built" for record in records(registry).values())
    began = [
        job
        for minion in ("intel", "arm")
        for job in farm.began(minion)
        if job[:7] in {"sleep5d", "sleep5e", "sleep5f", "sleep5g"}
    ]
    assert sorted(began) == sorted(records(registry))


def test_fleet__a_minion_is_cut_off_for_a_minute__its_result_is_asked_for(farm: Farm, tmp_path: Path) -> None:
    registry = farm.registry(tmp_path, *sleepers("sleep4h"), builder="cibuildwheel")
    process = build(registry, "--arch", "aarch64")
    until(lambda: running(farm, "arm", registry), 180, "arm has a job")
    for wire in farm.fleet.wires["arm"]:
        wire.cut.set()
    time.sleep(60)
    for wire in farm.fleet.wires["arm"]:
        wire.cut.clear()
    status, _, err = end(process)
    assert status == 0, err
    (record,) = records(registry).values()
    assert record["status"] == "built"
    assert len([job for job in farm.began("arm") if job.startswith("sleep4h")]) == 1


def test_fleet__interrupted__jobs_on_the_minions_end(farm: Farm, tmp_path: Path) -> None:
    registry = farm.registry(tmp_path, *sleepers("sleep90i"), builder="cibuildwheel")
    process = build(registry, "--arch", "aarch64")
    until(lambda: running(farm, "arm", registry), 180, "arm has a job")
    process.send_signal(signal.SIGINT)
    status, _, err = end(process)
    assert status == 130, err
    told = farm.fleet.call("arm", "wheelhouse.status")
    assert told["running"] == {}
    assert "canceled" in told["ended"].values()


def test_fleet__nobody_fits__the_plan_says_why_of_each(farm: Farm, tmp_path: Path) -> None:
    registry = farm.registry(tmp_path, *sleepers("sleep1j"))
    words = ("plan", "--all", "--only", f"{_CP}-manylinux_s390x", "--farm", "salt", "--json")
    done = subprocess.run(command(registry, *words), check=True, capture_output=True, text=True)
    (entry,) = json.loads(done.stdout)
    assert entry["action"] == "unavailable"
    assert "intel: it is x86_64 and compiles for no s390x" in entry["reason"]
    assert "arm: it is aarch64 and compiles for no s390x" in entry["reason"]


def test_fleet__salts_own_command__exits_with_0_whatever_happened_and_the_bus_has_the_code(
    farm: Farm, tmp_path: Path
) -> None:
    words = ("wheelhouse.build", "no-such-project")
    assert farm.fleet.run("salt", "--static", "--out=json", "intel", *words).returncode == 0
    settings = SaltSettings.model_validate({"python": str(farm.fleet.python), "master-config": str(farm.fleet.config)})
    with salt_bus(settings, processes=Processes(), log=tmp_path / "log.txt") as bus:
        calls = {
            bus.send(
                Call(function="wheelhouse.build", arguments={"job": "no-such-1-cp311-manylinux_x86_64"}, to=["intel"])
            ): "status",
            bus.send(Call(function="wheelhouse.no_such", arguments={}, to=["intel"])): "is not available",
        }
        told: dict[str, Returned] = {}
        until(lambda: _take(bus, calls, told), 180, "both return")
    assert told["status"].code == 2
    assert "no recipe for `no-such`" in told["status"].value["said"]
    assert told["is not available"].code != 0
    assert "is not available" in told["is not available"].value


def _take(bus: SaltBus, calls: dict[int, str], told: dict[str, Returned]) -> bool:
    message = bus.receive(1)
    if isinstance(message, Returned):
        told[calls[message.call]] = message
    return len(told) == len(calls)


def test_fleet__versions__that_yaml_made_numbers_of_are_refused(farm: Farm) -> None:
    for words in (("psycopg2", "python=3.10"), ("2.10",), ("psycopg2", "job=1.10")):
        told = farm.fleet.call("intel", "wheelhouse.build", *words)
        assert "YAML takes 1.10 for the number 1.1" in told, words


def test_fleet__by_hand__a_minion_builds_of_its_own_registry_and_says_what_it_made(farm: Farm) -> None:
    told = farm.fleet.call("intel", "wheelhouse.build", "markupsafe", f'python="{tiny.HERE}"', "builder=host")
    assert told["state"] == "done"
    assert [name.split("-")[0] for name in told["jobs"].values()] == ["markupsafe"], told
    assert "wheelhouse.build has no argument" in farm.fleet.call("intel", "wheelhouse.build", "markupsafe", "pyhton=x")


def test_fleet__runner__plans_and_shows_what_minions_do(farm: Farm) -> None:
    farm.registry(farm.fleet.folder / "runs", *sleepers("sleep1k"))
    told = json.loads(farm.fleet.run("salt-run", "--out=json", "wheelhouse.plan", "arch=aarch64").stdout)
    places = {entry["target"]: entry["action"] for entry in told}
    assert places[f"{_CP}-manylinux_aarch64"] == "build"
    assert places["cp311-musllinux_aarch64"] == "unavailable"
    refused = farm.fleet.run("salt-run", "wheelhouse.plan", "sleep1k", "python=3.10").stdout
    assert "YAML takes 1.10 for the number 1.1" in refused

    told = json.loads(farm.fleet.run("salt-run", "--out=json", "wheelhouse.status").stdout)
    assert set(told) == {"intel", "arm"}
    assert told["intel"]["version"] == __version__
