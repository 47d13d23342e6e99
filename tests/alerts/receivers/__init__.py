"""Receivers for Alertmanager's channels, on loopback, and the real Alertmanager.

    receivers = Receivers(folder)              # Slack, mail, SMS and heartbeat, started
    alertmanager = Alertmanager(folder, receivers, factor=60)
    alertmanager.post(alert("DatabaseDown", severity="critical", env="production"))
    receivers.slack.messages                   # a list that grows, as all `.messages` do

Stop both with `.stop()`, Alertmanager first.
"""

from tests.alerts.receivers.alertmanager import Alertmanager, alert
from tests.alerts.receivers.receivers import Receivers

__all__ = ["Alertmanager", "Receivers", "alert"]
