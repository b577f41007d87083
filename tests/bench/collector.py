"""How fast the collector carries one watch to Kafka: N Event frames of 1 KB, transactions on.

A server of a few lines answers the list and then sends the prepared frames as fast as the socket takes them. Time runs from the first
frame to the commit of the last one, as an independent client sees it; CPU and memory are the collector's own.
"""
import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from cluster import Kafka
from cluster.process import free_port

FRAME = ('{"type":"ADDED","object":{"apiVersion":"v1","kind":"Event","metadata":{"name":"pod-%(n)d.17b7c4e19f02a6d3",'
         '"namespace":"default","uid":"9e41b1de-0000-4000-8000-%(n)012d","resourceVersion":"%(rv)d",'
         '"creationTimestamp":"2026-03-11T07:52:18Z"},"involvedObject":{"apiVersion":"v1","kind":"Pod","name":"pod-%(pod)d",'
         '"namespace":"default","uid":"5f1c2d3e-1111-4111-8111-111111111111","fieldPath":"spec.containers{app}"},"reason":"Pulled",'
         '"message":"%(text)s","source":{"component":"kubelet","host":"aks-nodepool1-12345678-vmss000003"},'
         '"firstTimestamp":"2026-03-11T07:52:18Z","lastTimestamp":"2026-03-11T07:52:18Z","count":1,"type":"Normal","eventTime":null,'
         '"reportingComponent":"kubelet","reportingInstance":"aks-nodepool1-12345678-vmss000003"}}\n')
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"


def frames(count: int) -> bytes:
    text = "Container image already present on machine. " * 7
    return b"".join((FRAME % {"n": n, "rv": 1000 + n, "pod": n % 500, "text": text}).encode() for n in range(count))


class Server(threading.Thread):
    """Just enough of an API server."""

    def __init__(self, data: bytes):
        super().__init__(daemon=True)
        self.data = data
        self.began = 0.0
        self.listener = socket.create_server(("127.0.0.1", free_port()), backlog=64)
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        if b"watch=1" not in request:
            connection.sendall(HEAD + b'{"kind":"EventList","metadata":{"resourceVersion":"999"},"items":[]}')
            connection.close()
            return
        self.began = time.monotonic()
        connection.sendall(HEAD + self.data)
        connection.recv(1)  # open until the collector goes


def committed(bootstrap: str, topic: str, partitions: int) -> int:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "isolation.level": "read_committed"})
    total = sum(consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in range(partitions))
    consumer.close()
    return total


def wait_visible(kafka: Kafka, count: int, process: subprocess.Popen) -> float:
    """The instant at which `count` records were readable: offsets count commit markers too, so the end is counted exactly once near it."""
    while committed(kafka.bootstrap, "klaxon.kubernetes", 4) < count:
        assert process.poll() is None, "the collector ended"
        time.sleep(0.02)
    return time.monotonic()


def usage(pid: int) -> tuple[float, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    peak = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1])


def run(count: int, directory: Path) -> None:
    data = frames(count)
    with Kafka(directory / "kafka") as kafka:
        for topic in ("kubernetes", "nodes"):
            kafka.create_topic(f"klaxon.{topic}", 4)
        kafka.create_topic("klaxon.state", 1)
        server = Server(data)
        server.start()
        (directory / "kubeconfig").write_text(
            "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
            f"clusters: [{{name: k, cluster: {{server: 'http://127.0.0.1:{server.port}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n")
        config = directory / "klaxon.yaml"
        config.write_text(f'kafka: {{ bootstrap.servers: "{kafka.bootstrap}" }}\nclusters:\n'
                          f"  - {{ name: bench, kubeconfig: {directory}/kubeconfig, sources: {{ events: {{}} }} }}\n")
        binary = Path(os.environ["KLAXON_BIN"]) / "klaxon-collector"
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen([binary, "--config", config], stderr=log)
        try:
            seconds = wait_visible(kafka, count, process) - server.began
            cpu, peak_kib = usage(process.pid)
        finally:
            process.kill()
            process.wait()
    print(f"{count} events of {len(data) // count} bytes in {seconds:.2f} s: {count / seconds:,.0f} events/s, "
          f"{count / cpu:,.0f} per CPU-second of the collector, peak memory {peak_kib / 1024:.1f} MiB")


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench collector", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="klaxon-bench-") as directory:
            run(args.events, Path(directory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
