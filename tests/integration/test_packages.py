"""What is installed: Debian packages with what belongs to each, units that are tight, and processes that tell their manager."""
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from cli_world import kubeconfig
from conftest import ROOT

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
KINDS = re.findall(r"^KLX_SINK\((\w+)\)$", (ROOT / "sinks/core/list.def").read_text(), re.M)
EXPOSURE = 20  # tenths, of 100: 12 at present

CONFIG = """
kafka: { bootstrap.servers: "127.0.0.1:1" }
clusters: [ { name: prod, kubeconfig: KUBECONFIG, sources: { nodes: {} } } ]
channels: { lake: { webhook: { url: "http://127.0.0.1:1/hook" } } }
subscriptions: [ { team: ops, topics: [ nodes ], channels: [ lake ] } ]
"""


@pytest.fixture(scope="module")
def packages(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    config = binaries / "CPackConfig.cmake"
    if not config.exists():
        pytest.skip(f"{binaries} is no build folder: there is nothing to pack")
    out = tmp_path_factory.mktemp("packages")
    packed = subprocess.run(["cpack", "--config", config, "-B", out], cwd=out, capture_output=True, text=True)
    assert packed.returncode == 0, packed.stdout + packed.stderr
    return {path.name.split("_")[0]: path for path in out.glob("*.deb")}


def files_of(package: Path) -> set[str]:
    listed = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    return {line.split(None, 5)[5].removeprefix(".") for line in listed.splitlines() if not line.startswith("d")}


def test_each_package_has_its_own(packages: dict[str, Path]) -> None:
    assert set(packages) == {"klaxon", "klaxon-collector", "klaxon-sinks"}
    assert files_of(packages["klaxon-collector"]) == {"/usr/bin/klaxon-collector", "/usr/lib/systemd/system/klaxon-collector.service"}
    assert files_of(packages["klaxon-sinks"]) == {*(f"/usr/bin/klaxon-sink-{kind}" for kind in KINDS), "/usr/lib/systemd/system/klaxon-sink@.service"}
    assert {"/usr/bin/klaxon", "/usr/share/klaxon/klaxon.schema.json", "/usr/share/doc/klaxon/klaxon.example.yaml",
            "/usr/share/doc/klaxon/install.md"} <= files_of(packages["klaxon"])


@pytest.mark.parametrize("package", ["klaxon", "klaxon-collector", "klaxon-sinks"])
def test_dependencies_are_those_of_the_programs(packages: dict[str, Path], package: str) -> None:
    depends = subprocess.run(["dpkg-deb", "--field", packages[package], "Depends"], capture_output=True, text=True, check=True).stdout
    for library in ("libc6", "librdkafka1", "libcurl4", "libuv1"):
        assert re.search(rf"\b{library} \(>= ", depends), depends


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_are_tight_and_name_programs_that_are_there(unit: Path, binaries: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed here")
    looked = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", unit], capture_output=True, text=True)
    assert looked.returncode == 0, looked.stdout + looked.stderr
    program = re.search(r"^ExecStart=/usr/bin/(\S+)$", unit.read_text(), re.M)[1]
    for kind in KINDS:
        assert (binaries / program.replace("%i", kind)).exists()


@pytest.mark.parametrize("program", ["klaxon-collector", "klaxon-sink-webhook"])
def test_the_manager_is_told(program: str, binaries: Path, tmp_path: Path) -> None:
    (tmp_path / "klaxon.yaml").write_text(CONFIG.replace("KUBECONFIG", str(kubeconfig(tmp_path))))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000", "PATH": "/usr/bin:/bin"}
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen([binaries / program, "--config", tmp_path / "klaxon.yaml"], env=environment, stderr=log)
        try:
            assert manager.recv(100) == b"READY=1", (tmp_path / "log").read_text()
            assert manager.recv(100) == b"WATCHDOG=1"
            process.send_signal(signal.SIGTERM)
            said = manager.recv(100)
            while said == b"WATCHDOG=1":
                said = manager.recv(100)
            assert said == b"STOPPING=1"
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
