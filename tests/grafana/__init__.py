"""The dashboards of deploy/grafana, without Grafana."""
