"""`lettergate check` looks at the store, and leaves it as it is."""

import hashlib
import re
import sqlite3

from gateway import Gateway, command
from postgres import Postgres

SECRET = "planted-password-51c7"


def check(store, status=0):
    done = command("check", settings={"SMTP_HOST": "capture", "STORE": store})
    assert done.returncode == status, done
    assert ("The gateway would not start" in done.stdout) == (status != 0)
    assert done.stdout.startswith("store "), done.stdout
    step = done.stdout.split("\n\n")[0]
    return " ".join(step.split())


def bytes_of(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_file(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    store = "sqlite:%s" % (folder / "queue.db")
    assert "there is none yet, it is made at the start, can be written" in check(store)
    assert not bytes_of(folder), "nothing is made"
    gateway = Gateway(SMTP_HOST="capture", STORE=store)
    try:
        assert gateway.send(delivery="queue").status == 202
        told = check(store)
        assert "SQLite" in told and re.search(r": schema \d+; another process has it open", told)
        assert gateway.send(delivery="queue").status == 202, "it was not disturbed"
    finally:
        gateway.kill()
    before = bytes_of(folder)
    assert re.search(r"queue.db: schema \d+, can be written$", check(store))
    assert bytes_of(folder) == before, "also what a crash left"
    with Gateway(SMTP_HOST="capture", STORE=store) as gateway:
        assert len(gateway.get("/messages")["messages"]) == 2
    with sqlite3.connect(folder / "queue.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    assert "FAILED" in check(store, 1) and "newer version" in check(store, 1)


def test_a_file_that_cannot_be_one(tmp_path):
    told = check("sqlite:%s" % (tmp_path / "nowhere" / "queue.db"), 1)
    assert "FAILED" in told and "its folder cannot be written: No such file" in told and "make the folder" in told
    (tmp_path / "other.db").write_text("something else")
    told = check("sqlite:%s" % (tmp_path / "other.db"), 1)
    assert "is not an SQLite database" in told and "-> serve does not start with it" in told
    with sqlite3.connect(tmp_path / "foreign.db") as db:
        db.execute("CREATE TABLE x (y)")
    db.close()
    assert "not a queue of lettergate's" in check("sqlite:%s" % (tmp_path / "foreign.db"), 1)


def test_postgres():
    server = Postgres()
    try:
        told = check(server.url())
        assert "warning" in told and "unsafe: fsync=off" in told and "-> a crash of PostgreSQL" in told
        assert "PostgreSQL 1" in told and "there is none yet, it is made at the start" in told
        assert server.sql("SELECT to_regclass('lettergate_schema') IS NULL") == ["t"], "nothing is made"
        with Gateway(SMTP_HOST="capture", STORE=server.url()):
            assert re.search(r": schema \d+, synchronous_commit=on, can be written", check(server.url()))
        server.sql("ALTER DATABASE postgres SET synchronous_commit = off")
        told = check(server.url())
        assert "synchronous_commit=off" in told and "unsafe: fsync=off, synchronous_commit=off" in told
        assert server.sql("SELECT count(*) FROM lettergate_replica") == ["0"], "it signs in nowhere"
        server.sql("CREATE ROLE reader LOGIN PASSWORD '%s'" % SECRET)
        told = check(server.url(user="reader", password=SECRET), 1)
        assert "FAILED" in told and SECRET not in told, told
        server.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        assert "its user may not write the tables" in check(server.url(user="reader", password=SECRET), 1)
        server.sql("UPDATE lettergate_schema SET version = 99")
        assert "newer version of lettergate" in check(server.url(), 1)
    finally:
        server.close()
    told = check(server.url(password=SECRET), 1)
    assert "cannot be reached" in told and SECRET not in told
