"""`./dev up`, `down`, `status` and `logs`. The pipeline is held by a process of its own, which goes on after `up` has ended."""

from __future__ import annotations

import os
import signal

signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # there is nothing to stop yet, and the imports below take a while

# ruff: noqa: E402
import argparse
import contextlib
import fcntl
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from . import show
from .state import State
from .pipeline import Pipeline

STOP_SECONDS = 60


def hold(args: argparse.Namespace, state: State) -> int:
    """Runs the pipeline until SIGTERM. Every step and every failure goes to pipeline.json."""
    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the end takes its time
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for `up`, which then asks for the end
    steps: list[list] = []

    def on_step(name: str, detail: str, seconds: float) -> None:
        steps.append([name, detail, seconds])
        state.write(steps=steps)

    try:
        with Pipeline(args.dir / "up", args.binaries, cluster=args.cluster, kubeconfig=args.kubeconfig, context=args.context,
                      on_step=on_step) as pipeline:
            state.write(state="running", config=str(pipeline.config), stage=pipeline.stage, bootstrap=pipeline.bootstrap, parts={
                name: {"pid": part.child.pid, "address": part.address, "health": part.health, "log": str(part.child.log)}
                for name, part in pipeline.parts.items()})
            while True:
                time.sleep(1)
                ended = {name: part.child.returncode for name, part in pipeline.parts.items() if not part.child.alive()}
                if ended != state.read().get("ended", {}):
                    state.write(ended=ended)
    except Exception as error:  # whatever it is: `up` shows it
        state.write(state="failed", error=str(error))
        return 1
    return 0


def start(args: argparse.Namespace, state: State) -> None:
    """Starts the holder and shows its steps until it runs. Its pid is known to `down` from the first moment."""
    state.path.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "pipeline", "hold", "--state", state.path, *given(args)]
    with (args.dir / "hold.log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        state.write(pid=process.pid, state="starting", cluster=args.cluster, own_cluster=bool(args.kubeconfig), binaries=str(args.binaries))
        follow(args, state, process)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise


def follow(args: argparse.Namespace, state: State, process: subprocess.Popen) -> None:
    shown = 0
    while True:
        now = state.read()
        for name, detail, seconds in now.get("steps", [])[shown:]:
            show.step(name, detail, seconds)
            shown += 1
        if now.get("state") == "running":
            return
        if now.get("state") == "failed" or process.poll() is not None:
            raise SystemExit(show.failure(now.get("error") or (args.dir / "hold.log").read_text()[-2000:], args.dir))
        time.sleep(0.05)


def given(args: argparse.Namespace) -> list[str]:
    words = ["--dir", args.dir, "--binaries", args.binaries, "--cluster", args.cluster]
    for name in ("kubeconfig", "context"):
        value = getattr(args, name)
        words += [f"--{name}", value] if value else []
    return [str(word) for word in words]


def up(args: argparse.Namespace, state: State) -> int:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    args.dir.mkdir(parents=True, exist_ok=True)
    ours = False
    try:
        with (args.dir / "up.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another `up` of this checkout is starting it: wait for that one
            ours = state.holder() is None
            if ours:
                start(args, state)
        problem = None if ours else cannot_play(args, state.read())
        if problem:
            print(problem, file=sys.stderr)
            return 1
        told = show.own_cluster(state.read()) if state.read()["own_cluster"] else show.repair(state.read())
    except KeyboardInterrupt:
        print("\nInterrupted: stopping everything …" if ours else "\nInterrupted; klaxon stays up.", flush=True)
        return stop_if(ours, args, state, 130)
    except BrokenPipeError:  # nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return stop_if(ours, args, state, 141)
    except BaseException:
        stop_if(ours, args, state, 1)
        raise
    show.addresses(state.read())
    print(show.verdict(told))
    return 0 if told else 1


def stop_if(ours: bool, args: argparse.Namespace, state: State, code: int) -> int:
    """What was up before goes on."""
    if ours and state.holder() is not None:
        down(args, state)
    return code


def cannot_play(args: argparse.Namespace, now: dict) -> str | None:
    """Why the pipeline that is up already is not the one that was asked for."""
    if now.get("ended"):
        return f"Of what is up, {', '.join(now['ended'])} has ended: `./dev logs` says why; `./dev down` and `./dev up` start anew."
    if args.kubeconfig or args.context:
        return f"klaxon is up already, with the cluster {now['cluster']}: `./dev down` first."
    print("klaxon is up already; `./dev down` ends it.")
    return None


def down(args: argparse.Namespace, state: State) -> int:
    pid = state.holder()
    if pid is None:
        print("klaxon is not up.")
        return 0
    began = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    while state.holder() is not None:
        if time.monotonic() - began > STOP_SECONDS:
            os.kill(pid, signal.SIGKILL)  # the kernel then ends its children
        time.sleep(0.05)
    state.path.unlink(missing_ok=True)
    show.step("stopped", "nothing of it is running", time.monotonic() - began)
    return 0


def status(args: argparse.Namespace, state: State) -> int:
    now = state.read()
    if state.holder() is None:
        print("klaxon is not up. `./dev up` starts it.")
        return 1
    good = True
    for name, part in now.get("parts", {}).items():
        ready, why = show.part_state(part, now.get("ended", {}).get(name))
        good = good and ready
        show.part(name, part, ready, why)
    print("Everything is ready." if good else "Not everything is ready.")
    return 0 if good else 1


def logs(args: argparse.Namespace, state: State) -> int:
    directory = args.dir / "up" / "logs"
    names = sorted(path.stem for path in directory.glob("*.log"))
    unknown = [name for name in args.names if name not in names]
    if unknown or not names:
        print(f"no log of {', '.join(unknown) or 'anything'}; there are: {', '.join(names) or 'none (./dev up)'}", file=sys.stderr)
        return 2
    files = [directory / f"{name}.log" for name in args.names or names]
    with contextlib.suppress(KeyboardInterrupt):
        return subprocess.run(["tail", *(["-f"] if args.follow else []), "-n", "40", *files], check=False).returncode
    return 130


def main() -> int:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--dir", type=Path, required=True, help=argparse.SUPPRESS)
    common.add_argument("--binaries", type=Path, help=argparse.SUPPRESS)
    common.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    cluster = argparse.ArgumentParser(add_help=False)
    cluster.add_argument("--kubeconfig", type=lambda text: Path(text).resolve(), metavar="FILE",
                       help="watch the cluster of this kubeconfig instead of the bundled stage")
    cluster.add_argument("--context", metavar="NAME", help="its context (default: the current one)")
    cluster.add_argument("--cluster", metavar="NAME", help="what klaxon calls the cluster (default: stage, or mine with --kubeconfig)")
    parser = argparse.ArgumentParser(prog="./dev")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("hold", parents=[common, cluster]).set_defaults(run=hold)
    commands.add_parser("up", parents=[common, cluster], description="Start Kafka, the stage, the collector and the sinks, and show a node "
                        "repair reach Slack, Teams, a mailbox and PagerDuty. They go on running until `./dev down`.").set_defaults(run=up)
    commands.add_parser("down", parents=[common], description="End everything that `./dev up` started.").set_defaults(run=down)
    commands.add_parser("status", parents=[common], description="What runs, where, and whether it is ready.").set_defaults(run=status)
    one = commands.add_parser("logs", parents=[common], description="The last lines of the logs.")
    one.add_argument("names", nargs="*", metavar="NAME", help="kafka, stage, collector, sink-slack, sink-email, sink-teams, sink-loganalytics, sink-webhook (default: all)")
    one.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    one.set_defaults(run=logs)
    args = parser.parse_args()
    if getattr(args, "cluster", "") is None:
        args.cluster = "mine" if args.kubeconfig else "stage"
    return args.run(args, State(args.state or args.dir / "pipeline.json"))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # `./dev status | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
