"""Prints which stand-in gets which public image name of the compose files: `images.py ROOT`."""

import sys
from pathlib import Path

import yaml

ABSENT = ("grafana/", "docker.elastic.co/", "${ALIAPORT_IMAGE")
"""Images that are only in a registry, and the one that is built here."""


def stand_ins(deploy: Path) -> dict[str, str]:
    """Return the stage of standins/Dockerfile by the full name of the image."""
    names: dict[str, str] = {}
    for file in sorted(deploy.glob("docker-compose*.yml")):
        for service in yaml.safe_load(file.read_text())["services"].values():
            image = str(service["image"])
            if image.startswith(ABSENT):
                continue
            stage = image.rpartition("/")[2].partition(":")[0]
            # Complete the name as Docker does.
            if "/" not in image:
                image = f"library/{image}"
            if "." not in image.partition("/")[0]:
                image = f"docker.io/{image}"
            names[image] = stage
    return names


if __name__ == "__main__":
    for name, stage in stand_ins(Path(sys.argv[1]) / "deploy").items():
        sys.stdout.write(f"{stage} {name}\n")
