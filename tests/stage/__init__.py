"""The scripted outside world: servers that behave as the real ones do, and misbehave by command. README.md says how to use it."""

from .keys import Keys
from .kube import Kube
from .life import Life
from .scenarios import Scenario
from .slack import Slack, SlackMessage
from .smtp import Smtp
from .mail import Mail
from .proxy import Proxy
from .world import Stage

__all__ = ["Keys", "Kube", "Life", "Mail", "Proxy", "Scenario", "Slack", "SlackMessage", "Smtp", "Stage"]
