"""What the process needs of its surroundings."""

from pathlib import Path

from tests.webhook_server.caller import calling, encoded
from tests.webhook_server.crowd import Crowd
from tests.webhook_server.running import running

POLICY = "startupBudget: 10m\n"


def test_it_writes_nothing(tmp_path: Path) -> None:
    """The root filesystem is read-only; nothing of a review, a policy or a certificate is kept."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    settings = {"POLICY_FILE": policy, "POLICY_POLL_SECONDS": 0.1}
    program = ("tests.webhook_server.write_watch",)
    with running(tmp_path, settings, program) as webhook:
        with Crowd(webhook, callers=2) as crowd:
            crowd.wait_for(100)
        with calling(webhook) as caller:
            caller.send(b"nonsense\r\n\r\n")
            assert caller.answer().status == 400
        policy.write_text("startupBudget: 20m\n")
        while not any("policy" in line["message"] for line in webhook.log()):
            assert webhook.ask("/metrics")[0] == 200
        with calling(webhook) as caller:
            assert caller.post(encoded()).status == 200
        webhook.signal()
        assert webhook.wait() == 0
    assert (tmp_path / "webhook.out").read_text() == ""
