"""The stage's remote control: a small JSON API, and a page in plain text that says what there is.

`GET /` lists every route. It is for `./dev up`, for people with curl, and for test suites in other processes; a test in this process
calls the parts themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .web import BadRequest, Exchange, Server

if TYPE_CHECKING:
    from .world import Stage

WAIT_SECONDS_MAX = 60
Answer = dict[str, Any] | str
Handler = Callable[["Control", Exchange], Answer]
_routes: list[tuple[str, str, str, Handler]] = []  # method, path, what it does, handler


def route(method: str, path: str, what: str) -> Callable[[Handler], Handler]:
    """A path may end in /*: the rest is exchange.rest."""
    def add(handler: Handler) -> Handler:
        _routes.append((method, path, what, handler))
        return handler
    return add


def _matches(path: str, pattern: str) -> bool:
    return path.startswith(pattern[:-1]) and len(path) >= len(pattern) if pattern.endswith("/*") else path == pattern


class Control:
    def __init__(self, stage: "Stage", port: int = 0):
        self.stage = stage
        self._server = Server(self._serve, port=port)

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def _serve(self, exchange: Exchange) -> None:
        path = exchange.route_path.rstrip("/") or "/"
        candidates = [(method, pattern, handler) for method, pattern, _, handler in _routes if _matches(path, pattern)]
        for method, pattern, handler in candidates:
            if method == exchange.command:
                exchange.rest = path[len(pattern) - 1:] if pattern.endswith("/*") else ""
                self._run(handler, exchange)
                return
        if candidates:
            exchange.send(405, {"error": f"{path}: only {' or '.join(sorted({method for method, _, _ in candidates}))}"})
        else:
            exchange.send(404, {"error": f"{path}: there is no such route; GET / lists them"})

    def _run(self, handler: Handler, exchange: Exchange) -> None:
        try:
            answer = handler(self, exchange)
        except (BadRequest, TypeError, ValueError, LookupError) as problem:
            exchange.send(400, {"error": str(problem)})
            return
        exchange.send(200, answer)


def _fields(exchange: Exchange) -> dict[str, Any]:
    """The fields of a command: a JSON object as body, or the query."""
    if not exchange.body:
        return {name: _plain(value) for name, value in exchange.query.items()}
    fields = exchange.json()
    if not isinstance(fields, dict):
        raise BadRequest("the body is not a JSON object")
    return fields


def _plain(text: str) -> Any:
    """A value of a query as the number or boolean that it looks like."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _since(exchange: Exchange, journal: Any, name: str, to_json: Callable[[Any], dict[str, Any]]) -> Answer:
    number = int(exchange.query.get("since", "0"))
    wait = min(float(exchange.query.get("wait", "0")), WAIT_SECONDS_MAX)
    entries = journal.since(number, wait)
    return {name: [to_json(entry) for entry in entries], "next": number + len(entries)}


@route("GET", "/", "this page")
def _overview(control: Control, exchange: Exchange) -> Answer:
    width = max(len(path) for _, path, _, _ in _routes)
    lines = [f"  {method:6} {path:{width}}  {what}" for method, path, what, _ in _routes]
    return control.stage.overview() + "\nRoutes (a command takes a JSON object or a query):\n" + "\n".join(lines) + "\n"


@route("GET", "/stage", "the addresses, as in stage.json")
def _addresses(control: Control, exchange: Exchange) -> Answer:
    return control.stage.addresses()


@route("GET", "/slack/messages", "what Slack has accepted: ?since=N, and ?wait=S for the next ones")
def _slack_messages(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.slack.messages, "messages", asdict)


@route("GET", "/slack/attempts", "every post to Slack with its answer: ?since=N&wait=S")
def _slack_attempts(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.slack.attempts, "attempts", asdict)


@route("POST", "/slack/hooks/*", "a new webhook of that name; answers its URL")
def _new_hook(control: Control, exchange: Exchange) -> Answer:
    return {"url": control.stage.slack.new_hook(exchange.rest)}


@route("DELETE", "/slack/hooks/*", "the webhook is gone: 404 no_service")
def _remove_hook(control: Control, exchange: Exchange) -> Answer:
    control.stage.slack.remove_hook(exchange.rest)
    return {}


@route("GET", "/mail/messages", "the mails that were taken: ?since=N&wait=S")
def _mails(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.smtp.mails, "messages", lambda mail: mail.to_json())


@route("GET", "/mail/lines", "the SMTP dialogues line by line: ?since=N&wait=S")
def _lines(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.smtp.lines, "lines", asdict)


@route("POST", "/fault/slack", "hook, error | status, body, headers | retry_after, delay, cut (reset, close, hang), at (request, answer), times")
def _slack_fault(control: Control, exchange: Exchange) -> Answer:
    control.stage.slack.fault(**_fields(exchange))
    return {"waiting": control.stage.slack.faults.waiting()}


@route("POST", "/fault/smtp", "stage, address, reply, cut (close, reset, stall), delay, taken, times")
def _smtp_fault(control: Control, exchange: Exchange) -> Answer:
    control.stage.smtp.fault(**_fields(exchange))
    return {"waiting": control.stage.smtp.faults.waiting()}


@route("GET", "/fault", "the faults that wait for their request")
def _waiting(control: Control, exchange: Exchange) -> Answer:
    return {name: faults.waiting() for name, faults in control.stage.faults().items()}


@route("DELETE", "/fault", "no faults any more")
def _clear(control: Control, exchange: Exchange) -> Answer:
    for faults in control.stage.faults().values():
        faults.clear()
    return {}
