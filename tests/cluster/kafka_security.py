"""Listeners of a broker with TLS and logins, on keys and passwords of the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from confluent_kafka.admin import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from .kafka import Kafka
from .pki import Authority

USER, PASSWORD = "klaxon", "wal;rus=1"
LOGIN = "org.apache.kafka.common.security"
LISTENERS = {"TLS": "SSL", "MUTUAL": "SSL", "STRANGER": "SSL", "PLAIN": "SASL_SSL", "SCRAM": "SASL_SSL", "OAUTH": "SASL_SSL"}


class SecureKafka(Kafka):
    """A broker with one listener for each way in, each with a certificate for 127.0.0.1 but STRANGER, whose name is another.

    OAUTH takes tokens that `jwks` has signed, from `issuer` for `audience`, and looks at them again after at most `reauth_ms`.
    `ca` is what clients trust; `client` is a certificate and key for MUTUAL; USER and PASSWORD are good for PLAIN and SCRAM.
    """

    def __init__(self, directory: Path | str, jwks: dict[str, Any], issuer: str, audience: str, reauth_ms: int = 3_600_000):
        pki = Path(directory) / "pki"
        authority = Authority(pki)
        self.ca, self.client = authority.crt, authority.issue("client", f"/CN={USER}", "clientAuth")
        good = _bundle(pki, *authority.issue("broker", "/CN=broker", "serverAuth", "DNS:localhost,IP:127.0.0.1"))
        strange = _bundle(pki, *authority.issue("stranger", "/CN=stranger", "serverAuth", "DNS:elsewhere.example"))
        keys = pki / "jwks.json"
        keys.write_text(json.dumps(jwks))
        settings = {}
        for name in LISTENERS:
            settings |= _of(name, {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(strange if name == "STRANGER" else good)})
        settings |= _of("MUTUAL", {"ssl.client.auth": "required", "ssl.truststore.type": "PEM", "ssl.truststore.location": str(self.ca)})
        settings |= _of("PLAIN", {
            "sasl.enabled.mechanisms": "PLAIN",
            "plain.sasl.jaas.config": f'{LOGIN}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'})
        settings |= _of("SCRAM", {"sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512"} | {
            f"{mechanism}.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;" for mechanism in ("scram-sha-256", "scram-sha-512")})
        settings |= _of("OAUTH", {"sasl.enabled.mechanisms": "OAUTHBEARER"} | {f"oauthbearer.{name}": value for name, value in {
            "sasl.jaas.config": f"{LOGIN}.oauthbearer.OAuthBearerLoginModule required;",
            "sasl.server.callback.handler.class": f"{LOGIN}.oauthbearer.OAuthBearerValidatorCallbackHandler",
            "sasl.oauthbearer.jwks.endpoint.url": keys.as_uri(),
            "sasl.oauthbearer.expected.audience": audience,
            "sasl.oauthbearer.expected.issuer": issuer,
            "sasl.oauthbearer.clock.skew.seconds": "0",
            "connections.max.reauth.ms": str(reauth_ms)}.items()})
        super().__init__(directory, settings=settings, listeners=LISTENERS,
                         jvm=(f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys.as_uri()}",))

    def start(self, node: int | None = None) -> None:
        super().start(node)
        admin = self.admin()  # held: its futures fail when the client goes
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
            admin.alter_user_scram_credentials(
                [UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096), PASSWORD.encode())])[USER].result(timeout=30)


def _of(listener: str, settings: dict[str, str]) -> dict[str, str]:
    return {f"listener.name.{listener.lower()}.{name}": value for name, value in settings.items()}


def _bundle(directory: Path, certificate: Path, key: Path) -> Path:
    """Both in one file, as Kafka wants its PEM keystore."""
    path = directory / f"{certificate.stem}.keystore.pem"
    path.write_text(key.read_text() + certificate.read_text())
    return path
