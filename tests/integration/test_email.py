"""The email sink: its golden mails as a mail reader and a strict server see them, and the process between a real Kafka and the stage."""
import json
import email
import email.policy
import html.parser
import re
import signal
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Kafka
from sink_process import Events, Sink, new_prefix
from stage import Entra, Keys, Smtp

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / "tests/golden/email").glob("*.eml"))
TO = ["a@stage.example", "b@stage.example", "c@stage.example"]


class Tags(html.parser.HTMLParser):
    """The elements of a page that do something, where its links lead to, and its text."""

    def __init__(self, page: str):
        super().__init__()
        self.active: list[str] = []
        self.links: list[str | None] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attributes}
        if tag == "a" and names == {"href", "style"}:
            self.links.append(dict(attributes)["href"])
        elif tag in ("script", "img", "a", "iframe", "form", "link", "object") or any(n.startswith("on") or n in ("src", "href") for n in names):
            self.active.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def links_of(name: str) -> list[str]:
    """Those of the sample that the mail tells of; none of what is no sample."""
    sample = ROOT / f"schema/samples/{name}.json"
    return [link["url"] for link in json.loads(sample.read_text())["value"].get("links", ())] if sample.exists() else []


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_a_mail_reader_understands_every_golden_mail(path: Path) -> None:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert not message.defects
    for name, value in message.items():
        assert not value.defects, (name, value.defects)
    assert [str(a) for a in message["To"].addresses] == ["ops@example.com", "second@example.com"]
    assert str(message["From"].addresses[0]) == "klaxon <klaxon@example.com>"
    assert message["Bcc"] is None and message["Cc"] is None
    assert message["Date"].datetime.year == 2026
    assert re.fullmatch(r"<event-[0-9a-f]{32}@example\.com>", message["Message-ID"])
    assert message["References"] == message["In-Reply-To"]
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    text, page = message.get_payload()
    assert (text.get_content_type(), page.get_content_type()) == ("text/plain", "text/html")
    assert not text.defects and not page.defects
    tags = Tags(page.get_content())
    assert tags.active == []
    assert tags.links == links_of(path.stem)
    for word in text.get_content().split():
        if word.isalnum() and not word.isupper():  # the text says nothing that the page does not
            assert word in tags.text


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_the_stage_takes_every_golden_mail(smtp: Smtp, path: Path) -> None:
    raw = path.read_bytes()
    with smtplib.SMTP(smtp.host, smtp.port, timeout=5) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(smtp.ca)))
        client.login("klaxon", "stage-password")
        assert client.sendmail("klaxon@example.com", ["ops@example.com"], raw) == {}
    [mail] = smtp.mails.all()
    assert mail.raw == raw


class World:
    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, smtp: Smtp):
        self.prefix = new_prefix(kafka)
        self.events = Events(kafka, self.prefix)
        self.smtp, self.directory = smtp, directory
        self.sink = Sink(binaries, directory, kafka, self.prefix, "email")

    def configure(self, **settings: object) -> None:
        """As `./dev up` has it."""
        secret = self.directory / "password"
        secret.write_text("stage-password\n")
        channel = {"to": TO[:1], "from": "klaxon@stage.example", "smtp": self.smtp.url, "user": "klaxon",
                   "password": {"file": str(secret)}, "ca_file": str(self.smtp.ca), "helo": "klaxon.example"} | settings
        self.sink.configure({"mail": {name: value for name, value in channel.items() if value is not None}},
                            [{"team": "operations", "topics": ["nodes"], "channels": ["mail"]}])


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, smtp: Smtp) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, smtp)
    yield made
    made.sink.kill()
    print(made.sink.log.read_text() if made.sink.log.exists() else "no log")


def test_an_incident_is_a_thread_under_tls(world: World) -> None:
    world.configure()
    world.events.put("aks-1", incident="i1", incidentseq="1", phase="open")
    world.events.put("aks-1-again", incident="i1", incidentseq="2", phase="resolved")
    world.sink.start()
    first, second = world.smtp.mails.wait_count("mails", 2, timeout=40)
    world.sink.wait_settled(2)
    assert world.sink.stop() == 0
    assert (first.tls, first.user, first.helo) == (True, "klaxon", "klaxon.example")
    assert (first.sender, first.recipients) == ("klaxon@stage.example", TO[:1])
    assert "This is aks-1." in (first.part("plain") or "") and "This is aks-1." in (first.part("html") or "")
    assert first.message["References"] == second.message["References"] != first.message["Message-ID"]
    assert first.message["List-Id"] == "<nodes.klaxon.stage.example>"
    assert [r["reason"] for r in world.sink.receipts()] == ["delivered", "delivered"]


def test_three_recipients_have_three_verdicts(world: World) -> None:
    """550, 451, 250: a dead letter, a retry to that one alone with the same Message-ID, and nothing said twice."""
    world.configure(to=TO)
    world.smtp.fault(stage="rcpt", address=TO[0], reply="550 5.1.1 no such user", times=0)
    world.smtp.fault(stage="rcpt", address=TO[1], reply="450 4.2.1 try again", times=1)
    world.events.put("aks-1")
    world.sink.start()
    first, second = world.smtp.mails.wait_count("mails", 2, timeout=40)
    world.sink.wait_settled(1)
    assert world.sink.stop() == 0
    assert (first.recipients, second.recipients) == ([TO[2]], [TO[1]])
    assert first.raw == second.raw
    receipts = {r["recipient"]: (r["reason"], r["attempts"]) for r in world.sink.receipts()}
    assert receipts == {TO[0]: ("reject_recipient", 1), TO[1]: ("delivered", 2), TO[2]: ("delivered", 1)}
    [letter] = world.sink.dead_letters()
    assert b"550 5.1.1 no such user" in letter.value
    assert b"stage-password" not in letter.value and "stage-password" not in world.sink.log.read_text()


def test_silence_after_the_dot_is_ambiguous(world: World) -> None:
    world.configure()
    world.smtp.fault(stage="dot", cut="close", taken=True)
    world.events.put("aks-1")
    world.sink.start()
    first, second = world.smtp.mails.wait_count("mails", 2, timeout=40)
    world.sink.wait_settled(1)
    assert world.sink.stop() == 0
    assert first.message["Message-ID"] == second.message["Message-ID"]
    [receipt] = world.sink.receipts()
    assert (receipt["reason"], receipt["attempts"], receipt["ambiguous"]) == ("delivered", 2, 1)


@pytest.mark.parametrize("reply, words", [("535 5.7.8 no", "credential_broken"), ("454 4.7.0 later", "retry_backoff")])
def test_credentials(world: World, reply: str, words: str) -> None:
    """535 opens the circuit and keeps the mail, 454 is a matter of time."""
    world.configure()
    world.smtp.fault(stage="auth", reply=reply, times=0)
    world.events.put("aks-1")
    world.sink.start()
    state = "broken" if words == "credential_broken" else "failing"
    world.sink.wait(words, lambda: f"channel mail: 1 waiting, {state} since" in world.sink.text("readyz"))
    world.smtp.faults.clear()
    world.sink.signal(signal.SIGHUP)  # somebody has repaired it
    world.smtp.mails.wait_count("mails", 1, timeout=40)


def test_a_certificate_of_another_authority_gets_nothing(world: World, tmp_path: Path) -> None:
    world.configure(ca_file=str(Keys(tmp_path / "other").ca))
    world.events.put("aks-1")
    world.sink.start()
    world.sink.wait("broken", lambda: "broken since" in world.sink.text("readyz"))
    assert "tls" in world.sink.text("readyz")
    assert world.sink.metric("klaxon_sink_circuit_open", channel="mail") == 1
    assert [line.text for line in world.smtp.lines.all() if line.tls] == []
    assert not any(line.text.startswith(("AUTH", "MAIL")) for line in world.smtp.lines.all())


def test_mails_share_a_connection(world: World) -> None:
    """RSET says that nothing is left of the mail before; a connection that the server ended meanwhile is no loss."""
    world.configure()
    world.events.put("a", "b", "c")
    world.sink.start()
    world.smtp.mails.wait_count("mails", 3, timeout=40)
    world.sink.wait_settled(3)
    assert {line.session for line in world.smtp.lines.all()} == {1}
    said = [line.text for line in world.smtp.lines.all() if line.client]
    assert said.count("RSET") == 2 + said.count("NOOP")  # it was probed before
    assert "RCPT TO:<a@stage.example> NOTIFY=NEVER" in [line.text for line in world.smtp.lines.all()]
    world.smtp.drop_connections()
    world.events.put("d")
    world.smtp.mails.wait_count("mails", 4, timeout=40)
    world.sink.wait_settled(4)
    assert {line.session for line in world.smtp.lines.all()} == {1, 2}
    assert [receipt["attempts"] for receipt in world.sink.receipts()] == [1, 1, 1, 1]


@pytest.mark.parametrize("initial_response", [False, True])
def test_a_token_of_entra_id(world: World, tmp_path: Path, initial_response: bool) -> None:
    """In place of a password. One that the server refuses is replaced once, within the same mail."""
    taken: list[str] = []

    def check(token: str) -> bool:
        taken.append(token)
        claims = entra.key.read(token)
        return claims["aud"] == "https://outlook.office365.com" and len(taken) != 1

    with Entra(tmp_path / "entra") as entra:
        entra.application("klaxon-mail", secret="client-secret-value")
        entra.resource("https://outlook.office365.com")
        world.smtp.token_check = check
        secret = tmp_path / "client"
        secret.write_text("client-secret-value")
        world.configure(auth="xoauth2", password=None, client_id="klaxon-mail", tenant=entra.tenant, authority=entra.authority,
                        client_secret={"file": str(secret)}, initial_response=initial_response)
        world.events.put("a")
        world.sink.start()
        [mail] = world.smtp.mails.wait_count("mails", 1, timeout=40)
        world.sink.wait_settled(1)
        assert (mail.user, mail.tls) == ("klaxon", True)
        assert len(set(taken)) == 2 and len(entra.requests) == 2
        [receipt] = world.sink.receipts()
        assert (receipt["reason"], receipt["attempts"]) == ("delivered", 1)
        assert not any(token in world.sink.log.read_text() for token in taken)


def test_an_address_beyond_ascii(world: World) -> None:
    world.configure(to=["jörg@stage.example", TO[0]])
    world.events.put("a")
    world.sink.start()
    [mail] = world.smtp.mails.wait_count("mails", 1, timeout=40)
    assert mail.recipients == ["jörg@stage.example", TO[0]]
    assert "To: jörg@stage.example, a@stage.example\r\n".encode() in mail.raw
    assert "MAIL FROM:<klaxon@stage.example> SIZE=" in next(x.text for x in world.smtp.lines.all() if x.text.startswith("MAIL"))
    assert any(line.text.endswith("BODY=8BITMIME SMTPUTF8") for line in world.smtp.lines.all())


def test_opportunistic_goes_in_clear_where_nothing_else_is_offered(world: World) -> None:
    with Smtp(tls="plain") as clear:
        world.smtp = clear
        world.configure(user=None, password=None, ca_file=None, smtp=clear.url, tls="opportunistic")
        world.events.put("a")
        world.sink.start()
        [mail] = clear.mails.wait_count("mails", 1, timeout=40)
        assert not mail.tls
