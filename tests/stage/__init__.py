"""The scripted outside world: servers that behave as the real ones do, and misbehave by command. README.md says how to use it."""

from .keys import Keys
from .slack import Slack, SlackMessage
from .smtp import Smtp
from .mail import Mail
from .world import Stage

__all__ = ["Keys", "Mail", "Slack", "SlackMessage", "Smtp", "Stage"]
