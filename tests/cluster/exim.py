"""Exim, Debian's mail server, as a plain process on loopback: STARTTLS, AUTH PLAIN and LOGIN, SMTPUTF8, DSN, and mailboxes in a directory.

    with Exim(users={"klaxon": "password"}) as exim:
        exim.url, exim.ca                            # what a client needs
        [mail] = exim.wait_mails("ops", 1)           # what was delivered to ops@mail.example, in order
        exim.log()                                   # exim's own: one line a connection, mail and refusal

ops, dev and jörg have mailboxes. nobody does not exist (550), grey is greylisted (451), full is over its quota (552), and other domains are
not relayed to. It runs as somebody without rights, from a copy of the program that is not setuid.
"""

from __future__ import annotations

import email
import email.policy
import getpass
import os
import shutil
import tempfile
from email.message import EmailMessage
from pathlib import Path

from .pki import Authority
from .process import Child, free_port, wait_until

DOMAIN = "mail.example"
PROGRAM = Path("/usr/sbin/exim4")  # Debian's package exim4-daemon-light
NOBODY_MUCH = "Debian-exim"  # made by the package; in whose place a test that runs as root runs it

CONFIGURATION = """\
primary_hostname = mail.{domain}
exim_path = {directory}/exim4
spool_directory = {directory}/spool
log_file_path = {directory}/%slog
pid_file_path = {directory}/exim.pid
exim_user = {user}
exim_group = {group}
never_users =
deliver_drop_privilege = true
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
message_size_limit = {size_max}
log_selector = +smtp_connection
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
acl_smtp_rcpt = rcpt
acl_smtp_data = data

begin acl
rcpt:
  deny    message = 5.1.1 no such user
          local_parts = nobody
  deny    message = 552 5.2.2 mailbox full
          local_parts = full
  defer   message = 4.7.1 greylisted, come back later
          local_parts = grey
  accept  authenticated = *
          domains = {domain}
  deny    message = 5.7.1 relaying denied
data:
  accept

begin routers
mailbox:
  driver = accept
  domains = {domain}
  local_parts = ops : dev : jörg
  transport = mailbox

begin transports
mailbox:
  driver = appendfile
  directory = {directory}/mail/$local_part_data
  maildir_format
  create_directory = true

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if eq{{$auth3}}{{${{lookup{{$auth2}}lsearch{{{directory}/users}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if eq{{$auth2}}{{${{lookup{{$auth1}}lsearch{{{directory}/users}}}}}}}}
  server_set_id = $auth1
"""


class Exim:
    def __init__(self, users: dict[str, str], size_max: str = "1M"):
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="klaxon-exim-"))
        self.url = f"smtp://127.0.0.1:{self.port}"
        root = os.geteuid() == 0
        self._user = NOBODY_MUCH if root else getpass.getuser()
        authority = Authority(self.directory / "pki")
        self.ca = authority.crt
        certificate, key = authority.issue("exim", "/CN=exim", "serverAuth", "DNS:localhost,IP:127.0.0.1")
        shutil.copyfile(PROGRAM, self.directory / "exim4")
        (self.directory / "exim4").chmod(0o755)
        (self.directory / "users").write_text("".join(f"{name}: {password}\n" for name, password in users.items()))
        for name in ("spool", "mail"):
            (self.directory / name).mkdir()
        group = self._user if root else str(os.getegid())
        configuration = self.directory / "exim.conf"
        configuration.write_text(CONFIGURATION.format(directory=self.directory, domain=DOMAIN, port=self.port, size_max=size_max,
                                                      user=self._user, group=group, certificate=certificate, key=key))
        drop = ["setpriv", f"--reuid={self._user}", f"--regid={self._user}", "--clear-groups"] if root else []
        if root:
            self._give_away()
        self._child = Child("exim", [*drop, self.directory / "exim4", "-C", configuration, "-bdf"], self.directory / "output.log")

    def _give_away(self) -> None:
        for path in (self.directory, *self.directory.rglob("*")):
            shutil.chown(path, self._user, self._user)

    def __enter__(self) -> "Exim":
        self._child.start()
        wait_until("exim listens", lambda: "listening for SMTP" in self.log(), child=self._child)
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self) -> str:
        path = self.directory / "mainlog"
        return path.read_text(errors="replace") if path.exists() else ""

    def connections(self) -> int:
        return self.log().count("(TCP/IP connection count")

    def mails(self, mailbox: str) -> list[EmailMessage]:
        files = sorted((self.directory / "mail" / mailbox / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.SMTPUTF8) for path in files]

    def wait_mails(self, mailbox: str, count: int, seconds: float = 40) -> list[EmailMessage]:
        wait_until(f"{count} mails for {mailbox}", lambda: len(self.mails(mailbox)) >= count, seconds, self._child)
        return self.mails(mailbox)
