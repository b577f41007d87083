"""The stage's remote control: a small JSON API, and a page in plain text that says what there is.

`GET /` lists every route. It is for `./dev up`, for people with curl, and for test suites in other processes; a test in this process
calls the parts themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .scenarios import Scenario, names
from .web import BadRequest, Exchange, Server, StandIn

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


class Control(StandIn):
    def __init__(self, stage: "Stage", port: int = 0):
        self.stage = stage
        self._server = Server(self._serve, port=port)

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


def _journal(path: str, what: str, name: str, journal_of: Callable[["Stage"], Any],
             to_json: Callable[[Any], dict[str, Any]] = lambda entry: entry.to_json()) -> None:
    """A route to what a stand-in has written down."""
    @route("GET", path, what)
    def _entries(control: Control, exchange: Exchange) -> Answer:
        return _since(exchange, journal_of(control.stage), name, to_json)


def _fault(part: str, what: str) -> None:
    """A route that tells that part of the stage to fail; `what` lists the fields."""
    @route("POST", f"/fault/{part}", what)
    def _add(control: Control, exchange: Exchange) -> Answer:
        stand_in = getattr(control.stage, part)
        stand_in.fault(**_fields(exchange))
        return {"waiting": stand_in.faults.waiting()}


@route("GET", "/", "this page")
def _overview(control: Control, exchange: Exchange) -> Answer:
    width = max(len(path) for _, path, _, _ in _routes)
    lines = [f"  {method:6} {path:{width}}  {what}" for method, path, what, _ in _routes]
    return control.stage.overview() + "\nRoutes (a command takes a JSON object or a query):\n" + "\n".join(lines) + "\n"


@route("GET", "/stage", "the addresses, as in stage.json")
def _addresses(control: Control, exchange: Exchange) -> Answer:
    return control.stage.addresses()


_journal("/slack/messages", "what Slack has accepted: ?since=N, and ?wait=S for the next ones", "messages", lambda stage: stage.slack.messages)
_journal("/slack/attempts", "every post to Slack with its answer: ?since=N&wait=S", "attempts", lambda stage: stage.slack.attempts, asdict)


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


_journal("/teams/messages", "what stands in Teams: ?since=N, and ?wait=S for the next ones", "messages", lambda stage: stage.teams.messages)
_journal("/teams/attempts", "every post to a flow with its answer: ?since=N&wait=S", "attempts", lambda stage: stage.teams.attempts, asdict)
_journal("/teams/runs", "the run history of the flows: ?since=N&wait=S", "runs", lambda stage: stage.teams.runs, asdict)
_journal("/mail/messages", "the mails that were taken: ?since=N&wait=S", "messages", lambda stage: stage.smtp.mails)
_journal("/mail/lines", "the SMTP dialogues line by line: ?since=N&wait=S", "lines", lambda stage: stage.smtp.lines, asdict)
_journal("/azure/rows", "the rows of Log Analytics: ?since=N&wait=S", "rows", lambda stage: stage.azure.rows)
_journal("/azure/calls", "every request to the Logs Ingestion API with its answer: ?since=N&wait=S", "calls", lambda stage: stage.azure.calls, asdict)
_journal("/services/requests", "what PagerDuty, ServiceNow and /hook have taken: ?since=N&wait=S", "requests", lambda stage: stage.services.requests)
_journal("/services/refused", "what they have refused, and why: ?since=N&wait=S", "refused", lambda stage: stage.services.refused,
         lambda refused: {"status": refused[0], "why": refused[1]})


@route("GET", "/services/alerts", "PagerDuty's alerts by dedup_key: triggered or resolved")
def _alerts(control: Control, exchange: Exchange) -> Answer:
    return {"alerts": control.stage.services.alerts}


_fault("slack", "hook, method, error | status, body, headers | retry_after, delay, cut (reset, close, hang), at (request, answer), times")
_fault("smtp", "stage, address, reply, cut (close, reset, stall), delay, taken, times")
_fault("teams", "flow, error | status, body, headers | retry_after | run, delay, cut (reset, close, hang), at (request, answer), times")
_fault("azure", "status, code, body | retry_after, delay, cut (reset, close, hang), at (request, answer), times")
_fault("entra", "status, body, retry_after | code (AADSTS…), delay, cut (reset, close, hang), client, times")
_fault("services", "status, body, headers | cut (reset, close), times")
_fault("kube", "verb, resource, status, body, retry_after | error | cut (reset, close, hang, silent), split, delay, times")


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


_journal("/kube/requests", "what the API server was asked: ?since=N&wait=S", "requests", lambda stage: stage.kube.requests, asdict)


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
