"""The email sink in front of a real mail server: Debian's Exim delivers into mailboxes."""
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Kafka
from cluster.exim import DOMAIN, PROGRAM, Exim
from sink_process import Events, Sink, new_prefix

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="exim4-daemon-light is not installed: ./dev install")


class World:
    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, exim: Exim):
        self.exim, self.directory = exim, directory
        prefix = new_prefix(kafka)
        self.events = Events(kafka, prefix)
        self.sink = Sink(binaries, directory, kafka, prefix, "email")

    def configure(self, *mailboxes: str, password: str = "exim-password", **settings: object) -> None:
        secret = self.directory / "password"
        secret.write_text(password)
        channel = {"to": [f"{name}@{DOMAIN}" for name in mailboxes], "from": f"klaxon <klaxon@{DOMAIN}>", "smtp": self.exim.url, "user": "klaxon",
                   "password": {"file": str(secret)}, "ca_file": str(self.exim.ca), "helo": "klaxon.example"} | settings
        self.sink.configure({"mail": channel}, [{"team": "operations", "topics": ["nodes"], "channels": ["mail"]}])


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka) -> Iterator[World]:
    with Exim({"klaxon": "exim-password"}, size_max="20K") as exim:
        made = World(binaries, tmp_path, kafka, exim)
        yield made
        made.sink.kill()
        print(made.sink.log.read_text() if made.sink.log.exists() else "no log")
        print(exim.log())


@pytest.mark.parametrize("auth", ["plain", "login"])
def test_an_incident_is_delivered_as_a_thread(world: World, auth: str) -> None:
    world.configure("ops", "dev", auth=auth)
    world.events.put("aks-1", incident="i1", incidentseq="1", phase="open")
    world.events.put("aks-1-again", incident="i1", incidentseq="2", phase="resolved")
    world.sink.start()
    first, second = world.exim.wait_mails("ops", 2)
    assert [mail["Message-ID"] for mail in world.exim.wait_mails("dev", 2)] == [first["Message-ID"], second["Message-ID"]]
    world.sink.wait_settled(2)
    assert world.sink.stop() == 0
    assert first["References"] == second["References"] == first["In-Reply-To"]
    assert "This is aks-1." in first.get_body(("plain",)).get_content() and "This is aks-1." in first.get_body(("html",)).get_content()
    assert "with esmtpsa" in first["Received"]  # TLS and AUTH
    assert f"A={auth}:klaxon" in world.exim.log()
    assert [receipt["reason"] for receipt in world.sink.receipts()] == ["delivered"] * 4
    assert not any(mail.defects for mail in (first, second))


def test_each_recipient_has_its_own_verdict(world: World) -> None:
    world.configure("ops", "nobody", "full", "grey")
    world.events.put("aks-1")
    world.sink.start()
    [mail] = world.exim.wait_mails("ops", 1)
    world.sink.wait("dead letters", lambda: len(world.sink.dead_letters()) == 2)
    receipts = {receipt["recipient"]: (receipt["reason"], receipt["code"]) for receipt in world.sink.receipts()}
    assert receipts == {f"ops@{DOMAIN}": ("delivered", "smtp_250"), f"nobody@{DOMAIN}": ("reject_recipient", "smtp_550"),
                        f"full@{DOMAIN}": ("reject_recipient", "mailbox_full")}
    assert "1 waiting" in world.sink.text("readyz")  # grey, for five minutes
    assert world.exim.log().count("greylisted") == 1
    assert world.sink.metric("klaxon_sink_verdicts_total", channel="mail", verdict="retry_after") == 1


def test_mails_share_a_connection(world: World) -> None:
    world.configure("ops")
    world.events.put("a", "b", "c")
    world.sink.start()
    world.exim.wait_mails("ops", 3)
    world.sink.wait_settled(3)
    assert world.exim.connections() == 1


def test_an_address_beyond_ascii(world: World) -> None:
    world.configure("jörg", "ops")
    world.events.put("a")
    world.sink.start()
    [mail] = world.exim.wait_mails("jörg", 1)
    assert mail["To"] == f"jörg@{DOMAIN}, ops@{DOMAIN}"
    world.exim.wait_mails("ops", 1)


def test_no_password_no_mail(world: World) -> None:
    world.configure("ops", password="of last year")
    world.events.put("a")
    world.sink.start()
    world.sink.wait("circuit", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="mail") == 1)
    assert "smtp_535" in world.sink.text("readyz")
    assert world.exim.mails("ops") == [] and world.sink.dead_letters() == []


def test_what_is_too_large_is_a_dead_letter(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    """SIZE says so before the mail is sent (RFC 1870)."""
    with Exim({"klaxon": "exim-password"}, size_max="2K") as exim:
        world = World(binaries, tmp_path, kafka, exim)
        world.configure("ops")
        world.events.put("a")
        world.sink.start()
        try:
            world.sink.wait("dead letter", lambda: len(world.sink.dead_letters()) == 1)
            [receipt] = world.sink.receipts()
            assert (receipt["reason"], receipt["code"]) == ("reject_message", "too_large")
        finally:
            world.sink.kill()
