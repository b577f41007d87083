"""The sample application: two pages, probes that tell the truth, and the metric that the canary is judged by."""
import os
import socket

from flask import Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest

app = Flask(__name__)
requests_total = Counter("flask_http_requests_total", "Requests answered, by status", ["code"])


@app.after_request
def count(response: Response) -> Response:
    """Probes and scrapes are no requests of users: counted, they would hide the errors of a version with little traffic."""
    if request.endpoint not in ("healthz", "readyz", "metrics"):
        requests_total.labels(str(response.status_code)).inc()
    return response


@app.get("/")
def index() -> str:
    return f"Hello from {socket.gethostname()}\n"


@app.get("/hello")
def hello() -> str:
    return "Hello, World!\n"


@app.get("/healthz")
def healthz() -> str:
    """The process answers. Says nothing of others: a liveness probe that asked them would restart this for their fault."""
    return "ok\n"


@app.get("/readyz")
def readyz() -> tuple[str, int]:
    """The secret is there: without it no session could be signed, so no request may come."""
    return ("ok\n", 200) if os.environ.get("SESSION_KEY") else ("SESSION_KEY is not set\n", 503)


@app.get("/metrics")
def metrics() -> Response:
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)
