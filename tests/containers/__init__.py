"""The image and the compose files in real containers; run by `make containers`, not by `make test`.

podman replaces Docker, and Docker Compose talks to it. Without systemd it never runs health checks by
itself, so `stack.Nurse` does. Third-party images are built from Debian's packages, since no registry is used: PostgreSQL,
Prometheus, Alertmanager and the exporters are the real programs in the pinned versions; their images are not.
Grafana, Elasticsearch, Kibana and Filebeat are not in Debian and are left out.
"""
