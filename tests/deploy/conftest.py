"""What the tests of deploy/ share: the harness of the system tests."""

import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))
sys.path.insert(0, HERE)

collect_ignore = ["container"]


@pytest.fixture(name="alone", scope="session")
def _alone():
    if os.environ.get("LETTERGATE_ALONE") != "1":
        pytest.skip("needs a network of its own: tests/deploy/alone.sh")
