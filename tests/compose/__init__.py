"""Tests of deploy's compose files, of their secrets, and of the image's Dockerfile.

The first draft had these faults; the tests named after them prevent their return.

G1  moving tags, ports open to the world                     test_services
G2  a password that falls back to `admin`                    test_secrets
G3  dashboards mounted where Grafana looks for providers     test_references
G4  starts in order, but no health, limits or restrictions   test_services, test_stop_times
G5  an undeclared network, no Alertmanager, no exporters     test_references
"""
