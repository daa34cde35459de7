"""The image's root file system, mounted by tests/deploy/container.sh, and its settings."""

import json
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "system"))
sys.path.insert(0, HERE)


@pytest.fixture(scope="session")
def root():
    path = os.environ.get("LETTERGATE_IMAGE_ROOT")
    if not path:
        pytest.skip("no image: tests/deploy/container.sh makes one")
    return path


@pytest.fixture(scope="session")
def image(root):
    del root
    with open(os.environ["LETTERGATE_IMAGE"], encoding="utf-8") as file:
        return json.load(file)["Docker"]["config"]
