"""For tests that hold for either store: the fixture `store` is what STORE is, of a file or of a server of the module's own."""

import pytest

from gateway import SLOW
from postgres import Postgres

POSTGRES = pytest.param("postgres", marks=pytest.mark.skipif(SLOW > 1, reason="the same with sanitizers"))
in_both = pytest.mark.parametrize("store", ["sqlite", POSTGRES], indirect=True)


@pytest.fixture(name="server", scope="module")
def module_server():
    server = Postgres()
    yield server
    server.close()


class Store(str):
    """What STORE is."""
    server = None

    def takes_back(self):
        """What a process held that died, at once: in a database, as if its leases had ended by then."""
        if self.server:
            self.server.leases_are_over()


@pytest.fixture(name="store")
def either_store(request, tmp_path):
    if getattr(request, "param", "sqlite") == "sqlite":
        yield Store("sqlite:%s" % (tmp_path / "queue.db"))
        return
    server = request.getfixturevalue("server")
    store = Store(server.url())
    store.server = server
    yield store
    server.forget()
