"""The stage's remote control: a small JSON API, and a page in plain text that says what there is.

`GET /` lists every route. It is for `./dev up`, for people with curl, and for test suites in other processes; a test in this process
calls the parts themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .scenarios import Scenario, names
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
    return _since(exchange, control.stage.slack.messages, "messages", lambda message: message.to_json())


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


@route("POST", "/slack/bots/*", "a new bot of that name; answers its token and the URL of the Web API")
def _new_bot(control: Control, exchange: Exchange) -> Answer:
    return {"token": control.stage.slack.new_bot(exchange.rest), "url": control.stage.slack.api_url}


@route("DELETE", "/slack/bots/*", "its tokens are revoked")
def _revoke_bot(control: Control, exchange: Exchange) -> Answer:
    control.stage.slack.revoke_bot(exchange.rest)
    return {}


@route("POST", "/slack/channels/*", "a new channel of that name, for bots; answers its ID")
def _new_channel(control: Control, exchange: Exchange) -> Answer:
    return {"id": control.stage.slack.new_channel(exchange.rest)}


@route("GET", "/slack/channels/*", "what stands in the channel now, with edits and replies")
def _channel(control: Control, exchange: Exchange) -> Answer:
    return {"posts": [asdict(post) for post in control.stage.slack.channel(exchange.rest).posts]}


@route("GET", "/teams/messages", "what stands in Teams: ?since=N, and ?wait=S for the next ones")
def _teams_messages(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.teams.messages, "messages", lambda message: message.to_json())


@route("GET", "/teams/attempts", "every post to a flow with its answer: ?since=N&wait=S")
def _teams_attempts(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.teams.attempts, "attempts", asdict)


@route("GET", "/teams/runs", "the run history of the flows: ?since=N&wait=S")
def _teams_runs(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.teams.runs, "runs", asdict)


@route("GET", "/mail/messages", "the mails that were taken: ?since=N&wait=S")
def _mails(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.smtp.mails, "messages", lambda mail: mail.to_json())


@route("GET", "/mail/lines", "the SMTP dialogues line by line: ?since=N&wait=S")
def _lines(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.smtp.lines, "lines", asdict)


@route("GET", "/azure/rows", "the rows of Log Analytics: ?since=N&wait=S")
def _rows(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.azure.rows, "rows", lambda row: row.to_json())


@route("GET", "/azure/calls", "every request to the Logs Ingestion API with its answer: ?since=N&wait=S")
def _calls(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.azure.calls, "calls", asdict)


@route("GET", "/services/requests", "what PagerDuty, ServiceNow and /hook have taken: ?since=N&wait=S")
def _service_requests(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.services.requests, "requests", lambda request: request.to_json())


@route("GET", "/services/refused", "what they have refused, and why: ?since=N&wait=S")
def _service_refused(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.services.refused, "refused", lambda refused: {"status": refused[0], "why": refused[1]})


@route("GET", "/services/alerts", "PagerDuty's alerts by dedup_key: triggered or resolved")
def _alerts(control: Control, exchange: Exchange) -> Answer:
    return {"alerts": control.stage.services.alerts}


@route("POST", "/fault/slack", "hook, method, error | status, body, headers | retry_after, delay, cut (reset, close, hang), at (request, answer), times")
def _slack_fault(control: Control, exchange: Exchange) -> Answer:
    control.stage.slack.fault(**_fields(exchange))
    return {"waiting": control.stage.slack.faults.waiting()}


@route("POST", "/fault/smtp", "stage, address, reply, cut (close, reset, stall), delay, taken, times")
def _smtp_fault(control: Control, exchange: Exchange) -> Answer:
    control.stage.smtp.fault(**_fields(exchange))
    return {"waiting": control.stage.smtp.faults.waiting()}


@route("POST", "/fault/teams", "flow, error | status, body, headers | retry_after | run, delay, cut (reset, close, hang), at (request, answer), times")
def _teams_fault(control: Control, exchange: Exchange) -> Answer:
    control.stage.teams.fault(**_fields(exchange))
    return {"waiting": control.stage.teams.faults.waiting()}


@route("POST", "/fault/azure", "status, code, body | retry_after, delay, cut (reset, close, hang), at (request, answer), times")
def _azure_fault(control: Control, exchange: Exchange) -> Answer:
    control.stage.azure.fault(**_fields(exchange))
    return {"waiting": control.stage.azure.faults.waiting()}


@route("POST", "/fault/entra", "status, body, retry_after | code (AADSTS…), delay, cut (reset, close, hang), client, times")
def _entra_fault(control: Control, exchange: Exchange) -> Answer:
    control.stage.entra.fault(**_fields(exchange))
    return {"waiting": control.stage.entra.faults.waiting()}


@route("POST", "/fault/services", "status, body, headers | cut (reset, close), times")
def _services_fault(control: Control, exchange: Exchange) -> Answer:
    control.stage.services.fault(**_fields(exchange))
    return {"waiting": control.stage.services.faults.waiting()}


@route("POST", "/fault/kube", "verb, resource, status, body, retry_after | error | cut (reset, close, hang, silent), split, delay, times")
def _kube_fault(control: Control, exchange: Exchange) -> Answer:
    control.stage.kube.fault(**_fields(exchange))
    return {"waiting": control.stage.kube.faults.waiting()}


@route("POST", "/fault/stream", "what (end, close, reset, silent, error, bookmark, raw, split, cut), resource, code, data, size, delay: the open watches")
def _stream(control: Control, exchange: Exchange) -> Answer:
    return {"watches": control.stage.kube.stream(**_fields(exchange))}


@route("GET", "/fault", "the faults that wait for their request")
def _waiting(control: Control, exchange: Exchange) -> Answer:
    return {name: faults.waiting() for name, faults in control.stage.faults().items()}


@route("DELETE", "/fault", "no faults any more")
def _clear(control: Control, exchange: Exchange) -> Answer:
    for faults in control.stage.faults().values():
        faults.clear()
    return {}


@route("GET", "/kube/requests", "what the API server was asked: ?since=N&wait=S")
def _requests(control: Control, exchange: Exchange) -> Answer:
    return _since(exchange, control.stage.kube.requests, "requests", asdict)


@route("POST", "/kube/apply", "an object: created, or replaced as a whole")
def _apply(control: Control, exchange: Exchange) -> Answer:
    return control.stage.kube.put(exchange.json())


@route("POST", "/kube/delete", "resource, name, namespace")
def _delete(control: Control, exchange: Exchange) -> Answer:
    fields = _fields(exchange)
    control.stage.kube.delete(fields["resource"], fields["name"], namespace=fields.get("namespace", "default"))
    return {}


@route("POST", "/kube/ready", "node, status (True, False, Unknown): its Ready condition")
def _ready(control: Control, exchange: Exchange) -> Answer:
    fields = _fields(exchange)
    Scenario(control.stage.kube, "repair", fields["node"]).ready(str(fields["status"]).capitalize())
    return {}


@route("POST", "/kube/compact", "history is forgotten: a watch from before gets 410")
def _compact(control: Control, exchange: Exchange) -> Answer:
    return {"revision": control.stage.kube.compact()}


@route("POST", "/kube/back", "revision: a backup is restored, versions start over there")
def _back(control: Control, exchange: Exchange) -> Answer:
    control.stage.kube.go_back(int(_fields(exchange)["revision"]))
    return {"revision": control.stage.kube.store.revision}


@route("POST", "/kube/down", "the API server refuses connections until /kube/up")
def _down(control: Control, exchange: Exchange) -> Answer:
    control.stage.kube.stop()
    return {}


@route("POST", "/kube/up", "it is there again, on the same port")
def _up(control: Control, exchange: Exchange) -> Answer:
    control.stage.kube.restart()
    return {}


@route("POST", "/scenario/*", "play one: node, pace (seconds for a minute of life, 1), shape (new, legacy); GET /scenario names them")
def _play(control: Control, exchange: Exchange) -> Answer:
    return control.stage.play(exchange.rest, **_fields(exchange)).to_json()


@route("GET", "/scenario", "the scenarios there are, and those that were played")
def _scenarios(control: Control, exchange: Exchange) -> Answer:
    return {"scenarios": names(), "played": [one.to_json() for one in control.stage.played]}


@route("DELETE", "/scenario", "those that are playing end where they are")
def _stop_scenarios(control: Control, exchange: Exchange) -> Answer:
    for one in control.stage.played:
        one.stop()
    return {}


@route("POST", "/life", "pods live and fail: every (seconds between two Events, 3)")
def _life(control: Control, exchange: Exchange) -> Answer:
    control.stage.live(**_fields(exchange))
    return {}


@route("DELETE", "/life", "they stop")
def _no_life(control: Control, exchange: Exchange) -> Answer:
    control.stage.live(every=0)
    return {}
