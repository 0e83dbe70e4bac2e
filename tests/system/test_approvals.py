#!/usr/bin/env python3
"""An agent proposes, somebody decides: with the real server, by events alone, and across kill -9.

The first decision counts, a second one is answered with it; time runs out, or somebody else may decide
from some time on; and all of it is told once, whenever the process dies.
"""
import random
import time

import harness
from http_help import Server, Web

OUTCOMES = ("approval.granted", "approval.rejected", "approval.expired")


def wait_for(found, what, timeout=60):
    """Asks again and again until there is an answer."""
    deadline = time.monotonic() + timeout
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what} does not come"
        time.sleep(0.02)
    return answer


def propose(web, ident, **data):
    web.ok("POST", "/v1/events", {"id": ident, "type": "action.proposed", "source": "agent:deployer",
                                  "correlationid": "run-1", "data": data}, status=201)


def decide(web, ident, kind="approved", source="ann", **data):
    web.ok("POST", "/v1/events", {"type": f"action.{kind}", "source": source, "causationid": ident,
                                  "data": data}, status=201)


def told(web, ident, *types):
    """What `$approvals` says of a proposal."""
    query = {"stream": "$approvals", "limit": 10000}
    return [event for event in web.ok("GET", "/v1/events", query=query)
            if event["data"].get("proposal") == ident and (not types or event["type"] in types)]


def approve_and_veto(folder):
    with Server(folder) as server, Web(server) as web:
        propose(web, "p1", prompt="Roll back?")
        propose(web, "p2", action="delete", choices=["soft", "hard", "reject"])
        decide(web, "p1", reason="errors")
        decide(web, "p2", "vetoed", "bob")
        outcome, = wait_for(lambda: told(web, "p1"), "the approval")
        assert outcome["type"] == "approval.granted", outcome
        assert outcome["correlationid"] == "run-1", outcome
        assert outcome["data"] == {"proposal": "p1", "choice": "approve", "by": "ann",
                                   "reason": "errors", "on_timeout": False}, outcome
        outcome, = wait_for(lambda: told(web, "p2"), "the veto")
        assert (outcome["type"], outcome["data"]["by"]) == ("approval.rejected", "bob"), outcome


def second_decision_is_answered_with_the_first(folder):
    with Server(folder) as server, Web(server) as web:
        propose(web, "p1")
        decide(web, "p1", "vetoed", "ann")
        decide(web, "p1", "approved", "bob")
        wait_for(lambda: len(told(web, "p1")) == 2, "what is told of the second")
        first, second = told(web, "p1")
        assert first["type"] == "approval.rejected", first
        assert second["type"] == "approval.ignored", second
        assert second["data"]["reason"] == "duplicate", second
        assert second["data"]["first"] == {"choice": "reject", "by": "ann"}, second


def time_runs_out(folder):
    with Server(folder) as server, Web(server) as web:
        propose(web, "expires", timeout="300ms")
        propose(web, "rejects", timeout="300ms", on_timeout="reject")
        propose(web, "grants", timeout="300ms", on_timeout="approve", choices=["a", "b"])
        for ident, kind in (("expires", "expired"), ("rejects", "rejected"), ("grants", "granted")):
            outcome, = wait_for(lambda ident=ident: told(web, ident), ident)
            assert outcome["type"] == f"approval.{kind}", outcome
            assert outcome["data"]["on_timeout"] is True, outcome
        decide(web, "expires")
        late = wait_for(lambda: told(web, "expires", "approval.ignored"), "late")
        assert late[0]["data"]["reason"] == "late", late


def who_may_decide(folder):
    with Server(folder) as server, Web(server) as web:
        propose(web, "p1", who=["ann"], escalate={"after": "300ms", "to": ["boss"]})
        decide(web, "p1", source="eve")
        ignored, = wait_for(lambda: told(web, "p1", "approval.ignored"), "the refusal")
        assert ignored["data"]["reason"] == "not_allowed", ignored
        escalated, = wait_for(lambda: told(web, "p1", "approval.escalated"), "the escalation")
        assert escalated["data"]["to"] == ["boss"], escalated
        decide(web, "p1", source="boss")
        wait_for(lambda: told(web, "p1", "approval.granted"), "the approval")
        propose(web, "p2", who="ann")
        ignored, = wait_for(lambda: told(web, "p2"), "what is wrong with it")
        assert ignored["data"] == {"proposal": "p2", "reason": "invalid",
                                   "error": "`who` is no list of ids"}, ignored


def nobody_else_writes_outcomes(folder):
    with Server(folder) as server, Web(server) as web:
        reply = web.call("POST", "/v1/events", {"type": "approval.granted", "source": "eve",
                                                "stream": "$approvals", "data": {}})
        assert 400 <= reply.status < 500, (reply.status, reply.body)
        assert told(web, None) == []


def one_outcome_each_across_kill_9(folder):
    dice = random.Random(7)
    made = []
    decisions = {}
    for _ in range(8):
        with Server(folder) as server:
            with Web(server) as web:
                for _ in range(30):
                    ident = f"p{len(made)}"
                    made.append(ident)
                    propose(web, ident, timeout=dice.choice(("1h", "50ms")))
                for _ in range(40):
                    ident = dice.choice(made)
                    decide(web, ident, dice.choice(("approved", "vetoed")))
                    decisions[ident] = decisions.get(ident, 0) + 1
            server.kill()
    with Server(folder) as server, Web(server) as web:
        for ident in made:
            decide(web, ident)
            decisions[ident] = decisions.get(ident, 0) + 1
        total = sum(decisions.values())

        def all_told():
            events = web.ok("GET", "/v1/events", query={"stream": "$approvals", "limit": 10000})
            expired = sum(event["type"] == "approval.expired" for event in events)
            over = {event["data"]["proposal"] for event in events if event["type"] in OUTCOMES}
            return events if len(over) == len(made) and len(events) >= total + expired else None

        outcomes = {}
        for event in wait_for(all_told, "all that is to be told"):
            if event["type"] in OUTCOMES:
                outcomes.setdefault(event["data"]["proposal"], []).append(event["type"])
        assert set(outcomes) == set(made), outcomes
        assert all(len(kinds) == 1 for kinds in outcomes.values()), outcomes
        time.sleep(0.2)
        expired = sum(kinds == ["approval.expired"] for kinds in outcomes.values())
        assert len(all_told()) == total + expired, "something is told twice"


harness.run(approve_and_veto, second_decision_is_answered_with_the_first, time_runs_out, who_may_decide,
            nobody_else_writes_outcomes, one_outcome_each_across_kill_9)
