"""What a real Kafka can do to a collector, one fault at a time; docs/reliability.md has the table.

Each test says what the log, /readyz and the metrics tell while the fault lasts, and ends with the account: nothing lost, nothing twice.
$KLX_OUTAGE_SECONDS makes the long outage as long as you like (suite: 20).
"""
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AlterConfigOpType, ConfigEntry,
                                   ConfigResource, ResourcePatternType, ResourceType)

from cluster import Kafka
from cluster.process import free_port, wait_until
from kafka_world import KafkaWorld
from stage import EventHubs

BATCH_RECORDS_MAX = 1500  # collector/publish.h
OUTAGE_SECONDS = float(os.environ.get("KLX_OUTAGE_SECONDS", "20"))


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, request: pytest.FixtureRequest) -> Iterator[KafkaWorld]:
    """At the session's Kafka, which these tests leave as it is."""
    with KafkaWorld(binaries, tmp_path, kafka, request.node.name) as made:
        yield made


@pytest.fixture
def own(binaries: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[KafkaWorld]:
    """With a broker of its own."""
    with Kafka(tmp_path / "kafka") as broker, KafkaWorld(binaries, tmp_path, broker, request.node.name) as made:
        yield made


def test_brokers_that_are_down_for_long(own: KafkaWorld) -> None:
    own.begin()
    own.rain()
    own.wait_all()
    own.rest()
    own.wait_all()  # one broker alone that dies in the midst of a commit may show it twice
    before = own.metric("process_resident_memory_bytes")
    own.kafka.kill()
    own.rain()
    over = time.monotonic() + OUTAGE_SECONDS
    own.wait_ready(503, f"Kafka at {own.kafka.bootstrap} does not answer")
    assert own.metric("klaxon_publisher_trouble") == 1
    while time.monotonic() < over:
        assert own.ready()[0] == 503
        time.sleep(0.5)
    assert own.metric("process_resident_memory_bytes") < before + (16 << 20)
    own.kafka.start()
    own.wait_ready(timeout=60)
    own.check()
    assert own.metric("klaxon_publisher_trouble") == 0


def test_it_is_fenced(world: KafkaWorld) -> None:
    world.begin()
    world.rain()
    world.wait_all()
    other = Producer({"bootstrap.servers": world.kafka.bootstrap, "transactional.id": world.transactional_id})
    other.init_transactions(20)
    world.wait_anew(f"another one has taken over the transactional id {world.transactional_id}")
    world.check()


def ends(world: KafkaWorld, isolation: str) -> list[int]:
    topic = world.collector.topic("kubernetes")
    consumer = Consumer({"bootstrap.servers": world.kafka.bootstrap, "group.id": "ends", "isolation.level": isolation})
    try:
        return [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in range(4)]
    finally:
        consumer.close()


def is_open(world: KafkaWorld) -> bool:
    """A transaction holds back the readers of the topic."""
    return ends(world, "read_committed") != ends(world, "read_uncommitted")


def test_a_transaction_that_is_open_too_long(world: KafkaWorld) -> None:
    world.begin()
    world.rain(1000)
    world.wait_all()

    def stopped_inside() -> bool:
        os.kill(world.collector.process.pid, signal.SIGSTOP)
        if all(is_open(world) for _ in range(20)):  # not one whose markers are just being written
            return True
        os.kill(world.collector.process.pid, signal.SIGCONT)
        return False
    wait_until("a process that is stopped inside of a transaction", stopped_inside, 60)
    wait_until("the coordinator to end it", lambda: not is_open(world), 40)
    os.kill(world.collector.process.pid, signal.SIGCONT)
    world.wait_anew("a transaction was open for more than 15 s and Kafka ended it")
    world.check()
    assert world.metric("klaxon_publisher_trouble") == 0


def test_a_broker_of_three_dies_during_commits(binaries: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each in turn, so also the leaders of the partitions and the coordinator."""
    with Kafka(tmp_path / "kafka", 3) as kafka, KafkaWorld(binaries, tmp_path, kafka, request.node.name) as world:
        world.begin()
        world.rain()
        for node in (1, 2, 3):
            world.wait_all()
            kafka.kill(node)
            time.sleep(4)  # longer than broker.session.timeout.ms
            kafka.start(node)
        world.check(90)


def test_a_topic_that_is_deleted(world: KafkaWorld) -> None:
    world.begin()
    world.event("before")
    world.wait_all()
    topic = world.collector.topic("kubernetes")
    admin = world.kafka.admin()
    admin.delete_topics([topic])[topic].result(timeout=20)
    world.versions.clear()
    world.event("while it is away")
    world.wait_log(f"the topic {topic} does not exist", timeout=60)
    world.wait_ready(503, "run `klaxon topics apply`")
    assert world.metric("klaxon_publisher_trouble") == 1
    world.kafka.create_topic(topic, 4)
    world.check()
    world.wait_ready()


def test_a_record_that_is_too_large_for_its_topic(world: KafkaWorld) -> None:
    world.begin()
    topic = world.collector.topic("kubernetes")
    limit(world, topic, "2000")
    world.rain(100)
    world.event("x" * 5000)
    world.wait_log(f"is too large for {topic}: raise message.max.bytes of the client or max.message.bytes of the topic")
    world.wait_ready(503, "is too large for")
    wait_until("a backlog larger than the new limit", lambda: len(world.versions) > 400, 60)
    limit(world, topic, "50000")  # of a request, too: the batch is written in smaller ones
    world.check()
    world.wait_ready()


def limit(world: KafkaWorld, topic: str, size: str) -> None:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic,
                              incremental_configs=[ConfigEntry("max.message.bytes", size, incremental_operation=AlterConfigOpType.SET)])
    admin = world.kafka.admin()
    admin.incremental_alter_configs([resource])[resource].result(timeout=20)


ACLS = {"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "allow.everyone.if.no.acl.found": "true"}


def deny(world: KafkaWorld, what: ResourceType, name: str) -> AclBinding:
    acl = AclBinding(what, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.WRITE, AclPermissionType.DENY)
    admin = world.kafka.admin()
    admin.create_acls([acl])[acl].result(timeout=20)
    return acl


def allow(world: KafkaWorld, acl: AclBinding) -> None:
    one = AclBindingFilter(acl.restype, acl.name, acl.resource_pattern_type, acl.principal, acl.host, acl.operation, acl.permission_type)
    admin = world.kafka.admin()
    assert len(admin.delete_acls([one])[one].result(timeout=20)) == 1


def test_a_user_who_may_not_write(binaries: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with Kafka(tmp_path / "kafka", settings=ACLS) as kafka, KafkaWorld(binaries, tmp_path, kafka, request.node.name) as world:
        world.begin()
        world.rain()
        world.wait_all()
        topic = deny(world, ResourceType.TOPIC, world.collector.topic("kubernetes"))
        world.wait_log(f"this user may not use the topic {world.collector.topic('kubernetes')}: allow it Describe, and Write")
        world.wait_ready(503, "this user may not use the topic")
        allow(world, topic)
        world.wait_all()
        world.wait_ready()

        transactional = deny(world, ResourceType.TRANSACTIONAL_ID, world.transactional_id)
        world.wait_anew(f"with the transactional id {world.transactional_id}: allow it Write and Describe")
        allow(world, transactional)
        world.check()


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[None]:
    """In the place of a directory, with what is in it."""
    inside = directory.with_name("inside")
    directory.rename(inside)
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        shutil.copytree(inside, directory, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def test_a_broker_whose_disk_is_full(binaries: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """One of three: it ends, and the others go on."""
    kafka = Kafka(tmp_path / "kafka", 3)
    data, full = tmp_path / "kafka/node-1/data", kafka.nodes[0].child
    with small_disk(data, "100m"), kafka, KafkaWorld(binaries, tmp_path, kafka, request.node.name) as world:
        world.begin()
        world.rain()
        world.wait_all()
        with suppress(OSError), (data / "ballast").open("wb", buffering=0) as ballast:
            while True:
                ballast.write(b"x" * 10_000)
        wait_until("the broker to give up with its only directory", lambda: not full.alive(), 60)
        world.wait_all()
        world.wait_ready()
        (data / "ballast").unlink()
        kafka.start(1)
        world.check()
        world.wait_ready()


def ids_by_partition(world: KafkaWorld) -> list[list[str]]:
    """In order."""
    partitions: dict[int, list[str]] = {}
    for record in world.records():
        partitions.setdefault(record.partition, []).append(record.header("ce_id"))
    return list(partitions.values())


def repeats(world: KafkaWorld) -> int:
    """How many records came again; each of them with the id of the first time."""
    ids = [one for partition in ids_by_partition(world) for one in partition]
    assert len(set(ids)) == len(world.seen()), "an Event has several ids"
    return len(ids) - len(set(ids))


@pytest.fixture
def without(binaries: Path, tmp_path: Path, kafka: Kafka, request: pytest.FixtureRequest) -> Iterator[KafkaWorld]:
    """Without transactions."""
    with KafkaWorld(binaries, tmp_path, kafka, request.node.name, transactions="off") as made:
        yield made


def test_without_transactions_a_kill_repeats_at_most_a_batch(without: KafkaWorld) -> None:
    kills = int(os.environ.get("KLX_KILLS", "8"))
    rng = random.Random(7)
    without.begin()
    assert without.metric("klaxon_transactional") == 0
    without.rain(1500)
    for _ in range(kills):
        time.sleep(rng.uniform(0.3, 1.5))  # the random instant is the point
        without.collector.kill()
        without.collector.start()
        without.kube.wait_watching("events")
    without.rest()
    without.event("the last one")
    without.wait_all()
    came_again = repeats(without)
    print(f"{came_again} of {len(without.versions)} came again in {kills} kills")
    assert came_again <= kills * BATCH_RECORDS_MAX


def test_without_transactions_the_state_follows_the_events(without: KafkaWorld) -> None:
    """The worst instant: all events of a batch are written, and nothing of its state. The next start writes exactly them again."""
    without.begin()
    without.event("before")
    without.wait_all()
    assert repeats(without) == 0
    state = without.collector.topic("state")
    limit(without, state, "60")
    without.event("first")
    without.wait_log(f"is too large for {state}")
    without.wait_all()
    assert len(without.records()) == 2
    without.wait_ready(503, "is too large for")
    without.collector.kill()
    limit(without, state, "1000000")
    without.collector.start()
    without.event("second")
    without.wait_all()
    assert repeats(without) == 1 and len(without.records()) == 4
    assert sum(1 for n in without.seen().values() if n == 2) == 1


def test_event_hubs_standard_has_no_transactions(binaries: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """`auto` says so once, and goes on without."""
    front = free_port()
    settings = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{front}"}
    kafka = Kafka(tmp_path / "kafka", settings=settings)
    with EventHubs(front, kafka.nodes[0].port) as hubs, kafka:
        kafka.bootstrap = f"127.0.0.1:{front}"
        with KafkaWorld(binaries, tmp_path, kafka, request.node.name) as world:
            world.begin()
            assert hubs.refused >= 3
            assert world.metric("klaxon_transactional") == 0
            world.rain()
            world.wait_all()
            world.collector.kill()
            world.collector.start()
            world.rest()
            world.event("the last one")
            world.wait_all()
            assert repeats(world) <= BATCH_RECORDS_MAX
            said = [line for line in world.log() if "going on without transactions" in line["message"]]
            assert len(said) == 2  # once a start
            assert said[0]["level"] == "warn" and "Premium or Dedicated" in said[0]["why"]
            world.wait_ready()
