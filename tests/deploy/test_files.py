"""The files of deploy/ as their tools read them, held against each other and against the program."""

import glob
import os
import re
import shutil
import subprocess

import pytest
import yaml

import gateway
import pages

DEPLOY = os.path.join(gateway.ROOT, "deploy")


def read(*path):
    with open(os.path.join(gateway.ROOT, *path), encoding="utf-8") as file:
        return file.read()


def documents(path):
    return list(yaml.safe_load_all(read(path)))


def known_settings():
    """Name → default, from the program itself."""
    return {name: default.strip("`") for name, default, _ in pages.settings()}


def seconds(duration):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", duration).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def tool(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not found:
        pytest.skip("no %s here" % name)
    return found


@pytest.fixture(name="compose")
def _compose():
    return documents("deploy/compose.yaml")[0]["services"]


@pytest.fixture(name="pod")
def _pod():
    return documents("deploy/kubernetes/deployment.yaml")[0]["spec"]["template"]["spec"]


# ---- faults

def test_faults_by_number():
    """Each number that a test names is explained in tests/faults.md, and each of these has a test."""
    explained = re.findall(r"^\| ([FS]-\d\d) \|", read("tests", "faults.md"), re.MULTILINE)
    named = set()
    for path in glob.glob(os.path.join(gateway.ROOT, "tests", "**", "*.*"), recursive=True):
        if path.endswith((".py", ".c", ".sh")):
            with open(path, encoding="utf-8") as file:
                named.update(re.findall(r"\b[FS]-\d\d\b", file.read()))
    assert len(explained) > 60 and len(set(explained)) == len(explained)
    assert named == set(explained), named ^ set(explained)


# ---- promises

def names_test(file, name):
    """Whether a test of that file has this name."""
    found = glob.glob(os.path.join(gateway.ROOT, "tests", "**", file), recursive=True)
    begin = "def %s(" % name if file.endswith(".py") else "START_TEST(%s)" % name
    return len(found) == 1 and begin in read(os.path.relpath(found[0], gateway.ROOT))


def test_every_promise_has_its_test():
    """docs/durability.md: each row of its tables names tests, and there are such tests. Of what is not promised a row
    may say that none can show it."""
    page, _, limits = read("docs", "durability.md").partition("## What is not promised")
    promises = re.findall(r"^\| .*(?<!\| shown by \|)$", page, re.MULTILINE)
    refusals = re.findall(r"^\| .*(?<!\| shown by \|)$", limits, re.MULTILINE)
    assert len(promises) > 15 and len(refusals) > 3
    for row in promises + [row for row in refusals if not row.endswith("| no test can show it |")]:
        tests = re.findall(r"`(test_\w+\.(?:py|c)): (\w+)`", row.rpartition(" | ")[2])
        assert tests, row
        assert [test for test in tests if not names_test(*test)] == [], row


# ---- settings

def is_known(name, known):
    return name in known or name.removesuffix("_FILE") in known


def test_every_setting_in_compose_exists(compose):
    known = known_settings()
    assert [n for n in compose["gateway"]["environment"] if not is_known(n, known)] == []


def test_every_setting_in_kubernetes_exists(pod):
    known = known_settings()
    assert [e["name"] for e in pod["containers"][0]["env"] if not is_known(e["name"], known)] == []


def test_every_setting_in_the_unit_exists():
    known = known_settings()
    names = re.findall(r"^Environment=(\w+)=", read("deploy/lettergate.service"), re.MULTILINE)
    assert names
    assert [name for name in names if not is_known(name, known)] == []


# ---- times that must fit each other

def test_compose_leaves_time_to_drain(compose):
    settings = compose["gateway"]["environment"]
    deadline = seconds(known_settings()["SEND_DEADLINE"])
    delay, most = seconds(settings["DRAIN_DELAY"]), seconds(settings["DRAIN_TIMEOUT"])
    assert delay + deadline <= most < seconds(compose["gateway"]["stop_grace_period"])


def test_kubernetes_leaves_time_to_drain(pod):
    container = pod["containers"][0]
    settings = {entry["name"]: entry["value"] for entry in container["env"]}
    deadline = seconds(known_settings()["SEND_DEADLINE"])
    delay, most = seconds(settings["DRAIN_DELAY"]), seconds(settings["DRAIN_TIMEOUT"])
    assert delay + deadline <= most
    word, pause = container["lifecycle"]["preStop"]["exec"]["command"]
    assert word == "sleep"
    assert int(pause) + most < pod["terminationGracePeriodSeconds"]
    probe = container["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < delay


def test_the_unit_leaves_time_to_drain():
    unit = read("deploy/lettergate.service")
    most = seconds(re.search(r"^Environment=DRAIN_TIMEOUT=(.*)$", unit, re.MULTILINE).group(1))
    stop = seconds(re.search(r"^TimeoutStopSec=(.*)$", unit, re.MULTILINE).group(1))
    assert seconds(known_settings()["SEND_DEADLINE"]) <= most < stop


def test_the_unit_waits_for_its_store(tmp_path):
    """Without PostgreSQL it ends at once, with 1; systemd starts it again for as long as that takes."""
    unit = read("deploy/lettergate.service")
    assert "\nStartLimitIntervalSec=0\n" in unit.partition("[Service]")[0]
    assert "\nRestart=on-failure\n" in unit and "\nRestartPreventExitStatus=2\n" in unit
    done = gateway.command("serve", settings={"SMTP_HOST": "capture", "STORE": "postgresql://127.0.0.1:1/none"}, cwd=tmp_path)
    assert done.returncode == 1 and "PostgreSQL" in done.stderr


# ---- sandboxes

def test_kubernetes_gives_the_container_nothing_it_does_not_need(pod):
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    own = pod["containers"][0]["securityContext"]
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"]["drop"] == ["ALL"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(pod["containers"][0])


def test_kubernetes_names_agree(pod):
    parts = {}
    for path in glob.glob(os.path.join(DEPLOY, "kubernetes", "*.yaml")):
        for document in documents(path):
            assert document["apiVersion"] and document["metadata"]["name"] == "lettergate"
            parts[document["kind"]] = document
    assert set(parts) == {"Deployment", "PodDisruptionBudget", "Secret", "Service"}
    spec = parts["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    for selector in (spec["selector"]["matchLabels"], parts["Service"]["spec"]["selector"],
                     parts["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    ports = {port["name"] for port in pod["containers"][0]["ports"]}
    assert parts["Service"]["spec"]["ports"][0]["targetPort"] in ports
    mount = pod["containers"][0]["volumeMounts"][0]["mountPath"]
    files = [e["value"] for e in pod["containers"][0]["env"] if e["name"].endswith("_FILE")]
    assert {os.path.join(mount, key) for key in parts["Secret"]["stringData"]} == set(files)
    assert pod["volumes"][0]["secret"]["secretName"] == parts["Secret"]["metadata"]["name"]


@pytest.fixture(name="units")
def _units(tmp_path):
    """The units, with the program that was built in the place of the installed one."""
    for name in ("lettergate.service", "lettergate.socket"):
        text = read("deploy", name).replace("/usr/local/bin/lettergate", gateway.BINARY)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_systemd_reads_the_units(units):
    done = run(tool("systemd-analyze"), "verify", "--man=no", str(units / "lettergate.service"),
               str(units / "lettergate.socket"))
    told = [line for line in (done.stdout + done.stderr).splitlines() if "lettergate" in line]
    assert done.returncode == 0 and not told, done.stderr


def test_systemd_calls_the_sandbox_good(units):
    done = run(tool("systemd-analyze"), "security", "--offline=true", "--threshold=20",
               str(units / "lettergate.service"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_haproxy_reads_its_configuration():
    done = run(tool("haproxy"), "-c", "-f", os.path.join(DEPLOY, "haproxy.cfg"))
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
