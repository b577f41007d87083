"""An SMTP server that keeps every mail, refuses what a strict one refuses, and fails by command.

    with Smtp(keys) as smtp:                              # STARTTLS required; no authentication
        smtp.fault(stage="rcpt", address="b@example.com", reply="451 4.7.1 greylisted", times=2)
        smtp.fault(stage="dot", cut="stall", taken=True)  # the mail is kept, and no answer ever
        …
        [mail] = smtp.mails.wait_count("mails", 1)
        mail.recipients, mail.message["Subject"], mail.part("html"), mail.raw

tls: "starttls" (required before MAIL), "implicit" (from the first byte) or "plain". users: {name: password}; then AUTH is required,
and offered only under TLS (in "plain" too). AUTH XOAUTH2 takes the password as its token, or what `token_check` takes.
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.process import free_port

from .faults import Fault, Faults
from .journal import Journal
from .keys import Keys
from .mail import Mail, address_problem, message_problem

STAGES = ("connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "dot", "quit")
COMMAND_BYTES_MAX = 2048
SIZE_MAX = 10 << 20
IDLE_SECONDS = 120


@dataclass
class SmtpFault(Fault):
    """What to do at a stage of the dialogue instead of what is usual.

    stage: "connect" is the greeting, "data" the command, "dot" the end of the message. address: only for this one of RCPT.
    reply: this line, e.g. "550 5.1.1 no such user"; a connection is closed after 421. cut: "close", "reset" or "stall" (open, silent).
    delay: seconds before the answer; alone it only delays. taken: at "dot", the mail is kept whatever is answered.
    """

    stage: str = "rcpt"
    address: str | None = None
    reply: str | None = None
    cut: str | None = None
    delay: float = 0
    taken: bool = False

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"stage: {self.stage!r} is none of {', '.join(STAGES)}")
        if self.cut not in (None, "close", "reset", "stall"):
            raise ValueError('cut is "close", "reset" or "stall"')
        if self.reply is not None and not re.match(r"[2345]\d\d[ -]", self.reply):
            raise ValueError('reply is a line such as "550 5.1.1 no such user"')


@dataclass
class SmtpLine:
    """One line of a dialogue, for tests that ask what was on the wire. Credentials are stars."""

    session: int
    at: float
    client: bool  # said by the client
    tls: bool
    text: str


class _Over(Exception):
    """The session is to end."""


class Smtp:
    def __init__(self, keys: Keys | None = None, tls: str = "starttls", users: dict[str, str] | None = None,
                 offer_utf8: bool = True, size_max: int = SIZE_MAX, port: int = 0):
        if tls not in ("starttls", "implicit", "plain") or (keys is None) != (tls == "plain"):
            raise ValueError('tls is "starttls" or "implicit" with keys, or "plain" without')
        self.tls, self.users, self.offer_utf8, self.size_max = tls, users or {}, offer_utf8, size_max
        self.ca = keys.ca if keys else None
        self.context = keys.server_context() if keys else None
        self.host, self.port = "127.0.0.1", port or free_port()
        self.mails: Journal[Mail] = Journal()
        self.lines: Journal[SmtpLine] = Journal()
        self.faults = Faults(SmtpFault)
        self.token_check: Callable[[str], bool] | None = None
        self.stopping = threading.Event()
        self._listener = socket.create_server((self.host, self.port), backlog=64)
        self._open: set[socket.socket] = set()
        self._sessions = 0
        self._lock = threading.Lock()

    def __enter__(self) -> "Smtp":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"{'smtps' if self.tls == 'implicit' else 'smtp'}://{self.host}:{self.port}"

    def fault(self, **fields: Any) -> None:
        self.faults.add(**fields)

    def start(self) -> None:
        threading.Thread(target=self._accept, daemon=True, name=f"smtp-{self.port}").start()

    def stop(self) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()

    def drop_connections(self) -> None:
        """As a server does that has waited long enough."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._sessions += 1
            threading.Thread(target=self._run, args=(connection, self._sessions), daemon=True).start()

    def _run(self, connection: socket.socket, number: int) -> None:
        self._open.add(connection)
        session = _Session(self, connection, number)
        try:
            session.run()
        except (_Over, OSError):
            pass
        except Exception:
            traceback.print_exc(file=sys.stderr)
        finally:
            self._open.discard(connection)
            session.close()

    def keep(self, session: "_Session", raw: bytes) -> None:
        with self._lock:
            self.mails.append(Mail(len(self.mails), time.time(), session.helo, session.user, session.tls, session.sender or "",
                                   list(session.recipients), raw))


class _Session:
    """One connection. Replies are lines; the state is what RFC 5321 asks for."""

    def __init__(self, server: Smtp, connection: socket.socket, number: int):
        self.server, self.connection, self.number = server, connection, number
        self.pending = b""
        self.tls = False
        self.helo, self.user = "", None
        self.forget()
        connection.settimeout(IDLE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def forget(self) -> None:
        """RSET, and what follows a mail."""
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.utf8 = False

    def run(self) -> None:
        if self.server.tls == "implicit":
            self._begin_tls()
        self.answer("connect", "220 stage.klaxon.test ESMTP")
        while True:
            line = self._read_line()
            if line is not None:
                self._command(line)

    # the wire

    def _log(self, client: bool, text: str) -> None:
        self.server.lines.append(SmtpLine(self.number, time.time(), client, self.tls, text))

    def _receive(self) -> None:
        data = self.connection.recv(65536)
        if not data:
            raise _Over
        self.pending += data

    def _read_line(self, secret: bool = False) -> str | None:
        """One command, or None for a line that was refused already."""
        while b"\n" not in self.pending:
            if len(self.pending) > COMMAND_BYTES_MAX:
                self.reply("500 5.5.2 line too long")
                raise _Over
            self._receive()
        line, _, self.pending = self.pending.partition(b"\n")
        text = line.decode("utf-8", "backslashreplace")
        self._log(True, "***" if secret else re.sub(r"(?i)^(AUTH \S+ ).*", r"\1***", text.rstrip("\r")))
        if not line.endswith(b"\r") or b"\r" in line[:-1] or b"\0" in line:
            self.reply("500 5.5.2 bare line feed, carriage return or NUL")
            return None
        return text[:-1]

    def reply(self, text: str) -> None:
        for line in text.split("\n"):
            self._log(False, line)
        self.connection.sendall(text.replace("\n", "\r\n").encode() + b"\r\n")
        if text.startswith("421"):
            raise _Over

    def answer(self, stage: str, usual: str, address: str | None = None) -> bool:
        """The usual reply, or what a fault says; True when it was the usual one."""
        fault = self.server.faults.take(stage=stage, address=address) or SmtpFault(stage=stage)
        self._wait(fault)
        self.reply(fault.reply or usual)
        return fault.reply is None

    def _wait(self, fault: SmtpFault) -> None:
        if fault.delay and self.server.stopping.wait(fault.delay):
            raise _Over
        if fault.cut:
            self._log(False, f"({fault.cut})")
        if fault.cut == "stall":
            while self.connection.recv(65536):
                pass
        if fault.cut == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if fault.cut:
            raise _Over

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.close()

    def _begin_tls(self) -> None:
        """An SSLSocket takes the descriptor over: the one in the server's set follows."""
        self.server._open.discard(self.connection)
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True, do_handshake_on_connect=False)
        self.server._open.add(self.connection)
        try:
            self.connection.do_handshake()
        except ssl.SSLError:
            raise _Over from None
        self.tls = True

    # the commands

    def _command(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        handler = getattr(self, f"_on_{verb.lower()}", None) if verb.isalpha() else None
        if handler is None:
            self.reply("500 5.5.1 unknown command")
        else:
            handler(rest.strip())

    def _may_auth(self) -> bool:
        return bool(self.server.users) and (self.tls or self.server.tls == "plain")

    def _on_ehlo(self, name: str) -> None:
        if not name:
            self.reply("501 5.5.4 EHLO needs a name")
            return
        self.forget()
        self.helo = name
        offers = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", f"SIZE {self.server.size_max}"]
        offers += ["SMTPUTF8"] if self.server.offer_utf8 else []
        offers += ["STARTTLS"] if self.server.tls == "starttls" and not self.tls else []
        offers += ["AUTH PLAIN LOGIN XOAUTH2"] if self._may_auth() else []
        lines = ["stage.klaxon.test", *offers]
        self.answer("ehlo", "\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines))

    def _on_helo(self, name: str) -> None:
        self.helo = name
        self.answer("ehlo", "250 stage.klaxon.test")

    def _on_starttls(self, rest: str) -> None:
        if self.server.tls != "starttls" or self.tls or rest:
            self.reply("503 5.5.1 STARTTLS is not possible now")
        elif self.answer("starttls", "220 2.0.0 go ahead"):
            self.pending = b""  # what was sent in clear behind STARTTLS does not count
            self.helo = ""
            self._begin_tls()

    def _on_auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        credentials = {"PLAIN": self._auth_plain, "LOGIN": self._auth_login, "XOAUTH2": self._auth_xoauth2}.get(mechanism.upper())
        if not self._may_auth():
            self.reply("538 5.7.11 encryption required" if self.server.users else "503 5.5.1 AUTH is not offered")
        elif self.user is not None or not self.helo:
            self.reply("503 5.5.1 AUTH is not possible now")
        elif credentials is None:
            self.reply("504 5.5.4 unknown mechanism")
        else:
            user, password = credentials(initial)
            good = self._is_good(user, password, mechanism.upper() == "XOAUTH2")
            accepted = self.answer("auth", "235 2.7.0 welcome" if good else "535 5.7.8 wrong user or password")
            self.user = user if good and accepted else None

    def _is_good(self, user: str | None, password: str, token: bool) -> bool:
        """A token that is refused gets a challenge that says why, as Exchange Online and Gmail have it."""
        known = user is not None and user in self.server.users
        if not token or self.server.token_check is None:
            return known and self.server.users[user] == password
        if known and self.server.token_check(password):
            return True
        self._ask(base64.b64encode(b'{"status":"401","schemes":"bearer"}').decode())
        return False

    def _ask(self, prompt: str, given: str = "") -> str:
        if not given:
            self.reply(f"334 {prompt}".rstrip())
            given = self._read_line(secret=True) or ""
        try:
            return base64.b64decode(given, validate=True).decode()
        except ValueError:
            return ""

    def _auth_plain(self, initial: str) -> tuple[str | None, str]:
        parts = self._ask("", initial).split("\0")
        return (parts[1], parts[2]) if len(parts) == 3 else (None, "")

    def _auth_login(self, initial: str) -> tuple[str | None, str]:
        user = self._ask("VXNlcm5hbWU6", initial)
        return user, self._ask("UGFzc3dvcmQ6")

    def _auth_xoauth2(self, initial: str) -> tuple[str | None, str]:
        found = re.fullmatch(r"user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01", self._ask("", initial))
        return (found[1], found[2]) if found else (None, "")

    def _not_yet(self) -> str | None:
        if self.server.tls == "starttls" and not self.tls:
            return "530 5.7.0 issue STARTTLS first"
        if self.server.users and self.user is None:
            return "530 5.7.0 authentication required"
        return None if self.helo else "503 5.5.1 say EHLO first"

    def _on_mail(self, rest: str) -> None:
        found = re.fullmatch(r"(?i)FROM:<([^>]*)>((?: \S+)*)", rest)
        parameters = found[2].upper().split() if found else []
        self.utf8 = self.server.offer_utf8 and "SMTPUTF8" in parameters
        sizes = [int(p[5:]) for p in parameters if re.fullmatch(r"SIZE=\d+", p)]
        unknown = [p for p in parameters if not re.fullmatch(r"SIZE=\d+|BODY=(7BIT|8BITMIME)|SMTPUTF8|AUTH=\S+", p)]
        if self._not_yet():
            self.reply(self._not_yet() or "")
        elif self.sender is not None:
            self.reply("503 5.5.1 one MAIL at a time")
        elif not found or unknown:
            self.reply(f"501 5.5.4 {unknown[0]} is not known" if unknown else "501 5.1.7 MAIL FROM:<address>")
        elif sizes and sizes[0] > self.server.size_max:
            self.reply(f"552 5.3.4 more than {self.server.size_max} octets")
        elif found[1] and address_problem(found[1], self.utf8):
            self.reply(address_problem(found[1], self.utf8) or "")
        elif self.answer("mail", "250 2.1.0 sender accepted"):
            self.sender = found[1]

    def _on_rcpt(self, rest: str) -> None:
        found = re.fullmatch(r"(?i)TO:<([^>]*)>(?: NOTIFY=(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*))?", rest)
        if self.sender is None:
            self.reply("503 5.5.1 MAIL first")
        elif not found:
            self.reply("501 5.1.3 RCPT TO:<address>")
        elif address_problem(found[1], self.utf8):
            self.reply(address_problem(found[1], self.utf8) or "")
        elif self.answer("rcpt", "250 2.1.5 recipient accepted", found[1]):
            self.recipients.append(found[1])

    def _on_data(self, rest: str) -> None:
        if not self.recipients or rest:
            self.reply("503 5.5.1 RCPT first" if not rest else "501 5.5.4 DATA has no argument")
        elif self.answer("data", "354 end with <CRLF>.<CRLF>"):
            self._take_message(self._read_message())
            self.forget()

    def _read_message(self) -> bytes:
        """Up to the line of one dot; only CRLF.CRLF ends it, so that nothing can be smuggled behind another kind of end."""
        data, self.pending = b"\r\n" + self.pending, b""
        while b"\r\n.\r\n" not in data:
            if len(data) > 2 * self.server.size_max:
                raise _Over
            more = self.connection.recv(65536)
            if not more:
                raise _Over
            data += more
        body, _, self.pending = data.partition(b"\r\n.\r\n")
        self._log(True, f"({len(body)} octets of message)")
        lines = body[2:].split(b"\r\n") if len(body) > 2 else []
        return b"".join((line[1:] if line.startswith(b".") else line) + b"\r\n" for line in lines)

    def _take_message(self, raw: bytes) -> None:
        problem = message_problem(raw, self.utf8)
        if len(raw) > self.server.size_max:
            problem = f"552 5.3.4 more than {self.server.size_max} octets"
        if problem:
            self.reply(problem)
            return
        fault = self.server.faults.take(stage="dot") or SmtpFault(stage="dot")
        if fault.taken or not (fault.reply or fault.cut):
            self.server.keep(self, raw)
        self._wait(fault)
        self.reply(fault.reply or f"250 2.0.0 queued as {len(self.server.mails)}")

    def _on_rset(self, rest: str) -> None:
        self.forget()
        self.reply("250 2.0.0 forgotten")

    def _on_noop(self, rest: str) -> None:
        self.reply("250 2.0.0 nothing done")

    def _on_vrfy(self, rest: str) -> None:
        self.reply("252 2.1.5 try it")

    def _on_quit(self, rest: str) -> None:
        self.answer("quit", "221 2.0.0 bye")
        raise _Over
