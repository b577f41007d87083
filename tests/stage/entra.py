"""Entra ID's token endpoint, and the metadata service of an Azure machine: as strict as documented, with faults by command.

    with Entra(tmp_path, keys) as entra:                     # keys None: all of it without TLS
        entra.application("klaxon", secret="s3cret")
        entra.federate("klaxon", issuer, "system:serviceaccount:klaxon:klaxon", key)
        entra.resource("api://kafka", seconds=3600)          # scope api://kafka/.default
        entra.fault(status=503, times=2); entra.fault(retry_after=7); entra.fault(cut="hang")
        …  entra.authority, entra.tenant                     # what is configured
        [asked] = entra.requests.wait_count("requests", 1)   # status, code, client
        entra.key.jwks()                                     # what its tokens are checked with
        entra.review_url; entra.revoke()                     # an API server's webhook (TokenReview), as AKS has one
"""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from .faults import Fault, Faults
from .journal import Journal
from .jwt import BadToken, SigningKey
from .keys import Keys
from .web import Exchange, Server, StandIn

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = "api://AzureADTokenExchange"
AKS = "6dae42f8-4368-4678-94ff-3960e28e3630"
REVIEW = "/review"
METADATA = "/metadata/identity/oauth2/token"
DESCRIPTION_END = " Trace ID: 7f2c0d9e-0000-0000-0000-000000000001 Correlation ID: 7f2c0d9e-0000-0000-0000-000000000002 Timestamp: 2026-03-11 07:52:18Z"


@dataclass
class EntraFault(Fault):
    """Instead of judging a request for a token.

    status, body: any answer. retry_after: the header, and 429. code: a refusal as Entra ID writes it ("AADSTS50196"), with 400.
    delay: seconds before the answer. cut: "reset", "close" or "hang" instead of the answer. client: only of this one.
    """

    client: str | None = None
    status: int | None = None
    body: str = "{}"
    retry_after: int | None = None
    code: str | None = None
    delay: float = 0
    cut: str | None = None


@dataclass
class Asked:
    """A request for a token, and what came of it; `code` is Entra ID's of a refusal, "" of a token."""

    at: float
    client: str
    scope: str
    way: str  # "secret", "assertion", "machine"
    status: int
    code: str = ""


class Refused(Exception):
    def __init__(self, status: int, error: str, code: str, text: str):
        super().__init__(text)
        self.status, self.error, self.code, self.text = status, error, code, text


@dataclass
class _Federation:
    issuer: str
    subject: str
    key: SigningKey
    audience: str = EXCHANGE


@dataclass
class _Application:
    secrets: dict[str, float] = field(default_factory=dict)  # until when (unix)
    federations: list[_Federation] = field(default_factory=list)
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Entra(StandIn):
    def __init__(self, directory: Path, keys: Keys | None = None):
        self.tenant = str(uuid.uuid4())
        self.key = SigningKey(directory / "entra.pem")
        self.ca = keys.ca if keys else None
        self.requests: Journal[Asked] = Journal()
        self.faults = Faults(EntraFault)
        self._applications: dict[str, _Application] = {}
        self._resources: dict[str, float] = {}
        self._revoked_before = 0
        self._issued = 0
        self.reviews: Journal[bool] = Journal()
        self._machines: set[str] = set()
        self._tls = keys.server_context() if keys else None
        self._server = Server(self._serve, tls=self._tls)
        self._metadata = Server(self._serve_machine)

    def start(self) -> None:
        self._server.start()
        self._metadata.start()

    def stop(self) -> None:
        self._server.stop()
        self._metadata.stop()

    # what there is

    @property
    def authority(self) -> str:
        return self._server.url + "/"

    @property
    def issuer(self) -> str:
        return f"{self.authority}{self.tenant}/v2.0"

    @property
    def metadata_url(self) -> str:
        """For a machine; like the real one it has no TLS, and nothing else can be had there."""
        return self._metadata.url + METADATA

    @property
    def review_url(self) -> str:
        return self._server.url + REVIEW

    def revoke(self) -> None:
        """Reviews refuse every token that there is."""
        self._revoked_before = self._issued

    def object_id(self, client: str) -> str:
        """Who a token is of, to an API server."""
        return self._applications[client].object_id

    def application(self, client: str, secret: str | None = None, seconds: float = 3600) -> None:
        """With a secret that expires; called again, with one more."""
        made = self._applications.setdefault(client, _Application())
        if secret is not None:
            made.secrets[secret] = time.time() + seconds

    def federate(self, client: str, issuer: str, subject: str, key: SigningKey, audience: str = EXCHANGE) -> None:
        self._applications.setdefault(client, _Application()).federations.append(_Federation(issuer, subject, key, audience))

    def machine(self, client: str) -> None:
        """The machine has this managed identity."""
        self._applications.setdefault(client, _Application())
        self._machines.add(client)

    def resource(self, name: str, seconds: float = 3599) -> None:
        """Tokens for it live so long; called again, the next ones do."""
        self._resources[name] = seconds

    def fault(self, **fields: Any) -> None:
        self.faults.add(**fields)

    def token(self, client: str, resource: str, **changes: Any) -> str:
        """One that nobody asked for; `changes` to its claims make it wrong."""
        return self.key.sign(self._claims(client, resource) | changes)

    # one request

    def _serve_machine(self, exchange: Exchange) -> None:
        if exchange.route_path == METADATA:
            self._serve(exchange)
        else:
            exchange.send(404, {"error": "not_found"})

    def _serve(self, exchange: Exchange) -> None:
        if exchange.route_path == REVIEW:
            exchange.send(200, self._review(exchange.json()["spec"]))
            return
        machine = exchange.route_path == METADATA
        pairs = list(exchange.query.items()) if machine else parse_qsl(exchange.body.decode("utf-8", "replace"), keep_blank_values=True)
        form = dict(pairs)
        scope = form.get("resource" if machine else "scope", "")
        way = "machine" if machine else "assertion" if "client_assertion" in form else "secret"
        asked = Asked(time.time(), form.get("client_id", ""), scope, way, 0)
        fault = self.faults.take(client=asked.client) or EntraFault()
        if fault.delay and self._server.stopping.wait(fault.delay):
            return
        if fault.cut:
            self.requests.append(asked)
            {"reset": exchange.reset, "close": exchange.close, "hang": exchange.hang}[fault.cut]()
            return
        if fault.status or fault.retry_after is not None:
            asked.status = fault.status or 429
            self.requests.append(asked)
            exchange.send(asked.status, fault.body, headers={"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {})
            return
        try:
            if fault.code:
                raise Refused(400, "invalid_request", fault.code, "By command.")
            if len(pairs) != len(form):
                raise Refused(400, "invalid_request", "AADSTS90014", "A parameter is given twice.")
            answer = self._for_machine(exchange, form) if machine else self._for_application(exchange, form)
        except Refused as refused:
            asked.status, asked.code = refused.status, refused.code
            self.requests.append(asked)
            exchange.send(refused.status, self._refusal(refused))
            return
        asked.status = 200
        self.requests.append(asked)
        exchange.send(200, answer, headers={"Cache-Control": "no-store, no-cache"})

    def _review(self, spec: dict[str, Any]) -> dict[str, Any]:
        """As AKS's own server: a token for AKS, that has not expired."""
        try:
            claims = self.key.read(spec["token"])
        except BadToken:
            claims = {}
        good = claims.get("aud") == AKS and claims["nbf"] <= time.time() < claims["exp"] and claims["number"] > self._revoked_before
        self.reviews.append(good)
        user = {"username": claims["oid"], "groups": ["klaxon-readers"]} if good else {}
        return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": {"authenticated": good, "user": user}}

    @staticmethod
    def _refusal(refused: Refused) -> dict[str, Any]:
        number = refused.code.removeprefix("AADSTS")
        return {"error": refused.error, "error_description": f"{refused.code}: {refused.text}{DESCRIPTION_END}",
                "error_codes": [int(number)] if number.isdecimal() else [], "timestamp": "2026-03-11 07:52:18Z"}

    def _for_application(self, exchange: Exchange, form: dict[str, str]) -> dict[str, Any]:
        tenant = exchange.route_path.strip("/").split("/")[0]
        if exchange.command != "POST":
            raise Refused(400, "invalid_request", "AADSTS900561", "The endpoint only accepts POST requests. Received a GET request.")
        if exchange.route_path != f"/{tenant}/oauth2/v2.0/token" or tenant != self.tenant:
            raise Refused(400, "invalid_request", "AADSTS90002", f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.")
        if exchange.headers.get("Content-Type", "").split(";")[0] != "application/x-www-form-urlencoded":
            raise Refused(400, "invalid_request", "AADSTS900144", "The request body must contain the following parameter: 'grant_type'.")
        for name in ("grant_type", "client_id", "scope"):
            if not form.get(name):
                raise Refused(400, "invalid_request", "AADSTS900144", f"The request body must contain the following parameter: '{name}'.")
        if form["grant_type"] != "client_credentials":
            raise Refused(400, "unsupported_grant_type", "AADSTS70003", f"The app requested an unsupported grant type '{form['grant_type']}'.")
        client = form["client_id"]
        application = self._applications.get(client)
        if application is None:
            raise Refused(400, "unauthorized_client", "AADSTS700016", f"Application with identifier '{client}' was not found in the directory.")
        self._check_proof(client, application, form)
        return self._answer(client, self._resource_of(form["scope"]))

    def _check_proof(self, client: str, application: _Application, form: dict[str, str]) -> None:
        if "client_assertion" in form:
            if form.get("client_assertion_type") != ASSERTION:
                raise Refused(400, "invalid_request", "AADSTS900144", "The request body must contain the parameter: 'client_assertion_type'.")
            self._check_assertion(application, form["client_assertion"])
        elif "client_secret" not in form:
            raise Refused(401, "invalid_client", "AADSTS7000218", "The request body must contain 'client_assertion' or 'client_secret'.")
        elif form["client_secret"] not in application.secrets:
            raise Refused(401, "invalid_client", "AADSTS7000215", f"Invalid client secret provided for app '{client}'.")
        elif application.secrets[form["client_secret"]] < time.time():
            raise Refused(401, "invalid_client", "AADSTS7000222", f"The provided client secret keys for app '{client}' are expired.")

    @staticmethod
    def _check_assertion(application: _Application, assertion: str) -> None:
        claims = None
        for one in application.federations:
            try:
                claims = one.key.read(assertion)
            except BadToken:
                continue
            if claims.get("iss") != one.issuer:
                raise Refused(401, "invalid_client", "AADSTS700211", f"No matching federated identity record found for issuer '{claims.get('iss')}'.")
            if claims.get("sub") != one.subject:
                raise Refused(401, "invalid_client", "AADSTS700213", f"No matching federated identity record found for subject '{claims.get('sub')}'.")
            audience = claims.get("aud")
            if one.audience not in (audience if isinstance(audience, list) else [audience]):
                raise Refused(401, "invalid_client", "AADSTS700212", f"No matching federated identity record found for audience '{audience}'.")
            if not claims.get("nbf", 0) <= time.time() < claims.get("exp", 0):
                raise Refused(401, "invalid_client", "AADSTS700024", "Client assertion is not within its valid time range.")
            return
        if claims is None:
            raise Refused(401, "invalid_client", "AADSTS70021", "No matching federated identity record found for presented assertion.")

    def _resource_of(self, scope: str) -> str:
        if " " in scope or not scope.endswith("/.default"):
            raise Refused(400, "invalid_scope", "AADSTS1002012", f"The provided value for scope {scope} is not valid.")
        name = scope.removesuffix("/.default")
        if name not in self._resources:
            raise Refused(400, "invalid_resource", "AADSTS500011", f"The resource principal named {name} was not found in the tenant.")
        return name

    def _for_machine(self, exchange: Exchange, query: dict[str, str]) -> dict[str, Any]:
        if exchange.headers.get("Metadata") != "true" or "X-Forwarded-For" in exchange.headers:
            raise Refused(400, "bad_request_102", "", "Required metadata header not specified")
        if exchange.command != "GET" or query.get("api-version") != "2018-02-01":
            raise Refused(400, "invalid_request", "", "Required query variable 'api-version' is missing")
        if query.get("resource", "").rstrip("/") not in self._resources:
            raise Refused(400, "invalid_resource", "AADSTS500011", "The resource principal was not found in the tenant.")
        known = [query["client_id"]] if "client_id" in query else sorted(self._machines)
        if len(known) != 1 or known[0] not in self._machines:
            raise Refused(400, "invalid_request", "", "Identity not found")
        answer = self._answer(known[0], query["resource"].rstrip("/"))
        return {name: str(value) for name, value in answer.items()} | {"resource": query["resource"]}  # all of it text

    def _claims(self, client: str, resource: str) -> dict[str, Any]:
        now = int(time.time())
        self._issued += 1
        return {"number": self._issued, "aud": resource, "iss": self.issuer, "iat": now, "nbf": now, "exp": now + int(self._resources[resource]), "appid": client,
                "oid": self._applications[client].object_id, "sub": self._applications[client].object_id, "tid": self.tenant,
                "uti": secrets.token_urlsafe(8)}

    def _answer(self, client: str, resource: str) -> dict[str, Any]:
        seconds = int(self._resources[resource])
        return {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": self.token(client, resource)}


def federated_token(key: SigningKey, issuer: str, subject: str, audience: str = EXCHANGE, seconds: float = 3600, begins: float = 0) -> str:
    """As the kubelet writes it into the file of a pod."""
    now = time.time()
    return key.sign({"iss": issuer, "sub": subject, "aud": [audience], "iat": int(now), "nbf": int(now + begins), "exp": int(now + seconds)})
