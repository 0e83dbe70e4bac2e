#!/usr/bin/env python3
"""Groups with a policy do what they promise, and it is all in the log; plain groups outlive a kill -9."""
import json
import random
import sys
import threading
import time

import harness
from harness import SOURCE, SPOOR

sys.path.insert(0, str(SOURCE / "tests" / "protocol"))
# pylint: disable=wrong-import-position
from resp import Error, Nil
from servers import Spoor


class Server(Spoor):
    """One whose last words are shown where a test fails."""

    def __exit__(self, kind, *rest):
        if kind is not None:
            print(f"# server's exit code so far: {self.process.poll()}")
            for line in self.log_end().splitlines():
                print(f"# {line}")
        super().__exit__(kind, *rest)


def server(folder):
    return Server(folder=folder / "data", program=SPOOR)


def ok(reply):
    assert not isinstance(reply, Error), reply
    return reply


def as_dict(flat):
    return {flat[i].decode(): flat[i + 1] for i in range(0, len(flat), 2)}


def entries(reply):
    """[(id, fields)] of an XREADGROUP on one key; nothing where it timed out."""
    return [] if isinstance(ok(reply), Nil) else [
        (entry[0].decode(), as_dict(entry[1])) for entry in reply[0][1]]


def take(connection, consumer, key="jobs", group="workers", count=1, block=5000):
    return entries(connection.call("XREADGROUP", "GROUP", group, consumer, "COUNT", count,
                                   "BLOCK", block, "STREAMS", key, ">", timeout=block / 1000 + 10))


def told(connection, stream):
    """[(type, data)] of the events in a stream of the store's own."""
    rows = [as_dict(row[1]) for row in ok(connection.call("XRANGE", stream, "-", "+"))]
    return [(row["type"].decode(), json.loads(row["data"])) for row in rows]


def make(connection, *options, key="jobs"):
    ok(connection.call("SPOOR.GROUP", "CREATE", "workers", key, "FROM", "0", "MKSTREAM", *options))


def group(connection, key="jobs", name="workers"):
    return as_dict(ok(connection.call("SPOOR.GROUP", "LAG", name, key)))


def eventually(condition, seconds=20, what="it did not come true"):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def fails_four_times_and_succeeds_at_the_fifth(folder):
    with server(folder) as running, running.connect() as worker:
        make(worker, "backoff", "20ms..100ms x2 jitter 0", "max-deliveries", "5")
        first = ok(worker.call("XADD", "jobs", "*", "type", "job.asked", "n", "1")).decode()
        for attempt in range(1, 5):
            (entry, fields), = take(worker, "w1")
            assert entry == first and fields["n"] == b"1", (entry, fields)
            assert ok(worker.call("SPOOR.NACK", "jobs", "workers", entry, "ERROR",
                                  f"attempt {attempt} broke")) == 1
        (entry, _), = take(worker, "w1")
        row, = ok(worker.call("XPENDING", "jobs", "workers", "-", "+", "10"))
        assert (row[0].decode(), row[1], row[3]) == (first, b"w1", 5), row
        assert ok(worker.call("XACK", "jobs", "workers", entry)) == 1
        assert take(worker, "w1", block=150) == [], "what is acknowledged came again"
        failures = [data for kind, data in told(worker, "$group:jobs:workers")
                    if kind == "delivery.failed"]
        assert [(f["attempt"], f["error"], f["consumer"], f["entryid"]) for f in failures] == [
            (n, f"attempt {n} broke", "w1", first) for n in range(1, 5)], failures
        assert ok(worker.call("XLEN", "$dead:jobs:workers")) == 0
        facts = group(worker)
        assert (facts["events"], facts["pending"], facts["dead"]) == (0, 0, 0), facts


def never_succeeds_is_dead_and_is_redriven(folder):
    with server(folder) as running, running.connect() as worker:
        make(worker, "backoff", "5ms..10ms x2 jitter 0", "max-deliveries", "5")
        bad = ok(worker.call("XADD", "jobs", "*", "type", "job.asked", "n", "7")).decode()
        for attempt in range(1, 6):
            (entry, _), = take(worker, "w1")
            ok(worker.call("SPOOR.NACK", "jobs", "workers", entry, "ERROR", f"no {attempt}"))
        assert take(worker, "w1", block=100) == []
        dead, = ok(worker.call("SPOOR.DEAD", "LIST", "jobs", "workers"))
        dead = as_dict(dead)
        assert (dead["id"].decode(), dead["attempts"], dead["reason"], dead["error"]) == (
            bad, 5, b"attempts", b"no 5"), dead
        assert as_dict(dead["fields"]) == {"type": b"job.asked", "n": b"7"}, dead
        (kind, letter), = told(worker, "$dead:jobs:workers")
        assert kind == "delivery.dead_lettered", kind
        assert (letter["attempt"], letter["error"], letter["entryid"]) == (5, "no 5", bad), letter
        assert letter["event"]["type"] == "job.asked" and letter["event"]["data"] == {"n": "7"}
        assert ok(worker.call("SPOOR.DEAD", "REDRIVE", "jobs", "workers", "ALL")) == 1
        assert ok(worker.call("SPOOR.DEAD", "LIST", "jobs", "workers", "ALL")) == []
        (entry, _), = take(worker, "w1")
        row, = ok(worker.call("XPENDING", "jobs", "workers", "-", "+", "10"))
        assert entry == bad and row[3] == 1, "attempts begin anew"
        ok(worker.call("SPOOR.NACK", "jobs", "workers", entry, "ERROR", "hopeless", "DEAD"))
        dead, = ok(worker.call("SPOOR.DEAD", "LIST", "jobs", "workers", bad))
        assert as_dict(dead)["reason"] == b"refused", dead
        assert ok(worker.call("SPOOR.DEAD", "DISCARD", "jobs", "workers", bad)) == 1
        assert group(worker)["dead"] == 0
        kinds = [kind for kind, _ in told(worker, "$group:jobs:workers")]
        assert kinds.count("delivery.redriven") == 1 and kinds.count("delivery.discarded") == 1


def order_of_a_key_holds_with_eight_consumers(folder):
    keys, each, done = 12, 25, []
    lock, busy = threading.Lock(), set()

    def work(running, number):
        chance = random.Random(number)
        with running.connect() as worker:
            while len(done) < keys * each:
                for entry, fields in take(worker, f"w{number}", key="$all", count=2, block=200):
                    key = fields["correlationid"]
                    with lock:
                        assert key not in busy, f"two of {key} at a time"
                        busy.add(key)
                    time.sleep(chance.random() * 0.008)
                    failed = chance.random() < 0.1
                    with lock:
                        busy.discard(key)
                        if not failed:
                            done.append((key, int(fields["n"])))
                    command = ("SPOOR.NACK", "$all", "workers", entry, "DELAY", "5") if failed else (
                        "XACK", "$all", "workers", entry)
                    assert ok(worker.call(*command)) == 1, command

    problems = []

    def guarded(*args):
        try:
            work(*args)
        except BaseException as problem:  # pylint: disable=broad-except
            problems.append(problem)

    with server(folder) as running, running.connect() as client:
        make(client, "order-by", "correlation", "max-deliveries", "1000", "type", "step.*",
             key="$all")
        workers = [threading.Thread(target=guarded, args=(running, n)) for n in range(8)]
        for worker in workers:
            worker.start()
        for n in range(each):
            client.pipeline([("XADD", f"s{k % 5}", "*", "type", "step.done", "correlationid",
                              f"run-{k}", "n", n) for k in range(keys)])
        for worker in workers:
            worker.join(60)
        assert not problems, problems
        for k in range(keys):
            seen = [n for key, n in done if key == f"run-{k}".encode()]
            assert seen == list(range(each)), f"run-{k}: {seen}"
        facts = as_dict(ok(client.call("SPOOR.GROUP", "LAG", "workers", "$all")))
        assert [facts[name] for name in ("events", "pending", "parked", "dead")] == [0] * 4, facts


def entries_of_a_killed_worker_come_back(folder):
    with server(folder) as running, running.connect() as other:
        make(other, "ack-wait", "1h")
        wanted = [ok(other.call("XADD", "jobs", "*", "n", n)).decode() for n in range(3)]
        killed = running.connect()
        assert [entry for entry, _ in take(killed, "victim", count=10)] == wanted
        assert take(other, "heir", block=100) == []
        killed.close()
        begun = time.monotonic()
        got = []
        while len(got) < 3:
            got += [entry for entry, _ in take(other, "heir", count=10)]
        assert sorted(got) == sorted(wanted), got
        assert 0.7 < time.monotonic() - begun < 4, "a grace of a second, then they come"
        rows = ok(other.call("XPENDING", "jobs", "workers", "-", "+", "10"))
        assert {(row[1], row[3]) for row in rows} == {(b"heir", 2)}, rows


def a_worker_that_comes_back_in_time_keeps_its_entries(folder):
    with server(folder) as running, running.connect() as other:
        make(other, "ack-wait", "1h")
        wanted = ok(other.call("XADD", "jobs", "*", "n", "1")).decode()
        first = running.connect()
        assert [entry for entry, _ in take(first, "w1")] == [wanted]
        first.close()
        with running.connect() as again:
            history = entries(again.call("XREADGROUP", "GROUP", "workers", "w1", "STREAMS", "jobs",
                                         "0"))
            assert [entry for entry, _ in history] == [wanted], history
            assert take(other, "w2", block=1700) == [], "it was given to another"
            assert ok(again.call("XACK", "jobs", "workers", wanted)) == 1


def ack_wait_gives_an_entry_to_another(folder):
    with server(folder) as running, running.connect() as slow, running.connect() as other:
        make(slow, "ack-wait", "200ms", "backoff", "10ms jitter 0")
        wanted = ok(slow.call("XADD", "jobs", "*", "n", "1")).decode()
        assert [entry for entry, _ in take(slow, "slow")] == [wanted]
        assert [entry for entry, _ in take(other, "other")] == [wanted]
        failed = [data for kind, data in told(other, "$group:jobs:workers")
                  if kind == "delivery.failed"]
        assert len(failed) == 1 and failed[0]["consumer"] == "slow", failed
        assert ok(slow.call("SPOOR.NACK", "jobs", "workers", wanted)) == 1
        (entry, _), = take(other, "other")
        assert ok(other.call("XACK", "jobs", "workers", entry)) == 1


def types_and_filters_choose_what_is_handed_out(folder):
    with server(folder) as running, running.connect() as worker:
        make(worker, "type", "order.*", "filter", '{"data.amount":{"$gt":10}}', key="$all")
        for kind, amount in (("order.placed", 5), ("order.placed", 50), ("mail.sent", 50)):
            ok(worker.call("XADD", "s", "*", "type", kind, "data", json.dumps({"amount": amount})))
        (entry, fields), = take(worker, "w", key="$all", count=10)
        assert json.loads(fields["data"]) == {"amount": 50}
        assert fields["type"] == b"order.placed"
        assert ok(worker.call("XACK", "$all", "workers", entry)) == 1
        assert group(worker, key="$all")["events"] == 0


def members_that_wait_share_and_cost_nothing(folder):
    with server(folder) as running, running.connect() as client:
        make(client)
        ok(client.call("XGROUP", "CREATE", "plain", "g", "$", "MKSTREAM"))
        workers = [running.connect() for _ in range(4)]
        for number, worker in enumerate(workers):
            worker.send("XREADGROUP", "GROUP", "g", f"w{number}", "COUNT", "100", "BLOCK", "0",
                        "STREAMS", "plain", ">")
            eventually(lambda n=number: client.call("CLIENT", "LIST").count(b"flags=b") == n + 1)
        before = running.cpu_s()
        time.sleep(1)
        assert running.cpu_s() - before < 0.05, "waiting takes processor time"
        client.pipeline([("XADD", "plain", "*", "n", n) for n in range(10)])
        got = [entries(worker.read()) for worker in workers]
        assert sorted(int(f["n"]) for part in got for _, f in part) == list(range(10)), got
        assert all(1 <= len(part) <= 7 for part in got), [len(part) for part in got]
        for worker in workers:
            worker.close()


def waiting_ends_when_it_is_no_use(folder):
    with server(folder) as running, running.connect() as client, running.connect() as waiter:
        def wait(key):
            ok(client.call("XGROUP", "CREATE", key, "g", "$", "MKSTREAM"))
            waiter.send("XREADGROUP", "GROUP", "g", "w", "BLOCK", "0", "STREAMS", key, ">")
            eventually(lambda: b"flags=b" in client.call("CLIENT", "LIST"))

        number = ok(waiter.call("CLIENT", "ID"))
        wait("a")
        ok(client.call("XGROUP", "DESTROY", "a", "g"))
        assert waiter.read().startswith("NOGROUP"), "the group is gone"
        wait("b")
        ok(client.call("DEL", "b"))
        assert waiter.read().startswith("NOGROUP"), "the key is gone"
        wait("c")
        assert ok(client.call("CLIENT", "UNBLOCK", number)) == 1
        assert isinstance(waiter.read(), Nil)
        wait("d")
        assert ok(client.call("CLIENT", "UNBLOCK", number, "ERROR")) == 1
        assert waiter.read().startswith("UNBLOCKED")
        wait("e")
        waiter.close()
        eventually(lambda: b"flags=b" not in client.call("CLIENT", "LIST"))
        ok(client.call("XADD", "e", "*", "n", "1"))
        assert len(take(client, "other", key="e", group="g")) == 1, "nobody has taken it"


def plain_groups_are_where_they_were_after_a_kill(folder):
    running = server(folder)
    with running:
        with running.connect() as client:
            for n in range(1, 7):
                ok(client.call("XADD", "s", f"1-{n}", "n", n))
            ok(client.call("XGROUP", "CREATE", "s", "g", "0"))
            ok(client.call("XGROUP", "CREATE", "$all", "audit", "0"))
            assert len(take(client, "a", key="s", group="g", count=3)) == 3
            assert len(take(client, "b", key="s", group="g", count=2)) == 2
            assert len(take(client, "x", key="$all", group="audit", count=2)) == 2
            assert ok(client.call("XACK", "s", "g", "1-1", "1-4")) == 2
            ok(client.call("XCLAIM", "s", "g", "c", "0", "1-2"))
            before = client.call("XPENDING", "s", "g", "-", "+", "10")
        running.kill()
        running.start()
        with running.connect() as client:
            after = client.call("XPENDING", "s", "g", "-", "+", "10")
            assert [(r[0], r[1], r[3]) for r in after] == [(r[0], r[1], r[3]) for r in before], after
            assert [r[0] for r in after] == [b"1-2", b"1-3", b"1-5"], after
            assert after[0][1] == b"c" and after[0][3] == 2, after
            assert [entry for entry, _ in take(client, "a", key="s", group="g", count=9)] == ["1-6"]
            mine = entries(client.call("XREADGROUP", "GROUP", "g", "a", "STREAMS", "s", "0"))
            assert [entry for entry, _ in mine] == ["1-3", "1-6"], mine
            names = [as_dict(row)["name"] for row in ok(client.call("XINFO", "CONSUMERS", "s", "g"))]
            assert names == [b"a", b"b", b"c"], names
            assert as_dict(ok(client.call("XINFO", "GROUPS", "$all"))[0])["pending"] == 2


def policies_and_the_dead_outlive_a_kill(folder):
    running = server(folder)
    with running:
        with running.connect() as client:
            make(client, "backoff", "1h jitter 0", "max-deliveries", "2", "order-by", "source")
            late = ok(client.call("XADD", "jobs", "*", "source", "a", "n", "1")).decode()
            dead = ok(client.call("XADD", "jobs", "*", "source", "b", "n", "2")).decode()
            assert [entry for entry, _ in take(client, "w", count=2)] == [late, dead]
            ok(client.call("SPOOR.NACK", "jobs", "workers", late, "DELAY", "1500"))
            ok(client.call("SPOOR.NACK", "jobs", "workers", dead, "ERROR", "broken", "DEAD"))
            policy = ok(client.call("SPOOR.GROUP", "GET", "workers", "jobs"))
        running.kill()
        running.start()
        with running.connect() as client:
            assert as_dict(client.call("SPOOR.GROUP", "GET", "workers", "jobs"))["policy"] == (
                as_dict(policy)["policy"])
            row, = ok(client.call("SPOOR.DEAD", "LIST", "jobs", "workers"))
            assert (as_dict(row)["id"].decode(), as_dict(row)["error"]) == (dead, b"broken"), row
            assert [entry for entry, _ in take(client, "w")] == [late], "its timer was kept"


harness.run(
    fails_four_times_and_succeeds_at_the_fifth,
    never_succeeds_is_dead_and_is_redriven,
    order_of_a_key_holds_with_eight_consumers,
    entries_of_a_killed_worker_come_back,
    a_worker_that_comes_back_in_time_keeps_its_entries,
    ack_wait_gives_an_entry_to_another,
    types_and_filters_choose_what_is_handed_out,
    members_that_wait_share_and_cost_nothing,
    waiting_ends_when_it_is_no_use,
    plain_groups_are_where_they_were_after_a_kill,
    policies_and_the_dead_outlive_a_kill,
)
