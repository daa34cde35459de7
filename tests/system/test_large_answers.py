"""Answers to many recipients, and to each of them the relay says a lot (docs/api.md). What
passes an answer's 64 MB is tests/http/test_large.c's."""

from gateway import Gateway, mail
from relay import Relay

WORDS = '"' * 480  # each of them is two bytes in JSON


def test_a_list_comes_in_pages_that_are_never_too_large():
    """A page ends early, and the next one goes on where it ended."""
    with Relay({"rcpt": "550 5.1.1 " + WORDS}) as relay, Gateway(relay) as gateway:
        to = ["u%d@example.org" % n for n in range(1000)]
        answer = gateway.post("/send/batch", [mail(to=to, tags=["b%d" % n]) for n in range(16)])
        assert answer.status == 200
        results = answer["results"]
        assert [r["status"] for r in results] == [422] * 16
        assert all(r["smtp"]["text"] == WORDS for result in results for r in result["recipients"])
        assert not relay.ledger
        listed, cursor, pages = [], "", 0
        while cursor is not None:
            page = gateway.get("/messages?limit=500" + cursor)
            assert page.status == 200 and len(page.body) < 16 << 20, page.body[:300]
            assert all(len(message["recipients"]) == 1000 for message in page["messages"])
            listed += [message["id"] for message in page["messages"]]
            cursor = page["cursor"] and "&cursor=" + page["cursor"]
            assert page["cursor"] in (None, listed[-1])
            pages += 1
        assert pages > 1
        assert sorted(listed) == sorted(result["id"] for result in results)
        one = gateway.get("/messages/" + results[7]["id"])
        assert one["tags"] == ["b7"] and [r["address"] for r in one["recipients"]] == to
        assert all(r["smtp"]["text"] == WORDS for r in one["recipients"])
