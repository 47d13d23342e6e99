"""The image and the compose files in real containers; run by `make containers`, not by `make test`.

podman stands in for Docker and is spoken to by Docker Compose; without systemd it never asks for a container's health by
itself, so `stack.Nurse` does. Images of others are made of Debian's packages, since no registry is asked: PostgreSQL,
Prometheus, Alertmanager and the exporters are the real programs in the pinned versions, their images are not.
Grafana, Elasticsearch, Kibana and Filebeat are in no Debian and are left out.
"""
