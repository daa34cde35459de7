"""What every system test shares: the run's own certificate authority."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import gateway  # noqa: E402,F401 - puts tests/relay into the path

collect_ignore = ["real"]


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    from certificates import Authority
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def certificate(authority):
    """Good for 127.0.0.1 and localhost."""
    return authority.make("127.0.0.1", "localhost")
