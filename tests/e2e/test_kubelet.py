"""A prober that behaves like a kubelet."""

import http.client

from tests.support.fixtures import Launch
from tests.support.service import Service

READ_LIMIT = 10 * 1024
TIMEOUT = 1.0
FAILURES = 3


class Kubelet:
    """Probes over a new connection each time, reads at most 10 KiB within 1 s, and gives up after three failures."""

    def __init__(self, service: Service, path: str) -> None:
        self.service = service
        self.path = path
        self.failures = 0

    def probe(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=TIMEOUT)
        try:
            connection.request("GET", self.path, headers={"User-Agent": "kube-probe/1.31"})
            response = connection.getresponse()
            body = response.read(READ_LIMIT)
            ok = 200 <= response.status < 400
            assert len(body) < 4_096
        except OSError:
            ok = False
        finally:
            connection.close()
        self.failures = 0 if ok else self.failures + 1
        return self.failures < FAILURES


def test_a_kubelet_keeps_a_pod_whose_plugins_misbehave(launch: Launch) -> None:
    service = launch(
        {
            "good": "aliaport_rogues.good:Good",
            "one": "aliaport_rogues.bad_probes:Blocking",
            "two": "aliaport_rogues.bad_probes:Spinning",
            "three": "aliaport_rogues.bad_probes:Swallowing",
        }
    )
    service.get("/status")
    ready, alive = Kubelet(service, "/ready"), Kubelet(service, "/health")
    for _ in range(100):
        assert ready.probe(), "the pod was taken out of rotation"
        assert alive.probe(), "the pod was killed"


def test_a_hanging_critical_probe_takes_a_pod_out_of_rotation_and_does_not_kill_it(
    launch: Launch,
) -> None:
    service = launch(
        {"rogue": "aliaport_rogues.bad_probes:Hanging"},
        config="[probes.rogue_hanging]\ncritical = true\ntimeout = 2\n",
        wait="listening",
    )
    service.wait_for(lambda: service.events("service.started"), "started", 20)
    ready, alive = Kubelet(service, "/ready"), Kubelet(service, "/health")
    verdicts = [(ready.probe(), alive.probe()) for _ in range(FAILURES)]
    assert verdicts == [(True, True), (True, True), (False, True)]
    response = service.get("/ready")
    assert response.json["error"]["message"] in ("rogue_hanging: timeout", "rogue_hanging: stuck")
