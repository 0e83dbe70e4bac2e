#!/usr/bin/env python3
"""Forks of runs and runs that go on: what is shared is read through the reference, by every way in, at any
length, after a restart; what cannot be forked is refused and leaves nothing."""
import json

from harness import run, spoor
from http_help import Server, Web

FILLER = 6000  # events of others: more than a query looks at without the index


def url(server):
    return f"http://127.0.0.1:{server.http_port}"


def publish(web, kind, id_, run_="run-17", source="agent", **more):
    return web.ok("POST", "/v1/events", {"id": id_, "type": kind, "source": source, "correlationid": run_,
                                         "data": {"of": id_}, **more}, status=201)


def ids(web, run_, **query):
    return [event["id"] for event in web.ok("GET", "/v1/events", query={"correlation": run_, **query})]


def fork(web, run_, at, id_, status=201, **more):
    return web.ok("POST", f"/v1/runs/{run_}/fork", {"at": at, "id": id_, **more}, status=status)


def original(web):
    """A run of four events, of which the third records a step of the handling of the first."""
    publish(web, "order.placed", "o1", source="web", stream="order-1", colour="red", schemaversion="2",
            metadata={"shop": 4})
    publish(web, "review.done", "o2", causationid="o1")
    publish(web, "agent.step.completed", "o3", causationid="o1")
    publish(web, "run.failed", "o4", causationid="o1")


def filler(web, count):
    lines = b"".join(json.dumps({"type": "other.thing", "source": "z", "correlationid": f"run-{n % 50}x",
                                 "data": n}).encode() + b"\n" for n in range(count))
    reply = web.call("POST", "/v1/events", lines, headers={"Content-Type": "application/x-ndjson"})
    assert reply.status in (200, 201), reply.body


def copied_of(web, run_):
    """The event to go on from, in the fork."""
    found, = [event for event in web.ok("GET", "/v1/events", query={"correlation": run_})
              if event.get("forkedfrom") and event["correlationid"] == run_]
    return found


def a_fork_shares_what_was_and_goes_on(folder):
    with Server(folder) as server, Web(server) as web:
        original(web)
        made = fork(web, "run-17", "o3", "f1", by="ann", reason="another model")
        assert (made["correlationid"], made["fork_of"], made["fork_position"]) == ("f1", "run-17", 3), made
        copy = copied_of(web, "f1")
        assert copy["position"] == made["event_position"] == made["position"] + 1
        assert ids(web, "f1") == ["o1", "o2", "o3", "f1", copy["id"]]
        assert ids(web, "f1", reverse="true") == [copy["id"], "f1", "o3", "o2", "o1"]
        assert ids(web, "f1", type="order.*") == ["o1", copy["id"]]
        assert ids(web, "f1", until=2) == ["o1", "o2"] and ids(web, "f1", limit=1) == ["o1"]
        assert ids(web, "run-17") == ["o1", "o2", "o3", "o4"], "the original knows nothing of it"
        # A step that was recorded is the handled event's: that is what is handled again.
        first = web.ok("GET", "/v1/events/o1")
        for name in ("type", "source", "stream", "data", "colour", "schemaversion", "metadata"):
            assert copy[name] == first[name], name
        assert (copy["forkedfrom"], copy["forkposition"], copy["causationid"]) == ("o1", 3, "f1"), copy
        told = web.ok("GET", "/v1/events/f1")
        assert (told["type"], told["stream"], told["causationid"]) == ("run.forked", "$runs", "o1"), told
        assert told["data"] == {"fork_position": 3, "fork_of": "run-17", "fork_event": "o3",
                                "goes_on_from": "o1", "by": "ann", "reason": "another model"}, told
        shown = web.ok("GET", "/v1/runs/f1")
        assert (shown["fork_of"], shown["fork_position"], shown["event_count"], shown["status"],
                shown["first_position"]) == ("run-17", 3, 2, "running", made["position"]), shown
        assert "fork_of" not in web.ok("GET", "/v1/runs/run-17")
        listed = [each["correlationid"] for each in web.ok("GET", "/v1/runs")["runs"]]
        assert listed == ["run-17", "f1"], listed
        publish(web, "order.paid", "p1", run_="f1", causationid=copy["id"])
        whole = json.loads(spoor("run", "show", "f1", "--json", "--url", url(server)).stdout)
        assert [event["id"] for event in whole["events"]] == ["o1", "o2", "o3", "f1", copy["id"], "p1"]
        assert whole["status"] == "running" and whole["event_count"] == 6


def forks_of_forks_share_through_one_another(folder):
    with Server(folder) as server, Web(server) as web:
        original(web)
        fork(web, "run-17", 2, "f1")
        publish(web, "order.paid", "p1", run_="f1")
        fork(web, "f1", "p1", "f2")
        fork(web, "f2", 1, "f3")
        copies = [copied_of(web, name)["id"] for name in ("f1", "f2", "f3")]
        assert copied_of(web, "f1")["forkedfrom"] == "o2", "go on from the event itself"
        assert ids(web, "f2") == ["o1", "o2", "f1", copies[0], "p1", "f2", copies[1]]
        assert ids(web, "f3") == ["o1", "f3", copies[2]], "no more than that is shared"
        filler(web, FILLER)
        publish(web, "order.paid", "p2", run_="f2")
        wanted = ["o1", "o2", "f1", copies[0], "p1", "f2", copies[1], "p2"]
        assert ids(web, "f2") == wanted and ids(web, "f2", reverse="true") == wanted[::-1]
        assert ids(web, "f2", type="order.paid") == ["p1", copies[1], "p2"]
        assert fork(web, "f1", "p1", "f2", status=200)["duplicate"] is True, "the same fork once more"
        assert ids(web, "f2") == wanted
    with Server(folder) as server, Web(server) as web:
        assert ids(web, "f2") == wanted, "after a restart"
    offline = spoor("events", "--correlation", "f2", data=folder / "data").stdout.splitlines()
    assert [json.loads(line)["id"] for line in offline] == wanted


def what_cannot_be_forked_is_refused(folder):
    with Server(folder) as server, Web(server) as web:
        original(web)
        publish(web, "agent.step.completed", "s1")
        publish(web, "other.thing", "x1", run_="run-18")
        web.ok("PUT", "/v1/agents/worker", {})
        fork(web, "run-17", 2, "f1")
        head = web.ok("GET", "/v1/events", query={"reverse": "true", "limit": 1})[0]["position"]
        path = "/v1/runs/run-17/fork"
        web.refused("POST", path, 400, "at is missing", {})
        web.refused("POST", path, 400, "at: expected a position, or the id of an event, found an array",
                    {"at": [1]})
        web.refused("POST", path, 400, "'when' is not known; expected at, id, by, reason", {"when": 1})
        web.refused("POST", path, 400, "found an array", [])
        web.refused("POST", path, 400, "id: more than 255 bytes", {"at": 1, "id": "x" * 256})
        web.refused("POST", path, 400, "it has no causationid", {"at": "s1"})
        web.refused("POST", path, 404, "'x1' is no event of the run 'run-17'", {"at": "x1"})
        web.refused("POST", path, 404, "position '99' is no event of the run 'run-17'", {"at": 99})
        web.refused("POST", "/v1/runs/nix/fork", 404, "is no event of the run 'nix'", {"at": "o1"})
        web.refused("POST", path, 409, "there is a run 'run-18' already", {"at": 1, "id": "run-18"})
        web.refused("POST", "/v1/runs/f1/fork", 400, "was told by the store itself", {"at": "f1"})
        web.refused("POST", "/v1/runs/f1/fork", 404, "is no event of the run", {"at": "o3"})
        now = web.ok("GET", "/v1/events", query={"reverse": "true", "limit": 1})[0]["position"]
        assert now == head, "what is refused leaves nothing"
        again = spoor("run", "fork", "run-17", "--url", url(server), code=2)
        assert "--at is missing" in again.stderr, again.stderr
        spoor("run", "fork", "nix", "--at", "o1", "--url", url(server), code=3)
        made = spoor("run", "fork", "run-17", "--at", "2", "--url", url(server), "--json")
        assert len(json.loads(made.stdout)["correlationid"]) == 36, made.stdout
        # A client cannot say that it forked: what it claims to share it does not.
        publish(web, "run.forked", "fake", run_="fake", source="spoor", forkof="run-17", forkposition=3)
        assert ids(web, "fake") == ["fake"]


def take(web, group, key):
    return web.ok("POST", f"/v1/groups/{group}/receive", {"consumer": "w", "max": 10}, {"key": key})["entries"]


def give_up(web, group, key, kind):
    """A worker that refuses what it is given; the run's deliveries are dead then."""
    path = f"/v1/groups/{group}"
    for entry in take(web, group, key):
        web.ok("POST", path + "/nack", {"ids": [entry["id"]], "error": kind, "dead": True}, {"key": key})


def a_failed_run_goes_on(folder):
    with Server(folder) as server, Web(server) as web:
        groups = (("reviewers", "$type:order.placed"), ("packers", "$type:review.done"))
        for group, key in groups:
            web.ok("PUT", f"/v1/groups/{group}", {"key": key, "from": "0"}, status=201)
        original(web)
        publish(web, "order.placed", "other", run_="run-18")
        web.refused("POST", "/v1/runs/run-17/resume", 409, "nothing of the run 'run-17' was given up")
        for group, key in groups:
            give_up(web, group, key, "no luck")
        told = spoor("run", "resume", "run-17", "--url", url(server)).stdout
        assert json.loads(told) == {"redriven": 2}, told
        for (group, key), wanted in zip(groups, (["o1"], ["o2"])):
            given = take(web, group, key)
            assert [each["event"]["id"] for each in given] == wanted, given
            letters = web.ok("GET", f"/v1/groups/{group}/dead-letters", query={"key": key})["entries"]
            assert [each["event"]["id"] for each in letters] == (
                ["other"] if group == "reviewers" else []), letters
        web.refused("POST", "/v1/runs/run-17/resume", 409, "nothing of the run 'run-17' was given up")
        web.refused("POST", "/v1/runs/nix/resume", 404, "no event has the correlation id 'nix'")


run(a_fork_shares_what_was_and_goes_on, forks_of_forks_share_through_one_another,
    what_cannot_be_forked_is_refused, a_failed_run_goes_on)
