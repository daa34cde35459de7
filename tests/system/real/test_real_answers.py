"""What the gateway answers when a real relay refuses, is set up wrongly or goes away, and how it
uses its sessions."""

import re
import time
from collections import Counter

import beds
import pytest
from certificates import Authority
from gateway import Gateway, b64, command, free_port, mail, problem, together, wait_for

ANN, BO, NOBODY = "ann@example.org", "bo@example.net", "no@example.org"


# code, enhanced code, words. Exim gives no enhanced codes; OpenSMTPD's tables of virtual users
# make an unknown one a list that cannot be expanded.
UNKNOWN = {"postfix": (550, "5.1.1", "User unknown"), "exim": (550, None, "Unrouteable address"),
           "opensmtpd": (524, "5.2.4", "Mailing list expansion")}


# ---- recipients


def refused_for_good(target, found):
    code, enhanced, words = UNKNOWN[target.bed.NAME]
    assert (found["smtp"]["code"], found["smtp"]["enhanced"]) == (code, enhanced)
    assert words in found["smtp"]["text"]


def test_an_unknown_recipient(target):
    answer = target.ask(to=[NOBODY])
    found = problem(answer, 422, "recipient_rejected", "rejected")
    assert (found["phase"], found["retryable"], found["duplicate_risk"]) == ("rcpt", False, False)
    refused_for_good(target, found)
    refused_for_good(target, found["recipients"][0])
    assert found["hint"]
    assert found["recipients"][0]["address"] == NOBODY


def test_known_and_unknown_recipients(target):
    sent = target.send(to=[ANN, NOBODY, BO])
    assert sent["outcome"] == "partial"
    assert [one["outcome"] for one in sent["recipients"]] == ["accepted", "rejected", "accepted"]
    refused_for_good(target, sent["recipients"][1])
    for address in (ANN, BO):
        target.bed.read_bytes(address, sent["message_id"])


def test_partial_refused(target):
    answer = target.ask(to=[ANN, NOBODY], partial="refuse", subject="all or none")
    found = problem(answer, 422, "recipient_rejected", "rejected")
    assert [one["address"] for one in found["recipients"] if one.get("smtp")] and found["phase"] == "rcpt"
    # The next message shows that the transaction was ended, and that nothing was left behind.
    sent = target.send()
    target.bed.read_bytes(ANN, sent["message_id"])
    assert not [one for one in target.bed.messages(ANN) if b"all or none" in one]


def test_a_message_that_is_too_large(target):
    content = b"x" * (beds.SIZE_LIMIT * 3 // 4 + 4096)
    answer = target.ask(attachments=[{"filename": "a", "content": b64(content),
                                      "content_type": "application/octet-stream"}])
    # Where the relay told its limit, nothing need be sent to know.
    told = target.mode != "bare"
    found = problem(answer, 413, "message_too_large", "not_sent" if told else "rejected")
    assert found["hint"] and not found["retryable"]
    if not told:
        assert (found["smtp"]["code"], found["smtp"]["enhanced"]) == (552, "5.3.4")
    target.send()


def test_addresses_that_are_not_ascii(postfix, before):
    address = "%s@example.org" % beds.NON_ASCII
    sent = before("postfix", "plain").send(to=[address])
    postfix.read_bytes(address, sent["message_id"])
    answer = before("opensmtpd", "plain").ask(to=[address])
    assert (answer.status, answer["code"]) == (422, "unsupported_feature"), answer


def test_a_sender_that_is_not_the_users_own(before):
    answer = before("postfix", "submission").ask(**{"from": "boss@example.com"})
    found = problem(answer, 422, "relay_sender_not_allowed", "rejected")
    assert "not owned by user" in found["smtp"]["text"]


# ---- credentials and certificates


@pytest.mark.parametrize("name,mode", [("postfix", "submission"), ("postfix", "smtps"),
                                       ("exim", "submission"), ("opensmtpd", "submission")])
def test_a_wrong_password(bed_of, before, name, mode):
    if bed_of(name).broken(mode):
        pytest.skip(bed_of(name).broken(mode))
    target = before(name, mode, SMTP_PASS="wrong")
    found = problem(target.ask(), 502, "relay_auth_failed", "not_sent")
    assert (found["phase"], found["smtp"]["code"]) == ("auth", 535)
    assert re.search("user|password|credentials", found["hint"], re.I)
    assert "wrong" not in target.gateway.output and beds.PASSWORD not in target.gateway.output


@pytest.mark.parametrize("setting,user,used", [
    ("plain", beds.USER, "PLAIN"), ("login", beds.USER, "LOGIN"),
    ("cram-md5", beds.USER, "CRAM-MD5"), ("scram-sha-256", beds.ASCII_USER, "SCRAM-SHA-256"),
    (None, beds.ASCII_USER, "SCRAM-SHA-256"), (None, beds.USER, "PLAIN")])
def test_each_mechanism(before, setting, user, used):
    password = {beds.USER: beds.PASSWORD, beds.ASCII_USER: beds.ASCII_PASSWORD}[user]
    target = before("postfix", "submission", SMTP_AUTH=setting, SMTP_USER=user, SMTP_PASS=password)
    since = len(target.bed.log())
    target.bed.read_bytes(ANN, target.send()["message_id"])
    found = target.bed.wait_log(r"sasl_method=(\S+), sasl_username=(\w+)", since)
    assert found.groups() == (used, user)


def test_a_mechanism_that_is_not_offered(before):
    target = before("exim", "submission", SMTP_AUTH="scram-sha-256")
    answer = target.ask()
    assert (answer.status, answer["outcome"], answer["phase"]) == (502, "not_sent", "auth"), answer
    assert answer["code"] == "auth_unavailable"


def test_no_credentials_where_the_relay_wants_them(before):
    answer = before("postfix", "submission", SMTP_USER=None, SMTP_PASS=None).ask()
    assert answer.status in (422, 502) and answer["outcome"] == "rejected", answer
    assert "Access denied" in answer["smtp"]["text"]


def wrong_trust(authority_folder):
    return [("postfix", "wrong_name", {}, "name"), ("postfix", "expired", {}, "expire"),
            ("postfix", "self_signed", {}, "self.signed|pin"),
            ("postfix", "submission", {"SMTP_CA_FILE": None}, "CA|authority|issuer"),
            ("exim", "smtps", {"SMTP_CA_FILE": Authority(authority_folder, "Other Root").file},
             "CA|authority|issuer"),
            ("postfix", "smtps", {"SMTP_TLS_NAME": "relay.example"}, "name"),
            ("postfix", "smtps", {"SMTP_TLS_PIN": "sha256/" + "A" * 43 + "="}, "pin")]


@pytest.mark.parametrize("number", range(7), ids=[
    "wrong-name", "expired", "self-signed", "system-cas", "other-ca", "other-name", "other-pin"])
def test_a_certificate_that_is_not_trusted(before, tmp_path, number):
    name, mode, changes, words = wrong_trust(tmp_path)[number]
    target = before(name, mode, **changes)
    found = problem(target.ask(), 502, "tls_verify_failed", "not_sent")
    assert re.search(words, found["detail"] + found["hint"], re.I), found


def test_a_pin_stands_for_a_self_signed_certificate(postfix, before):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    with open(postfix.box.path("self_signed.crt"), "rb") as pem:
        leaf = x509.load_pem_x509_certificate(pem.read())
    digest = hashes.Hash(hashes.SHA256())
    digest.update(leaf.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    target = before("postfix", "self_signed", SMTP_CA_FILE=None,
                    SMTP_TLS_PIN="sha256/" + b64(digest.finalize()))
    postfix.read_bytes(ANN, target.send()["message_id"])


def test_tls_where_the_relay_begins_in_clear(before):
    target = before("postfix", "submission", SMTP_SECURE="TLS")
    found = problem(target.ask(), 502, "wrong_protocol", "not_sent")
    assert "SMTP_SECURE" in found["hint"]


def test_silence_where_the_relay_begins_with_tls(before):
    target = before("postfix", "smtps", SMTP_SECURE="STARTTLS", SMTP_TIMEOUT_COMMAND="2s")
    found = problem(target.ask(), 504, "relay_timeout", "not_sent")
    assert found["phase"] == "greeting" and "SMTP_SECURE" in found["hint"]


def test_opportunistic_tls_is_used_where_it_is_offered(before):
    target = before("postfix", "plain", SMTP_SECURE="OPPORTUNISTIC")
    assert target.send()["relay"]["tls"].startswith("TLSv1.")
    target = before("exim", "plain", SMTP_SECURE="OPPORTUNISTIC")
    assert not target.send()["relay"].get("tls")


# ---- a relay that goes away


def test_a_relay_that_is_down():
    with Gateway(SMTP_HOST="127.0.0.1", SMTP_PORT=free_port(), SMTP_SECURE="NONE") as gateway:
        found = problem(gateway.send(), 503, "relay_unreachable", "not_sent")
        assert (found["phase"], found["retryable"]) == ("connect", True)


def test_a_relay_that_goes_down_and_comes_back(authority, bed_of):
    bed_of("exim")
    with beds.Exim(authority) as bed, Gateway(**bed.settings("plain")) as gateway:
        first = gateway.send()
        assert first.status == 200, first
        bed.stop()
        found = problem(gateway.send(), 503, "relay_unreachable", "not_sent")
        assert found["retry_after"] is not None
        bed.start()
        last = wait_for(lambda: (answer := gateway.send()).status == 200 and answer, 60, 0.2)
        assert last
        for answer in (first, last):
            bed.read_bytes(ANN, answer["message_id"])


def test_a_session_that_the_relay_ended_is_replaced_in_silence(postfix, before):
    target = before("postfix", "brief", SMTP_SESSIONS=1)
    sent = []
    for _ in range(2):
        since = len(postfix.log())
        sent.append(target.send())
        postfix.wait_log(r"postfix/brief/smtpd\[\d+\]: (timeout after|disconnect from)", since)
    sent.append(target.send())
    for answer in sent:
        assert answer["outcome"] == "accepted" and answer["attempts"][-1]["outcome"] == "accepted"
        postfix.read_bytes(ANN, answer["message_id"])


# ---- sessions that stay warm


def send_many(gateway, count, to):
    """Several clients at once, each with a connection that it keeps; all must be taken."""
    def client(numbers):
        connection = gateway.connect(60)
        found = []
        for number in numbers:
            answer = gateway.send(mail(to=[to], subject="Number %d" % number),
                                  connection=connection, timeout=60)
            assert answer.status == 200 and answer["outcome"] == "accepted", answer
            found.append(answer["message_id"])
        connection.close()
        return found
    return sum(together(client, [range(n, count, 16) for n in range(16)], 16), [])


@pytest.mark.parametrize("name,mode,body", [
    ("postfix", "submission", "bdat"), ("postfix", "plain", "bdat"), ("postfix", "bare", "data"),
    ("exim", "submission", "bdat"), ("opensmtpd", "plain", None)])
def test_five_hundred_messages_over_few_sessions(bed_of, name, mode, body):
    bed, address, sessions = bed_of(name), "cleo@example.net", 6
    since = len(bed.log())
    with Gateway(**bed.settings(mode, SMTP_SESSIONS=sessions)) as gateway:
        sent = send_many(gateway, 500, address)
    assert len(set(sent)) == 500
    wanted = set(sent)

    def counts():
        return Counter(found for message in bed.messages(address)
                       for found in re.findall(rb"(?mi)^Message-ID: (\S+)", message[:4000])
                       if found.decode() in wanted)
    assert wait_for(lambda: len(counts()) == 500, 120, 0.2), "%d delivered" % len(counts())
    assert set(counts().values()) == {1}
    if name == "exim":
        # "K" in a line of arrival: by CHUNKING.
        assert len(re.findall(r" <= .* K .*for cleo@", bed.log()[since:])) == 500
    elif body:
        ended = wait_for(lambda: (all_ := bed.sessions(mode, since)) and
                         sum(one.get("mail", 0) for one in all_) == 500 and all_)
        total = sum(map(Counter, ended), Counter())
        assert total[body] == 500 and total["rcpt"] == 500 and total["quit"] == len(ended)
        # Nothing was asked for that a message does not need.
        assert not set(total) - {"ehlo", "starttls", "auth", "mail", "rcpt", body, "quit",
                                 "commands"}
        secure = bed.MODES[mode] == "STARTTLS"
        assert total["ehlo"] == len(ended) * (2 if secure else 1)
    assert 1 <= bed.connections(since) <= sessions


# ---- smuggling


ENDS = ("\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n.\n", "\n\n.\r\n", "\n.\r",
        "\r\r\n.\r\n", "\r\n.\r\r\n", "\r\n.\r\n", "\r.\n")
SMUGGLED = "%sMAIL FROM:<x@example.com>\r\nRCPT TO:<r7@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled%s"


def smuggling_fields(place, end):
    poison = "before" + SMUGGLED % (end, end) + "after\n"
    if place == "text":
        return {"text": poison}
    if place == "html":
        return {"text": "x\n", "html": "<p>" + poison}
    if place == "last":
        return {"text": "before" + end}
    if place == "eml":
        return {"text": "x\n", "attachments": [{"filename": "a.eml", "content_type": "message/rfc822",
                                                "content": b64("Subject: inner\r\n\r\n" + poison)}]}
    if place == "raw":
        head = "From: shop@example.com\r\nTo: %s\r\nSubject: outer\r\n\r\n" % ANN
        return {"raw": b64(head + poison), **dict.fromkeys(("from", "to", "subject", "text"))}
    return {"text": "x\n", "attachments": [{"filename": "a.txt", "content": b64(poison),
                                            "content_type": "text/plain; charset=utf-8"}]}


@pytest.mark.parametrize("mode", ["strict", "plain", "bare"])
@pytest.mark.parametrize("place", ["text", "html", "attachment", "last", "eml", "raw"])
def test_no_message_hides_in_a_message(postfix, before, mode, place):
    target = before("postfix", mode, SMTP_SESSIONS=1)
    since = len(postfix.log())
    ends = ENDS
    if place == "raw":  # which goes as it is or not at all
        ends = [end for end in ENDS if not re.search("\r(?!\n)", end)]
        for end in set(ENDS) - set(ends):
            answer = target.ask(**smuggling_fields(place, end))
            assert problem(answer, 422, "invalid_request", "not_sent")["errors"][0]["pointer"] == "/raw"
    for end in ends:
        sent = target.send(**smuggling_fields(place, end))
        received = postfix.read(ANN, sent["message_id"])
        if place == "text":
            words = received.get_content()
            assert words.count("smuggled") == 2 and "after" in words
    took = r"postfix/%s/smtpd\[\d+\]: \w+: client=" % mode
    wait_for(lambda: len(re.findall(took, postfix.log()[since:])) >= len(ends))
    log = postfix.log()[since:]
    assert "bare <LF>" not in log and "reject" not in log and "warning" not in log
    assert not [one for one in postfix.messages("r7@example.org") if b"smuggled" in one]
    assert len(re.findall(took, log)) == len(ends)


@pytest.mark.parametrize("end", ENDS, ids=repr)
@pytest.mark.parametrize("field", ["subject", "from", "to", "reply_to", "header", "filename"])
def test_no_line_end_gets_into_a_single_line(before, field, end):
    target = before("postfix", "strict")
    poison = "x" + SMUGGLED % (end, end)
    fields = {field: poison}
    if field in ("from", "to", "reply_to"):
        fields = {field: {"name": poison, "address": ANN}}
    elif field == "header":
        fields = {"headers": {"X-Poison": poison}}
    elif field == "filename":
        fields = {"attachments": [{"filename": poison, "content": "eA=="}]}
    answer = target.ask(**fields)
    assert answer.status == 422 and answer["errors"][0]["pointer"], answer


# ---- lettergate check


def check(settings, *args):
    done = command("check", *args, settings=settings, timeout=60)
    return done.returncode, done.stdout + done.stderr


def test_check_finds_nothing_wrong(target):
    settings = {**target.bed.settings(target.mode), "SMTP_EHLO_NAME": "client.test"}
    status, said = check(settings)
    assert status == 0, said
    status, said = check(settings, "--to", ANN)
    assert status == 0 and re.search("rcpt", said, re.I), said
    if target.secure:
        assert re.search(r"TLSv1\.[23]", said) and "sha256/" in said and "Test Root" in said, said
    assert beds.PASSWORD not in said and b64(beds.PASSWORD) not in said


def test_check_asks_for_the_recipient(target):
    status, said = check(target.bed.settings(target.mode), "--to", NOBODY)
    assert status == 1, said
    assert UNKNOWN[target.bed.NAME][2] in said


WRONG = {
    "password": ("postfix", "submission", {"SMTP_PASS": "wrong"}, r"SMTP_PASS"),
    "exim-password": ("exim", "smtps", {"SMTP_PASS": "wrong"}, r"SMTP_PASS"),
    "port": ("postfix", "plain", {"SMTP_PORT": "closed"}, r"refused[^$]*SMTP_PORT"),
    "certificate-name": ("postfix", "wrong_name", {}, r"is for other\.test[^$]*SMTP_TLS_NAME"),
    "expired": ("postfix", "expired", {}, r"expired"),
    "self-signed": ("postfix", "self_signed", {}, r"SMTP_TLS_PIN"),
    "unknown-ca": ("postfix", "submission", {"SMTP_CA_FILE": None}, r"SMTP_CA_FILE"),
    "tls-on-a-plain-port": ("postfix", "submission", {"SMTP_SECURE": "TLS"}, r"STARTTLS"),
    "plain-on-a-tls-port": ("postfix", "smtps", {"SMTP_SECURE": "STARTTLS"},
                            r"SMTP_SECURE=TLS"),
    "no-starttls": ("exim", "plain", {"SMTP_SECURE": "STARTTLS"}, r"does not offer STARTTLS"),
    "no-auth": ("postfix", "plain", {"SMTP_USER": "a", "SMTP_PASS": "b"}, r"takes no logins"),
    "mechanism": ("exim", "submission", {"SMTP_AUTH": "scram-sha-256"}, r"does not offer SCRAM-SHA-256[^$]*SMTP_AUTH"),
    "name": ("postfix", "plain", {"SMTP_HOST": "no-such-relay.invalid"}, r"does not exist[^$]*SMTP_HOST"),
}


@pytest.mark.parametrize("what", WRONG)
def test_check_says_what_is_wrong(bed_of, what):
    name, mode, changes, words = WRONG[what]
    settings = bed_of(name).settings(mode, **changes)
    if settings["SMTP_PORT"] == "closed":
        settings["SMTP_PORT"] = str(free_port())
    begun = time.monotonic()
    status, said = check(settings)
    assert status == 1, said
    assert re.search(words, said, re.I), said
    assert time.monotonic() - begun < 60
    assert beds.PASSWORD not in said
