"""A mail as it arrived, and the rules that a message and an address must keep to."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

ADDRESS_BYTES_MAX = 254
LINE_BYTES_MAX = 998


@dataclass
class Mail:
    number: int
    at: float  # unix time of arrival
    helo: str
    user: str | None  # who had authenticated
    tls: bool
    sender: str
    recipients: list[str]  # those that were accepted
    raw: bytes  # dots unstuffed, CRLF as it came

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    def part(self, subtype: str) -> str | None:
        """The text of the part text/<subtype>, decoded, with \n as its line end."""
        for part in self.message.walk():
            if part.get_content_type() == f"text/{subtype}":
                return part.get_content().replace("\r\n", "\n")
        return None

    def to_json(self) -> dict[str, Any]:
        message = self.message
        return {
            "number": self.number, "at": self.at, "helo": self.helo, "user": self.user, "tls": self.tls,
            "sender": self.sender, "recipients": self.recipients, "subject": message["Subject"],
            "headers": [[name, str(value)] for name, value in message.items()],
            "text": self.part("plain"), "html": self.part("html"), "raw": self.raw.decode("utf-8", "replace"),
        }


def address_problem(address: str, utf8: bool) -> str | None:
    """None, or the reply that refuses the address of MAIL or RCPT (without its angle brackets)."""
    if len(address.encode()) > ADDRESS_BYTES_MAX:
        return f"553 5.1.3 address longer than {ADDRESS_BYTES_MAX} octets"
    if not utf8 and not address.isascii():
        return "553 5.6.7 SMTPUTF8 was not asked for"
    local, at, domain = address.rpartition("@")
    if not at or not re.fullmatch(r"[^\s<>@\"(),:;\[\]\\\x00-\x1f\x7f]+", local) or ".." in f".{local}.":
        return "553 5.1.3 not an address"
    if not re.fullmatch(r"\[[0-9a-fA-F.:]+\]|[^\s<>@\"(),:;\[\]\\\x00-\x1f\x7f_]+", domain) or ".." in f".{domain}.":
        return "553 5.1.2 not a domain"
    return None


def message_problem(raw: bytes, utf8: bool) -> str | None:
    """None, or the reply that refuses what came after DATA: line ends and lengths as RFC 5321 has them."""
    if re.search(rb"(?<!\r)\n", raw):
        return "550 5.6.11 a line feed without carriage return"
    if re.search(rb"\r(?!\n)", raw):
        return "550 5.6.11 a carriage return without line feed"
    if any(len(line) > LINE_BYTES_MAX for line in raw.split(b"\r\n")):
        return f"550 5.6.0 a line longer than {LINE_BYTES_MAX} octets"
    head = raw.split(b"\r\n\r\n", 1)[0]
    if not utf8 and not head.isascii():
        return "550 5.6.7 a header that is not ASCII"
    for needed in (b"from", b"date"):
        if not re.search(rb"(?mi)^" + needed + rb":", head):
            return f"550 5.6.0 no header {needed.decode().title()}"
    return None
