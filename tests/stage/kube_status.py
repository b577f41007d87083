"""The Status objects of an API server, word for word where a client may look at them."""

from __future__ import annotations

from typing import Any

Status = dict[str, Any]

REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict",
    410: "Expired", 422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}
MESSAGES = {
    401: "Unauthorized", 403: "events is forbidden: User \"stage\" cannot list resource \"events\" in API group \"\" at the cluster scope",
    404: "the server could not find the requested resource", 405: "the server does not allow this method on the requested resource",
    429: "Too many requests, please try again later.", 500: "Internal error occurred: by command",
    503: "the server is currently unable to handle the request",
}
WATCH_EXPIRED = "The resourceVersion for the provided watch is too old."
LIST_EXPIRED = "The resourceVersion for the provided list is too old."
CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue "
    "parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token "
    "results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and "
    "now may show up in the list.")


def status(code: int, message: str = "", reason: str | None = None, details: dict[str, Any] | None = None,
           metadata: dict[str, Any] | None = None) -> Status:
    made: Status = {"kind": "Status", "apiVersion": "v1", "metadata": metadata or {}, "status": "Failure",
                    "message": message or MESSAGES.get(code, f"by command: {code}")}
    reason = REASONS.get(code, "") if reason is None else reason
    if reason:
        made["reason"] = reason
    if details is not None:
        made["details"] = details
    return made | {"code": code}


def not_found(plural: str, name: str) -> Status:
    return status(404, f'{plural} "{name}" not found', details={"name": name, "kind": plural})


def too_large(revision: str, current: int, retry_after: int | None = None) -> Status:
    details: dict[str, Any] = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
    if retry_after is not None:
        details["retryAfterSeconds"] = retry_after
    return status(504, f"Timeout: Too large resource version: {revision}, current: {current}", details=details)


def invalid_options(field: str, reason: str, message: str) -> Status:
    cause = {"reason": reason, "message": message, "field": field}
    return status(422, f'ListOptions.meta.k8s.io "" is invalid: {field}: {message}',
                  details={"group": "meta.k8s.io", "kind": "ListOptions", "causes": [cause]})


class Refusal(Exception):
    """Raised where a request is refused; carries the Status to answer with."""

    def __init__(self, body: Status):
        super().__init__(body["message"])
        self.status = body
