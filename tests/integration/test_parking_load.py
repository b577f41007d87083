"""A channel that is down for long: the others are told, and the process does not grow."""
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


def tell(world: Parked, first: int) -> None:
    """Two events of the good channel, one after the other. Each must arrive: nothing of the other channel's is between."""
    for number in (first, first + 1):
        world.events.put(f"g{number}", topic="kubernetes")
        world.wait_told("good", number + 1)


def configure(world: Parked, queue: int) -> None:
    """What is for the good channel is on another topic."""
    world.configure("gone", "good", queue=queue)
    text = world.sink.config.read_text()
    world.sink.config.write_text(text.replace('"team-good", "topics": ["nodes"]', '"team-good", "topics": ["kubernetes"]'))


def put_nodes(world: Parked, count: int) -> None:
    for number in range(count):
        world.events._producer.produce(world.prefix + "nodes", event_data(f"e{number}"), f"k{number % 50}",
                                       headers=list(event_headers(f"e{number}").items()))
        world.events._producer.poll(0)
    assert world.events._producer.flush(30) == 0


def test_a_send_without_an_answer_holds_up_nobody(world: Parked) -> None:
    """The queue is parked before it is full, while the send still hangs; what is behind that, of its key, comes after it."""
    configure(world, queue=400)
    world.slack.fault(hook="gone", cut="hang", at="answer", times=0)
    world.sink.start()
    world.sink.wait_ready()
    put_nodes(world, 350)
    tell(world, 0)
    world.wait_parked("gone", 350 - 350 // 50, 15)
    assert world.sink.metric("klaxon_sink_in_flight", channel="gone") == 1
    assert {r.header("klaxon-attempts") for r in world.retry()} == {None}  # the one that hangs is not there
    tell(world, 2)


def test_thousands_are_parked_in_flat_memory_and_nobody_waits(world: Parked, binaries: Path) -> None:
    configure(world, queue=400)
    world.slack.fault(hook="gone", error="no_service", times=0)
    world.sink.start()
    world.sink.wait_ready()
    world.events.put("first")
    world.wait_parked("gone", 1)
    tell(world, 0)
    memory = rss_kib(world.sink.process.pid)
    put_nodes(world, EVENTS)
    tell(world, 2)
    world.wait_parked("gone", EVENTS + 1, 60)
    world.sink.wait("settled", lambda: world.sink.metric("klaxon_sink_unsettled_records") == 0)
    tell(world, 4)
    assert world.told("gone") == []
    assert world.sink.metric("klaxon_sink_parked_in_hand") <= 100
    # What was under way is given back to the system; a sanitizer keeps what is freed for a while.
    most = (256 if "asan" in binaries.name else 5) * 1024
    world.sink.wait(f"at most {most} KiB more", lambda: rss_kib(world.sink.process.pid) - memory < most)
    assert world.sink.stop() == 0
