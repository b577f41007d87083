"""`python -m stage --dir DIR`: the stage as one process, until SIGTERM. DIR/stage.json says where everything is."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from .world import Stage


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stage", description="The scripted outside world of klaxon, on loopback.")
    parser.add_argument("--dir", type=Path, required=True, help="where stage.json, kubeconfig and keys go")
    parser.add_argument("--life", type=float, default=3.0, help="seconds between two Events of the pods; 0: nothing happens by itself (3)")
    args = parser.parse_args()
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    with Stage(args.dir) as stage:
        stage.live(every=args.life)
        path = stage.write_addresses()
        print(json.dumps(stage.addresses(), indent=2), flush=True)
        print(f"ready: {path}; overview: {stage.control.url}/", file=sys.stderr, flush=True)
        ending.wait()
    path.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
