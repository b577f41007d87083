"""The scripted outside world: servers that behave as the real ones do, and misbehave by command. README.md says how to use it."""

from .entra import Entra, federated_token
from .event_hubs import EventHubs
from .jwt import SigningKey
from .keys import Keys
from .kube import Kube
from .life import Life
from .loganalytics import LogAnalytics
from .scenarios import Scenario
from .slack import Slack, SlackMessage
from .smtp import Smtp
from .mail import Mail
from .teams import Teams, TeamsMessage
from .proxy import Proxy
from .wire import Wire
from .world import Stage

__all__ = ["Entra", "EventHubs", "Keys", "Kube", "Life", "LogAnalytics", "Mail", "Proxy", "Scenario", "SigningKey", "Slack", "SlackMessage", "Smtp", "Stage", "Teams", "TeamsMessage", "Wire", "federated_token"]
