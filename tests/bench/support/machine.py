"""What processes and the machine used, and how a row of runs is told."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_SHARE = 0.05  # of the machine's CPU time: what others may use in a run that counts as quiet


def cpu_seconds(pid: int) -> float:
    """All threads of the process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int, field: str) -> float:
    """A line of /proc/PID/status in MB (10^6 bytes): VmHWM is the peak of the resident memory, VmRSS the resident memory now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field + ":")).split()[1]) * 1024 / 1e6


def _busy_seconds() -> float:
    """Of all CPUs, with what the hypervisor took."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


class Span:
    """A stretch of time: what the named processes and everybody else used in it."""

    def __init__(self, pids: dict[str, int]):
        self.pids = pids
        self._at = time.monotonic()
        self._busy = _busy_seconds()
        self._used = {name: cpu_seconds(pid) for name, pid in pids.items()}
        self._own = time.process_time()

    def end(self, beside: float = 0.0) -> "Usage":
        """`beside`: CPU seconds of a process of ours that began after the span."""
        seconds = time.monotonic() - self._at
        used = {name: cpu_seconds(pid) - self._used[name] for name, pid in self.pids.items()}
        ours = sum(used.values()) + beside + time.process_time() - self._own
        others = max(0.0, _busy_seconds() - self._busy - ours)
        return Usage(used, others / seconds / (os.cpu_count() or 1))


@dataclass(frozen=True)
class Usage:
    seconds: dict[str, float]  # CPU of each process
    others: float  # share of the machine that was not ours: 0 to 1

    @property
    def quiet(self) -> bool:
        return self.others <= QUIET_SHARE


class Measured(Protocol):
    usage: Usage


Run = TypeVar("Run", bound=Measured)


def tell(label: str, values: Iterable[float], form: str = ",.0f", unit: str = "") -> None:
    row = sorted(values)
    median, low, high = (f"{value:{form}}" for value in (statistics.median(row), row[0], row[-1]))
    print(f"  {label:<34} median {median:>9}   min {low:>9}   max {high:>9}  {unit}", flush=True)


def wait_quiet(patience: float) -> None:
    """Until the machine has been idle for a second, or patience is at its end."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        busy, at = _busy_seconds(), time.monotonic()
        time.sleep(1)
        if (_busy_seconds() - busy) / (time.monotonic() - at) / (os.cpu_count() or 1) < QUIET_SHARE:
            return


@dataclass(frozen=True)
class Effort:
    runs: int  # that were quiet
    patience: float  # seconds to wait for a quiet machine before a run

    def measure(self, one: Callable[[int], Run]) -> list[Run]:
        """Measures until enough runs were quiet, at most three times as often. Gives the quiet ones, or all of them when these are too
        few, and says which."""
        runs: list[Run] = []
        while sum(run.usage.quiet for run in runs) < self.runs and len(runs) < 3 * self.runs:
            wait_quiet(self.patience)
            runs.append(one(len(runs)))
        quiet = [run for run in runs if run.usage.quiet]
        if len(quiet) < self.runs:
            print(f"  BUSY MACHINE: only {len(quiet)} of {len(runs)} runs were quiet; all are told", flush=True)
            return runs
        print(f"  told: the {len(quiet)} of {len(runs)} runs in which others used at most {QUIET_SHARE:.0%} of the machine", flush=True)
        return quiet


def describe() -> str:
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} CPUs ({model}), {memory:.0f} GB, Linux {os.uname().release}"
