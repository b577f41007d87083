"""Child processes that cannot outlive the test run, free ports, and bounded waiting."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_ports_given: set[int] = set()


def die_with_parent() -> None:
    """Runs in the child. The kernel then kills it when the thread that started it ends, however it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """A loopback port that nobody listens on, below the ephemeral range.

    The kernel hands out 32768 and up to outgoing connections, so a server that is killed and restarted on such a port could
    find it taken by a client's socket. Below that range only another listener can take it.
    """
    for _ in range(200):
        port = random.randrange(20000, 32000)
        if port in _ports_given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _ports_given.add(port)
        return port
    raise RuntimeError("no free port on 127.0.0.1 between 20000 and 32000")


def wait_until(what: str, probe: Callable[[], bool], timeout: float = 15, child: "Child | None" = None) -> None:
    """Calls probe until it is true. Fails at the deadline, and at once when the child it waits for has ended."""
    deadline = time.monotonic() + timeout
    while not probe():
        if child is not None and not child.alive():
            raise RuntimeError(f"{what}: {child.name} ended with {child.returncode}; its log ends:\n{child.log_tail()}")
        if time.monotonic() > deadline:
            tail = f"; the log of {child.name} ends:\n{child.log_tail()}" if child else ""
            raise TimeoutError(f"{what}: not within {timeout:g} s{tail}")
        time.sleep(0.05)


class Child:
    """One process with its log file. It may be started again after it has ended."""

    def __init__(self, name: str, argv: Sequence[str | os.PathLike], log: Path, env: dict[str, str] | None = None):
        self.name = name
        self.argv = [os.fspath(arg) for arg in argv]
        self.log = log
        self.env = {**os.environ, **env} if env else None
        self._process: subprocess.Popen | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.poll() if self._process else None

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it from the thread that lives longest: PR_SET_PDEATHSIG goes by thread, not by process."""
        assert not self.alive(), f"{self.name} is running already"
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                start_new_session=True, preexec_fn=die_with_parent)

    def _signal(self, number: int) -> None:
        if self.alive():
            os.kill(self.pid, number)

    def pause(self) -> None:
        """SIGSTOP: the peer sees open connections and no answer."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait: when this returns the port is free."""
        self._signal(signal.SIGKILL)
        if self._process:
            self._process.wait()

    def stop(self, timeout: float = 15.0) -> None:
        """SIGTERM, then SIGKILL at the deadline."""
        self.resume()
        self._signal(signal.SIGTERM)
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def log_tail(self, lines: int = 20) -> str:
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
