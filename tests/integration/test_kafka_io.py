"""The consumer and the producer of lib/io against a real Kafka, behind the pipe of tests/integration/drivers/kafka_io.c."""
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import NewPartitions

from cluster import Kafka

FROM_BEGINNING = {"auto.offset.reset": "earliest"}
SHORT_POLL = {"max.poll.interval.ms": "6000", "session.timeout.ms": "6000"}


class Member:
    """One kafka_io process. Its lines are collected by a thread, so a wait has a deadline."""

    def __init__(self, binaries: Path, kafka: Kafka, group: str, topics: list[str], properties: dict[str, str] | None = None):
        pairs = {"bootstrap.servers": kafka.bootstrap} | (properties or {})
        argv = [binaries / "tests/kafka_io"]
        for name, value in pairs.items():
            argv += ["-X", f"{name}={value}"]
        self.lines: list[str] = []
        self._came = threading.Condition()
        self.process = subprocess.Popen([*argv, group, *topics], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._came:
                self.lines.append(line.strip())
                self._came.notify_all()

    def tell(self, command: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def matching(self, pattern: str) -> list[str]:
        return [line for line in list(self.lines) if re.match(pattern, line)]

    def wait(self, what: str, done: Callable[[], bool], timeout: float = 20) -> None:
        with self._came:
            assert self._came.wait_for(done, timeout), f"{what}: not within {timeout} s; said:\n" + "\n".join(self.lines[-30:])

    def expect(self, pattern: str, count: int = 1, timeout: float = 20) -> list[str]:
        self.wait(f"{count} of {pattern}", lambda: len(self.matching(pattern)) >= count, timeout)
        return self.matching(pattern)

    def never(self, pattern: str, seconds: float) -> None:
        """The time is what is tested: nothing that matches may come in it."""
        with self._came:
            came = self._came.wait_for(lambda: bool(self.matching(pattern)), seconds)
        assert not came, f"{pattern}: {self.matching(pattern)}"

    def wait_time(self, seconds: float) -> None:
        """The time is what is tested: what is said in it is counted afterwards."""
        with self._came:
            self._came.wait_for(lambda: self.process.poll() is not None, seconds)

    def owned(self) -> set[tuple[str, int]]:
        owned: set[tuple[str, int]] = set()
        for line in list(self.lines):
            word, *rest = line.split()
            if word in ("assigned", "revoked"):
                partition = (rest[0], int(rest[1]))
                owned = owned | {partition} if word == "assigned" else owned - {partition}
        return owned

    def own(self, count: int, timeout: float = 30) -> set[tuple[str, int]]:
        """Waits until that many are given; while they are taken away, line by line, the number passes others."""
        def settled() -> bool:
            return len(self.owned()) == count and self.matching("assigned|revoked")[-1].startswith("assigned")
        self.wait(f"{count} partitions", settled, timeout)
        return self.owned()

    def leave(self, wait_ms: int = 10000) -> None:
        self.tell(f"leave {wait_ms}")
        self.expect("left$", timeout=wait_ms / 1000 + 5)

    def quit(self, timeout: float = 15) -> None:
        """Also fails when the sanitizer found a leak, or the loop was left with something alive."""
        if self.process.poll() is None:
            self.tell("quit")
        assert self.process.wait(timeout) == 0, "\n".join(self.lines[-30:])
        self._thread.join(5)
        assert self.lines[-1] == "bye"
        assert not self.matching("mistake")


@pytest.fixture
def member(binaries: Path) -> Iterator[Callable[..., Member]]:
    made: list[Member] = []

    def make(*args, **kwargs) -> Member:
        made.append(Member(binaries, *args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def topic(kafka: Kafka, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("[", "-").strip("]")
    kafka.create_topic(name, 4)
    return name


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker that tests may kill."""
    with Kafka(tmp_path_factory.mktemp("mortal") / "data") as broker:
        yield broker


def publish(kafka: Kafka, topic: str, values: list[str], key: str | None = None, partition: int = -1) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    for value in values:
        producer.produce(topic, value, key=key, partition=partition)
    assert producer.flush(20) == 0


def committed(kafka: Kafka, group: str, topic: str, partition: int) -> int:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    try:
        return consumer.committed([TopicPartition(topic, partition)], timeout=10)[0].offset
    finally:
        consumer.close()


def offsets(lines: list[str]) -> list[int]:
    return [int(line.split()[3]) for line in lines]


def test_it_resumes_after_what_is_stored(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    first = member(kafka, topic, [topic], FROM_BEGINNING)
    first.own(4)
    first.tell(f"send {topic} one 100 10")
    first.expect("answer 0", 10)
    records = first.expect(f"record {topic} ", 10)
    partition = int(records[0].split()[2])
    assert offsets(records) == list(range(10))
    assert "key=one bytes=100 ce_id=7" in records[0]
    first.tell(f"store {topic} {partition} 4")
    first.leave()
    first.quit()
    assert committed(kafka, topic, topic, partition) == 4
    second = member(kafka, topic, [topic], FROM_BEGINNING)
    assert offsets(second.expect(f"record {topic} {partition} ", 6)) == [4, 5, 6, 7, 8, 9]
    second.quit()


def test_stored_offsets_are_committed_while_it_runs(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    publish(kafka, topic, ["v"] * 3, partition=2)
    one = member(kafka, topic, [topic], FROM_BEGINNING)
    one.expect(f"record {topic} 2 ", 3)
    one.tell(f"store {topic} 2 3")
    deadline = time.monotonic() + 10
    while committed(kafka, topic, topic, 2) != 3:
        assert time.monotonic() < deadline, "not committed within 10 s"
    one.process.kill()  # no end in order is needed


def test_a_new_group_begins_at_the_end(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    publish(kafka, topic, ["old"] * 5, partition=1)
    first = member(kafka, topic, [topic])
    first.own(4)
    first.leave()
    first.quit()
    publish(kafka, topic, ["new"] * 2, partition=1)
    publish(kafka, topic, ["new"], partition=3)
    second = member(kafka, topic, [topic])
    second.expect(f"record {topic} 3 0 ")
    assert offsets(second.expect(f"record {topic} 1 ", 2)) == [5, 6]
    second.quit()


def test_a_topic_new_to_a_running_group_begins_at_its_end(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    other = f"{topic}-2"
    kafka.create_topic(other, 1)
    publish(kafka, other, ["old"] * 5)
    first = member(kafka, topic, [topic])
    first.own(4)
    second = member(kafka, topic, [topic, other])
    second.wait("the other topic", lambda: (other, 0) in second.owned(), 30)
    deadline = time.monotonic() + 15
    while committed(kafka, topic, other, 0) != 5:
        assert time.monotonic() < deadline, "its start was not committed within 15 s"
    publish(kafka, other, ["new"])
    assert offsets(second.expect(f"record {other} ")) == [5]
    for one in (first, second):
        one.quit()


def test_a_member_reads_other_topics_from_now_on(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    other = f"{topic}-2"
    kafka.create_topic(other, 1)
    publish(kafka, other, ["old"] * 5)
    one = member(kafka, topic, [topic])
    one.own(4)
    publish(kafka, topic, ["a"], partition=2)
    one.expect(f"record {topic} 2 0 ")
    one.tell(f"store {topic} 2 1")
    one.tell(f"subscribe {topic} {other}")
    one.wait("the other topic", lambda: (other, 0) in one.owned() and len(one.owned()) == 5, 30)
    publish(kafka, topic, ["b"], partition=2)
    publish(kafka, other, ["new"])
    assert offsets(one.expect(f"record {other} ")) == [5]
    assert offsets(one.expect(f"record {topic} 2 ", 2)) == [0, 1]  # nothing again
    one.tell(f"subscribe {other} {topic}")  # the same: nobody is disturbed
    one.tell(f"subscribe {other}")
    one.wait("one topic", lambda: one.owned() == {(other, 0)}, 30)
    publish(kafka, other, ["newer"])
    assert offsets(one.expect(f"record {other} ", 2))[1] in (5, 6)  # it was not stored
    one.quit()


def test_partitions_and_topics_that_come_later_are_read_whole(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    late = f"{topic}-late"
    one = member(kafka, topic, [topic, late], {"topic.metadata.refresh.interval.ms": "500"})
    one.own(4)
    one.expect(f"trouble .*the topic {late} does not exist on {kafka.bootstrap}: run `klaxon topics apply`")
    kafka.create_topic(late, 1)
    publish(kafka, late, ["v"] * 3)
    admin = kafka.admin()  # held: its futures fail when the client goes
    admin.create_partitions([NewPartitions(topic, 5)])[topic].result(20)
    publish(kafka, topic, ["v"] * 2, partition=4)
    assert offsets(one.expect(f"record {late} 0 ", 3)) == [0, 1, 2]
    assert offsets(one.expect(f"record {topic} 4 ", 2)) == [0, 1]
    one.quit()


def test_two_share_and_one_leaves(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    first = member(kafka, topic, [topic], FROM_BEGINNING)
    first.own(4)
    second = member(kafka, topic, [topic], FROM_BEGINNING)
    assert first.own(2) | second.own(2) == {(topic, i) for i in range(4)}
    first.tell("assigned?")
    first.expect("yes$")
    for partition in range(4):
        publish(kafka, topic, ["v"], partition=partition)
    first.expect("record", 2)
    second.expect("record", 2)
    theirs = {partition for _, partition in second.owned()}
    for partition in theirs:
        second.tell(f"store {topic} {partition} 1")
    second.leave()
    first.own(4)
    for partition in range(4):
        publish(kafka, topic, ["v"], partition=partition)
    # What it had not stored comes again; what the other one had stored does not.
    for partition in range(4):
        wanted = [1] if partition in theirs else [0, 0, 1]
        first.expect(f"record {topic} {partition} ", len(wanted))
        assert offsets(first.matching(f"record {topic} {partition} ")) == wanted
    for one in (first, second):
        one.quit()


def test_a_late_store_moves_nothing(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    for partition in range(4):
        publish(kafka, topic, ["v"] * 5, partition=partition)
    first = member(kafka, topic, [topic], FROM_BEGINNING)
    first.expect("record", 20)
    second = member(kafka, topic, [topic], FROM_BEGINNING)
    taken = second.own(2)
    first.own(2)
    for name, partition in taken:
        first.tell(f"store {name} {partition} 5")
    first.leave()
    second.own(4)
    second.quit()
    first.quit()
    assert all(committed(kafka, topic, name, partition) < 5 for name, partition in taken)


def resident_kib(member: Member) -> int:
    status = Path(f"/proc/{member.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def test_neither_a_pause_nor_an_idle_topic_costs_the_membership(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    idle_topic = f"{topic}-idle"
    kafka.create_topic(idle_topic, 1)
    idle = member(kafka, f"{topic}-idle", [idle_topic], FROM_BEGINNING | SHORT_POLL)
    paused = member(kafka, topic, [topic], FROM_BEGINNING | SHORT_POLL)
    idle.own(1)
    paused.own(4)
    paused.tell("pause")
    paused.tell("assigned?")
    paused.expect("yes$")
    before_kib = resident_kib(paused)
    publish(kafka, topic, ["x" * 1000] * 60000)
    paused.never("record|revoked|trouble", 9)
    assert resident_kib(paused) - before_kib < 40 * 1024
    assert not idle.matching("revoked|trouble")
    publish(kafka, idle_topic, ["v"])
    idle.expect("record")
    paused.tell("resume")
    paused.expect("record", 60000, timeout=60)
    assert not paused.matching("revoked|trouble")
    for one in (idle, paused):
        one.quit()


def test_a_rebalance_is_answered_while_it_is_paused(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    first = member(kafka, topic, [topic], FROM_BEGINNING)
    first.own(4)
    first.tell("pause")
    publish(kafka, topic, ["v"] * 1000)
    second = member(kafka, topic, [topic], FROM_BEGINNING)
    second.own(2, timeout=15)
    first.own(2, timeout=15)
    assert not first.matching("record")
    second.expect("record")
    for one in (first, second):
        one.quit()


def test_aborted_records_are_not_read(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    one = member(kafka, topic, [topic], FROM_BEGINNING)
    one.own(4)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(20)
    for key in ("aborted", "committed"):
        producer.begin_transaction()
        producer.produce(topic, "v", key=key, partition=0)
        assert producer.flush(20) == 0
        (producer.abort_transaction if key == "aborted" else producer.commit_transaction)(20)
    one.expect("record.*key=committed")
    assert not one.matching("record.*key=aborted")
    one.quit()


def test_keys_are_where_java_looks_for_them(kafka: Kafka, topic: str, member: Callable[..., Member]) -> None:
    one = member(kafka, topic, [topic], FROM_BEGINNING)
    one.own(4)
    keys = [f"prod-weu/node-{i}" for i in range(20)]
    for key in keys:
        publish(kafka, topic, ["v"], key=key)
        one.tell(f"send {topic} {key} 5")
    records = one.expect("record", 40)
    for key in keys:
        partitions = {line.split()[2] for line in records if f"key={key} " in line}
        assert len(partitions) == 1, key
    one.quit()


def test_a_record_too_large_for_the_topic_is_answered(kafka: Kafka, member: Callable[..., Member]) -> None:
    kafka.create_topic("small-records", 1, {"max.message.bytes": "2000"})
    one = member(kafka, "-", [])
    one.tell("send small-records k 5000")
    one.expect("answer -90 a record of 5000 bytes is too large for small-records")
    one.tell("send small-records k 2000000")
    one.expect("refused -90 a record of 2000000 bytes is too large for small-records")
    one.tell("send small-records k 500 3")
    one.expect("answer 0", 3)
    one.tell("pending?")
    one.expect("pending 0")
    one.tell("finish 5000")
    one.expect("finished 0")
    one.quit()


def test_a_broker_that_dies_and_returns(mortal: Kafka, member: Callable[..., Member]) -> None:
    mortal.create_topic("mortal", 2)
    # A session that outlives the outage: after a rebalance what was not stored would rightly come again.
    one = member(mortal, "mortal", ["mortal"], FROM_BEGINNING | {"reconnect.backoff.max.ms": "500", "session.timeout.ms": "120000"})
    one.own(2)
    one.tell("send mortal k 10")
    one.expect("record", 1)
    mortal.kill()
    one.expect(f"trouble Kafka at {mortal.bootstrap} does not answer", 3, timeout=30)  # again while it lasts
    one.tell("send mortal k 10 2")
    one.tell("pending?")
    one.expect("pending 2")
    mortal.start()
    one.expect("answer 0", 3, timeout=60)
    records = one.expect("record", 3, timeout=60)
    assert offsets(records[:3]) == [0, 1, 2]
    partition = int(records[0].split()[2])
    one.own(2)
    said = len(one.matching("trouble"))
    one.tell(f"store mortal {partition} 3")
    one.wait_time(12)
    assert len(one.matching("trouble")) <= said + 1  # and not when it is over, but for a check that was under way
    one.leave()
    one.quit()
    assert committed(mortal, "mortal", "mortal", partition) == 3


def test_an_end_without_kafka_is_in_time(mortal: Kafka, member: Callable[..., Member]) -> None:
    mortal.create_topic("end", 1)
    waits = member(mortal, "end", ["end"], FROM_BEGINNING)
    waits.own(1)
    waits.tell("send end k 10")
    waits.expect("record", 1)
    mortal.kill()
    try:
        starts = member(mortal, "end-2", ["end"])
        starts.expect("trouble")
        waits.tell("store end 0 1")
        waits.tell("send end k 10")
        waits.expect("trouble")
        for one in (waits, starts):
            begun = time.monotonic()
            one.tell("leave 500")
            one.tell("finish 500")
            one.expect("left$", timeout=5)
            one.expect("finished 1" if one is waits else "finished 0", timeout=5)
            one.quit(timeout=5)
            assert time.monotonic() - begun < 6
    finally:
        mortal.start()
