"""What every system test shares: the binary must be there, and the run's own authority."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import gateway  # noqa: E402

collect_ignore = ["real"]


def pytest_collection_modifyitems(config, items):
    if not os.access(gateway.BINARY, os.X_OK):
        for item in items:
            if "needs_no_binary" not in item.keywords:
                item.add_marker(pytest.mark.xfail(
                    reason="no binary at %s" % gateway.BINARY, run=False, strict=True))


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_no_binary: runs without the gateway")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    from certificates import Authority
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def certificate(authority):
    """Good for 127.0.0.1 and localhost."""
    return authority.make("127.0.0.1", "localhost")
