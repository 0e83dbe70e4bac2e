#!/usr/bin/env python3
"""GET /v1/subscribe: history, then live, as server-sent events; where a client goes on, and what it is told."""
import json
import threading
import time

import harness
from http_help import Ended, Server, Stream, Web, append


def positions(events):
    return [event["position"] for event in events]


def eventually(condition, seconds=30, what="it did not come true"):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def history_then_live_as_one_sequence(folder):
    with Server(folder) as server, server.connect() as writer:
        for n in range(500):
            append(writer, f"s{n % 7}", "step.done", json.dumps({"n": n}))
        with Stream(server, {"from": 1}) as stream:
            assert stream.response.status == 200
            assert stream.response.headers["Content-Type"] == "text/event-stream"
            assert stream.response.headers["Cache-Control"] == "no-store"
            start = stream.start()
            assert start["position"] == 1 and len(start["log"]) == 16, start
            first = stream.frame()
            assert set(first) == {"id", "data"} and first["id"] == f"1@{start['log']}", first
            assert first["data"]["type"] == "step.done" and first["data"]["data"] == {"n": 0}
            assert {"position", "version", "recordedtime", "entryid"} <= set(first["data"])
            assert positions(stream.events(499)) == list(range(2, 501))
            for n in range(500, 600):
                append(writer, "s", "step.done", json.dumps({"n": n}))
            assert [event["data"]["n"] for event in stream.events(100)] == list(range(500, 600))


def only_what_the_query_asks_for(folder):
    with Server(folder) as server, server.connect() as writer:
        query = {"type": ["order.#", "bill.*"], "filter": '{"data.total": {"$gte": 50}}', "from": 1}
        with Stream(server, query) as stream, Stream(server, {"source": "b", "event": "type"}) as typed:
            stream.start()
            typed.start()
            append(writer, "o1", "order.placed", '{"total": 40}', "source", "a")
            append(writer, "o2", "order.placed", '{"total": 60}', "source", "b")
            append(writer, "o3", "other", '{"total": 70}', "source", "a")
            append(writer, "o4", "bill.sent", '{"total":\r\n 80}', "source", "b")
            assert [event["stream"] for event in stream.events(2)] == ["o2", "o4"]
            frames = [typed.frame(), typed.frame()]
            assert [frame["event"] for frame in frames] == ["order.placed", "bill.sent"], frames
            assert [frame["data"]["stream"] for frame in frames] == ["o2", "o4"]


def a_client_goes_on_where_it_was(folder):
    with Server(folder) as server, server.connect() as writer:
        for n in range(10):
            append(writer, "s", "t.x", str(n))
        with Stream(server, {"from": 1}) as stream:
            stream.start()
            stream.events(4)
            last = stream.last
        assert last.startswith("4@"), last
        with Stream(server, {"from": 1}, last=last) as stream:
            assert stream.start()["position"] == 5
            assert positions(stream.events(6)) == [5, 6, 7, 8, 9, 10]
        with Stream(server, {"from": "now", "last_event_id": last}) as stream:
            stream.start()
            assert stream.event()["position"] == 5
        with Stream(server, {"from": 15}) as stream:
            start = stream.frame()
            assert start["data"]["position"] == 15 and "id" not in start, start
            for n in range(10, 15):
                append(writer, "s", "t.x", str(n))
            assert stream.event()["position"] == 15
        with Stream(server, {"last_event_id": "9"}, last="7") as stream:
            stream.start()
            assert stream.event()["position"] == 8, "the header counts before the parameter"


def a_restart_leaves_no_gap_and_no_double(folder):
    with Server(folder) as server:
        seen = []
        with server.connect() as writer, Stream(server, {"from": "now", "type": "t.#"}) as stream:
            stream.start()
            last = stream.last
        with server.connect() as writer:
            append(writer, "s", "t.away", "0")
        for round_ in range(3):
            with Stream(server, {"from": "now", "type": "t.#"}, last=last) as stream:
                with server.connect() as writer:
                    stream.start()
                    for n in range(20):
                        append(writer, "s", "t.x", str(n))
                        append(writer, "s", "other", str(n))
                    seen += stream.events(11 if round_ == 0 else 20)
                last = stream.last
                server.kill()
                try:
                    while True:
                        seen.append(stream.event())
                        last = stream.last
                except (Ended, OSError):
                    pass
            server.start()
        with Stream(server, {"type": "t.#"}, last=last) as stream, server.connect() as writer:
            stream.start()
            append(writer, "s", "t.last", "1")
            while seen[-1]["type"] != "t.last":
                seen.append(stream.event())
        assert seen[0]["type"] == "t.away", seen[0]
        assert [event["version"] for event in seen if event["type"] == "t.x"] == sorted(
            event["version"] for event in seen if event["type"] == "t.x")
        numbers = positions(seen)
        assert len(numbers) == len(set(numbers)) == 1 + 3 * 20 + 1, len(numbers)


def another_log_is_noticed(folder):
    with Server(folder / "one") as one, Server(folder / "two") as two:
        for server in (one, two):
            with server.connect() as writer:
                append(writer, "s")
                append(writer, "s")
        with Stream(one, {"from": 1}) as stream:
            stream.start()
            stream.events(2)
            last = stream.last
        with Web(two) as web:
            problem = web.refused("GET", "/v1/subscribe", 409, "another log",
                                  headers={"Last-Event-ID": last})
            assert problem["type"].endswith("other-log") and problem["head"] == 2, problem
            assert problem["log"] != last.split("@")[1]
            web.refused("GET", "/v1/subscribe", 409, "not got to", query={"last_event_id": "3"})
            for bad in ("x", "-1", "1@", "@1", "1 2", "18446744073709551616"):
                web.refused("GET", "/v1/subscribe", 400, "last_event_id", query={"last_event_id": bad})


def a_limit_ends_the_stream(folder):
    with Server(folder) as server, server.connect() as writer:
        for _ in range(5):
            append(writer, "s")
        with Stream(server, {"from": 1, "limit": 3}) as stream:
            stream.start()
            assert positions(stream.events(3)) == [1, 2, 3]
            end = stream.frame()
            assert end["event"] == "end" and end["data"] == {"position": 3}, end
            assert end["id"].startswith("3@") and end["id"].endswith("/end"), end
            try:
                raise AssertionError(stream.line())
            except Ended:
                pass
            last = stream.last
        with Web(server) as web:
            done = web.call("GET", "/v1/subscribe", headers={"Last-Event-ID": last})
            assert done.status == 204 and done.body == b"", (done.status, done.body)
            # A connection whose stream is over goes on.
            reply = web.call("GET", "/v1/subscribe", query={"from": 1, "limit": 2})
            assert reply.body.count(b"data: ") == 4, reply.body
            assert web.call("GET", "/v1/subscribe", query={"from": 5, "limit": 1}).status == 200
            # A limit that is reached live.
            with Stream(server, {"limit": 2}) as stream:
                stream.start()
                append(writer, "s")
                append(writer, "s")
                assert positions(stream.events(2)) == [6, 7]
                assert stream.frame()["event"] == "end"


def beats_tell_that_the_stream_lives(folder):
    options = ("--sse-heartbeat", "20ms", "--idle-timeout", "1s", "--http-request-timeout", "1s")
    with Server(folder, *options) as server, server.connect() as writer:
        with Stream(server, {"type": "rare", "from": 1}) as stream:
            start = stream.start()
            assert stream.frame() == {"comment": ""}
            for _ in range(10):
                append(writer, "s", "often")
            while stream.last != f"10@{start['log']}":
                frame = stream.frame()
                assert "data" not in frame, frame
            append(writer, "s", "rare")
            assert stream.event()["position"] == 11
            for _ in range(100):
                assert stream.frame()["comment"] == "", "it stays, though the client says nothing"
            last = stream.last
        with Stream(server, {"type": "rare"}, last=last) as stream:
            assert stream.start()["position"] == 12


def what_it_does_not_understand_is_said(folder):
    with Server(folder) as server, Web(server) as web:
        for query, told in (({"types": "a"}, "types"), ({"type": "a.>.b"}, "type"),
                            ({"filter": "{"}, "filter"), ({"from": "soon"}, "from"),
                            ({"until": "now"}, "until"), ({"reverse": ""}, "reverse"),
                            ({"limit": "many"}, "many"), ({"event": "all"}, "event"),
                            ({"source": ["a", "b"]}, "source")):
            web.refused("GET", "/v1/subscribe", 400, told, query=query)
        web_post = web.call("POST", "/v1/subscribe", {})
        assert web_post.status == 405, web_post.status
        head = web.call("HEAD", "/v1/subscribe")
        assert (head.status, head.body) == (200, b""), head.status


def a_reader_that_stops_loses_nothing(folder):
    """It lags, which is told of, while others go on; then it reads all, in order."""
    count, text = 600, "x" * 40000
    with Server(folder, "--output-buffer", "1Mi") as server, server.connect() as writer, \
            Stream(server, {"type": "big"}, receive_bytes=4096) as slow, \
            Stream(server, {"type": "big"}) as fast, \
            Stream(server, {"type": "agent.backpressure"}) as told:
        for stream in (slow, fast, told):
            stream.start()
        got = []
        reader = threading.Thread(target=lambda: got.extend(positions(fast.events(count))))
        reader.start()
        for n in range(count):
            append(writer, "s", "big", json.dumps({"n": n, "text": text}))
        reader.join(harness.TIMEOUT)
        assert len(got) == count, "the one that reads was held up"
        notice = told.event()
        assert notice["data"]["subscription"] == "sse", notice
        assert [event["data"]["n"] for event in slow.events(count)] == list(range(count))


def many_subscribers_get_all_of_it(folder):
    with Server(folder) as server, server.connect() as writer:
        streams = [Stream(server, {"type": "t.#"}) for _ in range(200)]
        for stream in streams:
            stream.start()
        for n in range(20):
            append(writer, "s", "t.x", str(n))
        for stream in streams:
            assert [event["data"] for event in stream.events(20)] == list(range(20))
        for stream in streams[::2]:
            stream.close()
        append(writer, "s", "t.x", "20")
        for stream in streams[1::2]:
            assert stream.event()["data"] == 20
            stream.close()
        facts = dict(line.split(":", 1) for line in
                     writer.call("INFO", "clients").decode().split() if ":" in line)
        eventually(lambda: b"connected_clients:1\r" in writer.call("INFO", "clients"),
                   what=f"subscribers that are gone are still there: {facts}")


def what_was_dropped_is_told(folder):
    """Who comes back too late is told what it has missed, and goes on with what is there."""
    options = ("--retain-bytes", "1Mi")
    with Server(folder, *options) as server:
        with server.connect() as writer:
            append(writer, "s", "t.first")
            with Stream(server, {"from": 1}) as stream:
                stream.start()
                stream.event()
                last = stream.last
            body = json.dumps({"text": "y" * 900000})
            dropped = False
            deadline = time.monotonic() + harness.TIMEOUT
            while not dropped:
                assert time.monotonic() < deadline, "nothing was dropped from the log"
                for _ in range(20):
                    append(writer, "s", "t.big", body)
                with Stream(server, {"from": 2, "type": "none.such"}, last=last) as stream:
                    stream.start()
                    with Stream(server, {"from": "now"}) as marker:
                        marker.start()
                        append(writer, "s", "none.such")
                    frame = stream.message()
                    dropped = frame.get("event") == "gap"
        last = frame["data"]["position"] - 1
        assert last >= 2 and frame["data"]["reason"] == f"events from 2 to {last} were dropped", frame
        assert frame["id"].split("@")[0] == str(frame["data"]["position"] - 1), frame


if __name__ == "__main__":
    harness.run(history_then_live_as_one_sequence, only_what_the_query_asks_for,
                a_client_goes_on_where_it_was, a_restart_leaves_no_gap_and_no_double,
                another_log_is_noticed, a_limit_ends_the_stream, beats_tell_that_the_stream_lives,
                what_it_does_not_understand_is_said, a_reader_that_stops_loses_nothing,
                many_subscribers_get_all_of_it, what_was_dropped_is_told)
