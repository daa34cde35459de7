"""A backup of the queue while it is used, and back again: the commands of docs/backup.md, as they stand."""

import os
import re
import shutil
import subprocess
import threading
from datetime import datetime, timedelta, timezone

import pytest

from gateway import ROOT, Gateway, wait_for
from relay import Relay

pytestmark = pytest.mark.skipif(not shutil.which("sqlite3"), reason="the sqlite3 command is not here")


def run(title, folder, which=0):
    """Does what a shell block under that title says."""
    with open(os.path.join(ROOT, "docs", "backup.md"), encoding="utf-8") as page:
        part = page.read().split("## " + title + "\n")[1].split("\n## ")[0]
    text = re.findall(r"```sh\n(.*?)```", part, re.S)[which]
    text = text.replace("/var/lib/lettergate", str(folder)).replace("/var/backups", str(folder / "backups"))
    done = subprocess.run(["sh", "-e", "-c", text], capture_output=True, text=True, check=False, timeout=60,
                          env={**os.environ, "PATH": "%s:%s" % (folder / "bin", os.environ["PATH"])})
    assert done.returncode == 0, done
    return done.stdout


def systemd_has(pid, folder):
    """A `systemctl` that knows what the page asks of it, and nothing else."""
    (folder / "bin").mkdir(exist_ok=True)
    tool = folder / "bin" / "systemctl"
    tool.write_text("""#!/bin/sh
case "$*" in
"show --value -p MainPID lettergate") echo %d ;;
"stop lettergate.socket lettergate.service") ! kill -0 %d 2>/dev/null ;;
*) exit 1 ;;
esac
""" % (pid, pid))
    tool.chmod(0o755)


def numbers(gateway, state):
    return sorted(m["id"] for m in gateway.get("/messages?limit=500&state=" + state)["messages"])


@pytest.mark.parametrize("holds", [True, False])
def test_back_from_a_backup_that_was_made_while_it_ran(tmp_path, holds):
    (tmp_path / "backups").mkdir()
    store, stop, answers = "sqlite:%s" % (tmp_path / "queue.db"), threading.Event(), []
    with Relay({"mail": "451 4.3.0 not now"}) as relay:
        with Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
            systemd_has(gateway.pid, tmp_path)
            before = [gateway.send(delivery="queue", headers={"Idempotency-Key": "k%d" % n}) for n in range(9)]
            tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
            ahead = gateway.send(send_at=tomorrow.strftime("%Y-%m-%dT%H:%M:%SZ"))["id"]

            def send_on():
                while not stop.is_set():
                    answers.append(gateway.send(delivery="queue"))
            sender = threading.Thread(target=send_on)
            sender.start()
            assert wait_for(lambda: len(answers) > 10)
            locked = subprocess.run(["sqlite3", tmp_path / "queue.db", ".backup x"], capture_output=True, check=False)
            assert locked.returncode and b"locked" in locked.stderr
            assert run("While it runs", tmp_path) == "ok\n"
            stop.set()
            sender.join()
            assert {answer.status for answer in before + answers} == {202}, "nobody was refused meanwhile"
        assert not (tmp_path / "backups" / "queue.db-wal").exists()
        run("Back again", tmp_path)
        if holds:
            told = run("Back again", tmp_path, 1)
            assert told == "%s|%s\n" % (ahead.replace("-", ""), tomorrow.strftime("%Y-%m-%d %H:%M:%S"))
        relay.script.clear()
        with Gateway(relay, STORE=store, RETRY_DELAYS="1h") as gateway:
            ids = sorted(answer["id"] for answer in before)
            again = gateway.send(delivery="queue", headers={"Idempotency-Key": "k3"})
            assert again["id"] == before[3]["id"] and again.headers["Idempotency-Replayed"] == "true"
            assert gateway.send(delivery="queue").status == 202
            assert relay.wait(lambda: relay.ledger)
            if holds:
                held = numbers(gateway, "held")
                assert {ahead, *ids} <= set(held) and not numbers(gateway, "deferred") + numbers(gateway, "scheduled")
                assert gateway.request("POST", "/messages/%s/retry" % ids[0]).status == 200
                assert gateway.request("DELETE", "/messages/" + ids[1]).status == 200
                assert wait_for(lambda: gateway.get("/messages/" + ids[0])["state"] == "sent")
                assert len(relay.ledger) == 2, "what is held goes only if somebody says so"
                assert gateway.request("POST", "/messages/%s/retry" % ahead).status == 200
                assert wait_for(lambda: gateway.get("/messages/" + ahead)["state"] == "sent"), "whatever its send_at said"
            else:
                assert numbers(gateway, "scheduled") == [ahead]
                assert set(ids) <= set(numbers(gateway, "deferred") + numbers(gateway, "sent"))
