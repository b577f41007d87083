"""A channel that is down for long: what it costs the others, and the process."""
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Kafka
from sink_process import event_data, event_headers
from stage import Slack
from test_parking import Parked

EVENTS = 4000


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack) -> Iterator[Parked]:
    made = Parked(binaries, tmp_path, kafka, slack)
    yield made
    made.sink.kill()
    print(made.sink.log.read_text())


def rss_kib(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS")))


def late(world: Parked, first: int, count: int) -> list[float]:
    """How long each of so many events takes to the good channel, one at a time: Slack takes one a second."""
    seconds = []
    for number in range(first, first + count):
        put_at = time.time()
        world.events.put(f"g{number}", topic="kubernetes")
        world.wait_told("good", number + 1)
        seconds.append(world.slack.of("good")[-1].at - put_at)
        time.sleep(max(0.0, 1.1 - (time.time() - put_at)))  # the channel's own pace is not what is measured
    return seconds


def test_thousands_are_parked_in_flat_memory_and_nobody_waits(world: Parked, binaries: Path) -> None:
    world.configure("gone", "good", queue=400)
    text = world.sink.config.read_text()
    world.sink.config.write_text(text.replace('"team-good", "topics": ["nodes"]', '"team-good", "topics": ["kubernetes"]'))
    world.slack.fault(hook="gone", error="no_service", times=0)
    world.sink.start()
    world.sink.wait_ready()
    world.events.put("first")
    world.wait_parked("gone", 1)
    before = late(world, 0, 6)
    memory = rss_kib(world.sink.process.pid)
    for number in range(EVENTS):
        world.events._producer.produce(world.prefix + "nodes", event_data(f"e{number}"), f"k{number % 50}",
                                       headers=list(event_headers(f"e{number}").items()))
        world.events._producer.poll(0)
    assert world.events._producer.flush(30) == 0
    during = late(world, 6, 6)
    world.wait_parked("gone", EVENTS + 1, 60)
    world.sink.wait("settled", lambda: world.sink.metric("klaxon_sink_unsettled_records") == 0)
    after = late(world, 12, 6)
    grown = rss_kib(world.sink.process.pid) - memory
    print(f"before {max(before):.3f} s, during {max(during):.3f} s, after {max(after):.3f} s; {grown} KiB more")
    assert max(during) < max(before) + 5.0 and max(after) < max(before) + 5.0  # nobody waits for the 4,000; a busy machine may
    assert world.sink.metric("klaxon_sink_parked_in_hand") <= 100
    sanitized = "asan" in binaries.name  # what is freed is kept for a while there
    assert grown < (256 if sanitized else 16) * 1024
    assert world.sink.stop() == 0
