"""The Slack sink: what its unit tests hold for right is what the stage's Slack takes, which was written from the documentation apart."""
import json
from pathlib import Path

import pytest
import requests

from stage import Slack

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / "tests/golden/slack").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_slack_takes_every_golden_message(slack: Slack, path: Path) -> None:
    got = requests.post(slack.new_hook("ops"), json=json.loads(path.read_text()), timeout=5)
    assert (got.status_code, got.text) == (200, "ok"), slack.attempts.all()
    assert slack.messages.all()[0].active_markup() == []
