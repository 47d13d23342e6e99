"""All receivers together, and the secrets with which Alertmanager reaches them."""

from pathlib import Path

from tests.alerts.receivers.heartbeat import Heartbeat
from tests.alerts.receivers.slack import Slack
from tests.alerts.receivers.smtp import PASSWORD, Smtp
from tests.alerts.receivers.sns import Sns

PHONE = "+905550000000"


class Receivers:
    """All receivers, started; `folder/secrets` is what /run/secrets is in production."""

    def __init__(self, folder: Path) -> None:
        self.secrets = folder / "secrets"
        self.secrets.mkdir(parents=True)
        self.slack = Slack()
        self.heartbeat = Heartbeat()
        self.smtp = Smtp(folder)
        self.sns = Sns()
        for name, text in {
            "slack_webhook": self.slack.url,
            "heartbeat_url": self.heartbeat.url,
            "smtp_password": PASSWORD,
            "aws_credentials": "[default]\naws_access_key_id = key\naws_secret_access_key = secret\n",
            "recipients.tmpl": f'{{{{ define "aliaport.sms.phone_number" }}}}{PHONE}{{{{ end }}}}\n',
        }.items():
            (self.secrets / name).write_text(text)

    def stop(self) -> None:
        for receiver in (self.slack, self.heartbeat, self.smtp, self.sns):
            receiver.stop()
