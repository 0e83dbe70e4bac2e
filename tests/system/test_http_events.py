#!/usr/bin/env python3
"""Events over HTTP: CloudEvents in their three modes, lenient JSON, import of lines, expected versions;
queries, pages, causes and effects, streams and runs. What is refused is refused whole, by name."""
import base64
import contextlib
import gzip
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import urllib.parse

import harness
from harness import RUNS, SPOOR, Skip

READY = re.compile(r"^ready resp=127\.0\.0\.1:(\d+) http=127\.0\.0\.1:(\d+) data=.* position=(\d+)\n$")
BATCH = "application/cloudevents-batch+json"
CLOUD = "application/cloudevents+json"
JSON = "application/json"
LINES = "application/x-ndjson"
CORE = {"specversion": "1.0", "id": "i", "type": "io.test", "source": "/x"}


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def lines(self):
        return harness.lines(self.body.decode())

    def problem(self, status):
        assert self.status == status, (self.status, self.body)
        assert self.headers["content-type"] == "application/problem+json", self.headers
        problem = self.json()
        assert problem["status"] == status and problem["detail"], problem
        return problem


class Server:
    """A server; leaving the block kills it. It may be started again on the same folder."""

    def __init__(self, data, *options):
        env = {key: value for key, value in os.environ.items() if key != "SPOOR_DATA"}
        self.process = subprocess.Popen(
            [SPOOR, "serve", "--data", str(data), "--resp-port", "0", "--http-port", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        line = self.process.stdout.readline().decode()
        match = READY.match(line)
        assert match, f"not ready: {line!r}, {self.process.stderr.read().decode()}"
        self.port, self.position = int(match[2]), int(match[3])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=harness.TIMEOUT)

    def ask(self, method, path, body=None, headers=None):
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, headers or {})
            return Reply(connection.getresponse())

    def get(self, path, accept=None):
        return self.ask("GET", path, headers={"Accept": accept} if accept else {})

    def post(self, body, kind=JSON, path="/v1/events", **headers):
        body = body if isinstance(body, (bytes, str)) else json.dumps(body)
        body = body.encode() if isinstance(body, str) else body
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", path, body, {**({"Content-Type": kind} if kind else {}), **fields})

    def count(self):
        """How many events are there."""
        return self.get("/v1").json()["position"]

    def events(self, query=""):
        return self.get(f"/v1/events{query}", LINES).lines()


def quote(text):
    return urllib.parse.quote(text, safe="")


# ---- appending -------------------------------------------------------------------------------------


def one_event_is_appended_once(folder):
    with Server(folder / "data") as server:
        reply = server.post(CORE, CLOUD)
        assert reply.status == 201 and reply.headers["content-type"] == JSON
        first = reply.json()
        assert first["id"] == "i" and first["position"] == 1 and first["version"] == 1, first
        assert first["stream"] == "/x" and re.fullmatch(r"\d+-\d+", first["entryid"]), first
        again = server.post(CORE, CLOUD)
        assert again.status == 200 and again.json() == {**first, "duplicate": True}, again.body
        elsewhere = server.post(CORE, CLOUD, path="/v1/events?stream=other")
        assert elsewhere.json() == again.json(), elsewhere.body  # it says where the first one went
        assert server.count() == 1
        for kind in (None, "application/x-www-form-urlencoded"):  # as `curl -d` sends it
            assert server.post({"type": "t", "source": "s"}, kind).status == 201
        made = server.post({"type": "t", "agent": "a"}).json()
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f-]{17}", made["id"]), made
        assert server.get(f"/v1/events/{made['id']}").json()["source"] == "a"


def structured_events_are_kept_as_they_are(folder):
    full = {**CORE, "id": "full", "time": "2018-04-05T18:31:00.123+01:00", "subject": "sübject",
            "datacontenttype": "application/vnd.x+json; charset=utf-8",
            "dataschema": "https://x.io/schema#a", "correlationid": "c", "causationid": "p",
            "stream": "order 7", "schemaversion": "2", "metadata": '{"k": "v"}', "extinteger": -7,
            "extboolean": True, "extstring": "", "exturi": "https://x.io", "data": {"n": [1.50]}}
    kinds = (CLOUD, "application/cloudevents+json; charset=utf-8", "Application/CloudEvents+JSON")
    with Server(folder / "data") as server:
        for number, kind in enumerate(kinds):
            assert server.post({**full, "id": f"full{number}"}, kind).status == 201
        back = server.get("/v1/events/full0", CLOUD)
        assert back.headers["content-type"] == CLOUD
        event = back.json()
        for name, value in {**full, "id": "full0"}.items():
            assert event[name] == value, (name, event[name])
        assert event["position"] == "1" and event["sequence"] == f"{1:020}"
        mine = server.get("/v1/events/full0").json()
        assert mine["position"] == 1 and mine["metadata"] == {"k": "v"} and "specversion" not in mine
        nulls = {**CORE, "id": "null", "time": None, "subject": None, "datacontenttype": None,
                 "dataschema": None, "data_base64": None, "anything": None}
        assert server.post(nulls, CLOUD).status == 201
        assert "data" not in server.get("/v1/events/null").json()


def data_of_every_kind_survives(folder):
    with Server(folder / "data") as server:
        cases = [
            ({"data": None}, {"data": None}),
            ({"data": "text"}, {"data": "text"}),
            ({"data": "{\"a\":1}"}, {"data": "{\"a\":1}"}),
            ({"data": "a\tb", "datacontenttype": "text/plain"},
             {"data": "a\tb", "datacontenttype": "text/plain"}),
            ({"data_base64": "/wD+", "datacontenttype": "image/png"},
             {"data_base64": "/wD+", "datacontenttype": "image/png"}),
            ({"data_base64": "eyJhIjogMX0=", "datacontenttype": JSON}, {"data": {"a": 1}}),
        ]
        for number, (given, expected) in enumerate(cases):
            assert server.post({**CORE, "id": f"d{number}", **given}, CLOUD).status == 201, given
            for accept in (CLOUD, JSON):
                event = server.get(f"/v1/events/d{number}", accept).json()
                for name, value in expected.items():
                    assert event[name] == value, (given, event)
        raw = b'{"a" : 1.50,\n "b":[ ]}'
        assert server.post(raw, JSON, ce_specversion="1.0", ce_id="raw", ce_type="t",
                           ce_source="/x").status == 201
        assert b'"data":{"a" : 1.50,  "b":[ ]}' in server.get("/v1/events/raw").body
        every = bytes(range(256))
        assert server.post(every, "application/octet-stream", ce_specversion="1.0", ce_id="every",
                           ce_type="t", ce_source="/x").status == 201
        for accept in (CLOUD, JSON):
            assert base64.b64decode(server.get("/v1/events/every", accept).json()["data_base64"]) == every


def binary_events_are_decoded_once(folder):
    head = {"ce_specversion": "1.0", "ce_type": "com.example.someevent", "ce_source": "/mycontext"}
    with Server(folder / "data") as server:
        for number, kind in enumerate((JSON, "application/json; charset=utf-8")):
            assert server.post('{"message": "Hello World!"}', kind, ce_id=f"b{number}",
                               ce_time="2018-04-05T03:56:24Z", **head).status == 201
            event = server.get(f"/v1/events/b{number}", CLOUD).json()
            assert event["datacontenttype"] == kind and event["data"] == {"message": "Hello World!"}
            assert event["time"] == "2018-04-05T03:56:24Z"
        cases = {"Euro%20%e2%82%AC": "Euro €", "%2541": "%41", '"a \\"b\\" %20c"': 'a "b"  c',
                 "é ü".encode(): "é ü", "é ü".encode("latin-1"): "é ü", "a, b": "a, b"}
        for number, (value, text) in enumerate(cases.items()):
            assert server.post("x", "text/plain", ce_id=f"v{number}", ce_subject=value,
                               **head).status == 201, value
            assert server.get(f"/v1/events/v{number}").json()["subject"] == text, value


def batches_are_all_or_none(folder):
    with Server(folder / "data") as server:
        assert server.post([], BATCH).json() == [] and server.post([], BATCH).status == 200
        twice = server.post([CORE, CORE], BATCH)
        assert twice.status == 201
        first, second = twice.json()
        assert first["position"] == second["position"] == 1 and second["duplicate"] is True
        assert "duplicate" not in first
        many = [{**CORE, "id": str(number)} for number in range(500)]
        reply = server.post(many, BATCH)
        assert [one["position"] for one in reply.json()] == list(range(2, 502))
        assert server.post(many, BATCH).status == 200
        before = server.count()
        wrong = [{**CORE, "id": f"new{number}"} for number in range(50)] + [{**CORE, "id": ""}]
        problem = server.post(wrong, BATCH).problem(400)
        assert problem["attribute"] == "id" and problem["event"] == 51, problem
        mixed = [{**CORE, "id": "m1"}, {**CORE, "id": "m2", "specversion": "0.9"}]
        assert server.post(mixed, BATCH).problem(400)["attribute"] == "specversion"
        assert server.post([{**CORE, "id": "m1"}, "no object"], BATCH).problem(400)["event"] == 2
        late = [{"type": "t", "source": "s"}, {"type": "*", "source": "s"}]
        assert server.post(late).problem(400)["event"] == 2
        assert server.count() == before
        lenient = server.post([{"event_type": "t", "agent_id": "a"}, {"type": "u", "source": "b"}])
        assert lenient.status == 201 and len(lenient.json()) == 2
        assert server.post([{**CORE, "id": f"x{n}"} for n in range(10001)], BATCH).status == 413


INVALID = [
    # attribute, changes of a structured event (None takes a member away)
    ("specversion", {"specversion": ...}), ("specversion", {"specversion": ""}),
    ("specversion", {"specversion": "0.3"}), ("specversion", {"specversion": 1.0}),
    ("specversion", {"specversion": None}),
    ("id", {"id": ...}), ("id", {"id": ""}), ("id", {"id": 25}), ("id", {"id": None}),
    ("id", {"id": {"a": "b"}}), ("id", {"id": "a\u0007"}), ("id", {"id": "x" * 5000}),
    ("type", {"type": ...}), ("type", {"type": ""}), ("type", {"type": True}),
    ("type", {"type": "a b"}), ("type", {"type": "task.*"}), ("type", {"type": "t" * 300}),
    ("source", {"source": ...}), ("source", {"source": ""}), ("source", {"source": []}),
    ("source", {"source": "an agent"}), ("source", {"source": "%zz"}), ("source", {"source": "1:2"}),
    ("source", {"source": "caf\u00e9"}),
    ("time", {"time": "lunchtime"}), ("time", {"time": "2018-04-05T18:31Z"}),
    ("time", {"time": "2018-04-05T18:31:00"}), ("time", {"time": "2018-04-05T18:31:00X"}),
    ("time", {"time": "2018-04-05T18:31:00+05"}), ("time", {"time": "2018-04-05T18:31:00+25:00"}),
    ("time", {"time": "2018-04-05T18:31:00+xx:00"}), ("time", {"time": "2018-04-05 18:31:00Z"}),
    ("time", {"time": "2018-02-30T18:31:00Z"}), ("time", {"time": ""}), ("time", {"time": 1522953060}),
    ("datacontenttype", {"datacontenttype": ""}), ("datacontenttype", {"datacontenttype": "xyz"}),
    ("datacontenttype", {"datacontenttype": "text/plain; charset"}),
    ("datacontenttype", {"datacontenttype": 7}),
    ("dataschema", {"dataschema": ""}), ("dataschema", {"dataschema": "a b"}),
    ("dataschema", {"dataschema": "schema.json"}), ("dataschema", {"dataschema": 1}),
    ("subject", {"subject": ""}), ("subject", {"subject": 1}), ("subject", {"subject": "a\u0085"}),
    ("MyExtension", {"MyExtension": "bad"}), ("my.extension", {"my.extension": "bad"}),
    ("my_extension", {"my_extension": "bad"}), ("my-extension", {"my-extension": None}),
    ("ext", {"ext": 1.5}), ("ext", {"ext": 1e3}), ("ext", {"ext": 2147483648}),
    ("ext", {"ext": -2147483649}), ("ext", {"ext": {}}), ("ext", {"ext": []}),
    ("ext", {"ext": "a\u0000b"}), ("ext", {"ext": "\uffff"}),
    ("data_base64", {"data": 1, "data_base64": "AA=="}), ("data_base64", {"data_base64": "A"}),
    ("data_base64", {"data_base64": "***="}), ("data_base64", {"data_base64": 1}),
    ("data", {"data_base64": "/w==", "datacontenttype": JSON}),
    ("metadata", {"metadata": {}}), ("metadata", {"metadata": "[]"}), ("stream", {"stream": ""}),
    ("stream", {"stream": 7}), ("correlationid", {"correlationid": ""}),
    ("causationid", {"causationid": []}),
]
INVALID_HEADERS = [
    ("id", {"ce-id": None}), ("id", {"ce-id": ""}), ("type", {"ce-type": None}),
    ("source", {"ce-source": None}), ("source", {"ce-source": "/a%20b"}),
    ("specversion", {"ce-specversion": None}), ("specversion", {"ce-specversion": "1"}),
    ("datacontenttype", {"ce-datacontenttype": "text/plain"}),
    ("datacontenttype", {"Content-Type": "nonsense"}),
    ("time", {"ce-time": "yesterday"}), ("subject", {"ce-subject": "%C0%A0"}),
    ("subject", {"ce-subject": "50%"}), ("subject", {"ce-subject": "%0a"}),
    ("subject", {"ce-subject": '"open'}), ("my-ext", {"ce-my-ext": "x"}), ("data", {"ce-data": "x"}),
]


def invalid_events_are_refused_by_name(folder):
    with Server(folder / "data") as server:
        for attribute, change in INVALID:
            event = {name: value for name, value in {**CORE, **change}.items() if value is not ...}
            for body, kind in ((event, CLOUD), ([{**CORE, "id": "fine"}, event], BATCH)):
                problem = server.post(body, kind).problem(400)
                assert problem.get("attribute") == attribute, (change, problem)
                assert "expected" in problem["detail"], problem
        for attribute, change in INVALID_HEADERS:
            head = {"ce-specversion": "1.0", "ce-id": "i", "ce-type": "t", "ce-source": "/x",
                    "Content-Type": "text/plain", **change}
            head = {name: value for name, value in head.items() if value is not None}
            problem = server.ask("POST", "/v1/events", b"x", head).problem(400)
            assert problem.get("attribute") == attribute, (change, problem)
        for body in ("", "{", "[]", "17", '"x"', json.dumps(CORE) + "x", "\xff", "{\"id\":\"a\",\"id\":\"b\"}"):
            server.post(body.encode("latin-1"), CLOUD).problem(400)
        server.post(CORE, BATCH).problem(400)
        for kind in ("application/cloudevents+xml", "text/plain", "application/xml",
                     "application/cloudevents+json; charset=utf-16"):
            assert "expected" in server.post(CORE, kind).problem(415)["detail"]
        assert server.count() == 0


def versions_are_expected(folder):
    with Server(folder / "data") as server:
        def post(number, expected, path="/v1/events?stream=order%207"):
            return server.post({"type": "t", "source": "s", "id": f"v{number}"}, path=path,
                               Spoor_Expected_Version=expected)
        assert post(1, "none").json() | {"entryid": ""} == \
            {"id": "v1", "position": 1, "stream": "order 7", "version": 1, "entryid": ""}
        problem = post(2, "none").problem(409)
        assert problem["expected_version"] == 0 and problem["actual_version"] == 1, problem
        assert problem["stream"] == "order 7" and problem["type"].endswith("wrong-version")
        assert post(2, "1").status == 201 and post(3, "any").json()["version"] == 3
        assert post(4, "7").problem(409)["actual_version"] == 3
        for wrong in ("-1", "x", "1.0", ""):
            assert "Spoor-Expected-Version" in post(5, wrong).problem(400)["detail"]
        two = [{"type": "t", "source": "s", "stream": name} for name in ("order 7", "other")]
        assert server.post(two, Spoor_Expected_Version="3").problem(400)["attribute"] == "stream"
        same = [{"type": "t", "source": "s", "stream": "order 7"} for _ in range(2)]
        assert server.post(same, Spoor_Expected_Version="3").json()[1]["version"] == 5
        other = server.post({"type": "t", "source": "s", "stream": "x"}, path="/v1/events?stream=y")
        assert other.problem(400)["attribute"] == "stream"
        assert "bogus" in post(6, "any", "/v1/events?bogus=1").problem(400)["detail"]
        server.post({"type": "t", "source": "s", "stream": "$own"}).problem(403)
        assert server.count() == 5


def too_large_is_413(folder):
    with Server(folder / "data") as server:
        event = {**CORE, "data": "x" * (1 << 20)}
        server.post(event, CLOUD).problem(413)
        assert server.post([{**CORE, "id": "a"}, event], BATCH).problem(413)["event"] == 2
        assert server.count() == 0
        assert server.post({**CORE, "data": "x" * ((1 << 20) - 200)}, CLOUD).status == 201
        many = {f"e{number}": "v" for number in range(80)}
        server.post({**CORE, "id": "many", **many}, CLOUD).problem(413)


# ---- import ----------------------------------------------------------------------------------------


def lines_are_imported_and_known_again(folder):
    with Server(folder / "data") as server:
        body = "".join(json.dumps({"type": "t", "source": "s", "id": f"l{number}"}) + "\n"
                       for number in range(3000)) + "\n   \n"
        reply = server.post(body, LINES)
        assert reply.status == 200, reply.body
        assert reply.json() == {"appended": 3000, "known": 0, "lines": 3002, "position": 3000}
        assert server.post(gzip.compress(body.encode()), LINES, Content_Encoding="gzip").json() == \
            {"appended": 0, "known": 3000, "lines": 3002, "position": 3000}
        assert server.post("", LINES).json()["lines"] == 0
        into = server.post('{"type":"t","source":"s"}', LINES, path="/v1/events?stream=there")
        assert into.json()["appended"] == 1
        assert server.get("/v1/streams/there").json()["version"] == 1
        server.post("{}", LINES, Spoor_Expected_Version="1").problem(400)


def an_import_says_which_line_is_wrong(folder):
    good = [json.dumps({"type": "t", "source": "s", "id": f"l{number}"}) for number in range(700)]
    with Server(folder / "data") as server:
        stored = 0
        cases = [('{"type":"*","source":"s"}', "type"), ('{"type":"t"}', "source"), ("{", None),
                 ('{"type":"t","source":"s","time":"x"}', "time"), ("[]", None),
                 ('{"type":"t","source":"s","metadata":[]}', "metadata")]
        for number, (bad, attribute) in enumerate(cases):
            place = 100 * (number + 1)
            body = "\n".join(good[:place] + [bad] + good[place:])
            problem = server.post(body, LINES).problem(400)
            assert problem["line"] == place + 1 and problem.get("attribute") == attribute, problem
            assert (problem["appended"], problem["known"]) == (place - stored, stored), problem
            assert problem["position"] == place
            stored = place
            assert server.count() == stored
        large = json.dumps({"type": "t", "source": "s", "data": "x" * (1 << 20)})
        assert server.post(f"{good[0]}\n{large}\n", LINES).problem(413)["line"] == 2
        assert server.post(good[0] + "\n" + "x" * (3 << 20), LINES).problem(413)["line"] == 2
        assert server.count() == stored


def an_import_comes_in_pieces_and_may_break_off(folder):
    def lines(start, end):
        return [json.dumps({"type": "t", "source": "s", "id": f"l{number}", "data": "x" * 300})
                .encode() + b"\n" for number in range(start, end)]

    def pieces(all_lines):
        text = b"".join(all_lines)
        for at in range(0, len(text), 1789):
            yield text[at:at + 1789]

    with Server(folder / "data") as server:
        with contextlib.closing(server.connect()) as connection:
            connection.putrequest("POST", "/v1/events")
            connection.putheader("Content-Type", LINES)
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            for piece in pieces(lines(0, 2000)):
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            while server.count() < 1900:  # what came is stored while the rest is still to come
                pass
        # The client went away in the middle: what it sent is there, and may be sent again.
        with contextlib.closing(server.connect()) as connection:
            connection.request("POST", "/v1/events", pieces(lines(0, 4000)),
                               {"Content-Type": LINES, "Transfer-Encoding": "chunked"},
                               encode_chunked=True)
            result = Reply(connection.getresponse()).json()
        assert result["appended"] + result["known"] == 4000 and result["known"] >= 1900, result
        assert server.count() == 4000
        assert [event["id"] for event in server.events("?type=t")] == [f"l{n}" for n in range(4000)]


def recorded_runs_are_imported(folder):
    if not RUNS.exists():
        raise Skip("the recorded agent runs are not here")
    runs = subprocess.run(["zstd", "-dc", str(RUNS)], capture_output=True, check=True).stdout
    with Server(folder / "data") as server:
        assert server.post(runs, LINES).json() == \
            {"appended": 9211, "known": 0, "lines": 9211, "position": 9211}
        assert server.post(runs, LINES).json()["known"] == 9211
        pages, path, found = 0, "/v1/runs?limit=100", []
        while path:
            page = server.get(path).json()
            found += page["runs"]
            path = f"/v1/runs?limit=100&from={page['next']}" if "next" in page else None
            pages += 1
        assert pages >= 3 and sum(run["event_count"] for run in found) == 9211
        assert len({run["correlationid"] for run in found}) == len(found)
        one = server.get(f"/v1/runs/{quote(found[7]['correlationid'])}").json()
        assert one == found[7]
        backwards = server.get("/v1/runs?limit=1000&reverse=true").json()["runs"]
        assert backwards == found[::-1]
        assert len(server.events()) == 9211


# ---- reading ---------------------------------------------------------------------------------------


def fill(server, count):
    body = "".join(json.dumps({"type": f"kind.{'even' if number % 2 == 0 else 'odd'}",
                               "source": f"agent-{number % 3}", "id": f"e{number}",
                               "correlationid": f"run/{number % 10}", "data": {"n": number}}) + "\n"
                   for number in range(1, count + 1))
    assert server.post(body, LINES).json()["appended"] == count


def follow(server, path, accept=None):
    """All pages from a path on, by their links."""
    pages = []
    while path:
        reply = server.get(path, accept)
        assert reply.status == 200, reply.body
        pages.append(reply.json())
        link = reply.headers["link"]
        path = re.fullmatch(r'<([^>]+)>; rel="next"', link)[1] if link else None
    return pages


def queries_are_answered_page_by_page(folder):
    with Server(folder / "data") as server:
        fill(server, 5000)
        for query, expected in (
                ("", range(1, 5001)), ("type=kind.even", range(2, 5001, 2)),
                ("type=kind.even&type=kind.odd", range(1, 5001)),
                ("source=agent-0", range(3, 5001, 3)), ("correlation=run%2F7", range(7, 5001, 10)),
                ("from=100&until=199", range(100, 200)),
                ("filter=" + quote('{"data.n": {"$gt": 4990}}'), range(4991, 5001)),
                ("reverse=true", range(5000, 0, -1)), ("type=kind.odd&reverse", range(4999, 0, -2)),
                ("type=nothing", ())):
            pages = follow(server, f"/v1/events?limit=700&{query}")
            found = [event["data"]["n"] for page in pages for event in page]
            assert found == list(expected), (query, len(found))
            assert all(len(page) <= 700 for page in pages)
            lines = [event["data"]["n"] for event in server.events(f"?{query}")]
            assert lines == list(expected), query
        assert len(server.get("/v1/events").json()) == 1000
        cloud = follow(server, "/v1/events?limit=1000&source=agent-1", BATCH)
        assert len(cloud[0]) == 1000 and cloud[0][0]["specversion"] == "1.0"
        reply = server.get("/v1/events?limit=1", BATCH)
        assert reply.headers["content-type"] == BATCH
        assert server.get("/v1/streams/agent-2/events?limit=3").json()[2]["version"] == 3
        assert server.get("/v1/streams/agent-2/events", LINES).lines()[-1]["version"] == 1667


def wrong_queries_are_refused(folder):
    with Server(folder / "data") as server:
        for query, name in (("bogus=1", "bogus"), ("limit=x", "limit"), ("limit=10001", "limit"),
                            ("from=yesterday", "yesterday"), ("filter={", ""), ("type=a.%3E.b", ""),
                            ("reverse=perhaps", "reverse"), ("filter=%7B%22%24x%22%3A1%7D", "")):
            detail = server.get(f"/v1/events?{query}").problem(400)["detail"]
            assert name in detail.lower(), (query, detail)
        for path in ("/v1/events/e?x=1", "/v1/events/e/causes?x=1", "/v1/streams?x=1",
                     "/v1/streams?after=x", "/v1/streams?limit=0", "/v1/runs?x=1",
                     "/v1/runs?limit=1001", "/v1/runs/r?x=1", "/v1/streams/s?x=1",
                     "/v1/streams/s/events?stream=t", "/v1/events/e/effects?limit=x"):
            server.get(path).problem(400)
        for path in ("/v1/events/nothing", "/v1/events/nothing/causes", "/v1/events/nothing/effects",
                     "/v1/streams/nothing", "/v1/runs/nothing"):
            server.get(path).problem(404)
        assert server.get("/v1/events").json() == [] and server.events() == []
        assert server.get("/v1/streams").json() == {"streams": []}
        assert server.get("/v1/runs").json() == {"runs": []}


def causes_and_effects_are_traced(folder):
    chain = [("root", None), ("a", "root"), ("a1", "a"), ("a2", "a"), ("b", "root"), ("a11", "a1")]
    with Server(folder / "data") as server:
        server.post([{"type": "t", "source": "s", "id": ident, "causationid": cause}
                     for ident, cause in chain])
        causes = server.get("/v1/events/a11/causes").json()
        assert [event["id"] for event in causes] == ["a11", "a1", "a", "root"]
        effects = server.get("/v1/events/root/effects").json()
        assert [(event["id"], event["depth"]) for event in effects] == \
            [("root", 0), ("a", 1), ("a1", 2), ("a11", 3), ("a2", 2), ("b", 1)]
        assert all(event["correlationid"] == "root" for event in effects)
        assert len(server.get("/v1/events/root/effects?limit=2").json()) == 2
        assert [event["id"] for event in server.get("/v1/events/b/causes", LINES).lines()] == ["b", "root"]
        assert server.get("/v1/events/b/causes", BATCH).json()[0]["specversion"] == "1.0"


def an_id_of_several_sources_needs_its_source(folder):
    with Server(folder / "data") as server:
        server.post([{"type": "t", "source": source, "id": "a/b c"} for source in ("x", "y")])
        problem = server.get("/v1/events/a%2Fb%20c").problem(409)
        assert problem["sources"] == ["x", "y"], problem
        for source in ("x", "y"):
            assert server.get(f"/v1/events/a%2Fb%20c?source={source}").json()["source"] == source
        server.get("/v1/events/a%2Fb%20c?source=z").problem(404)


def streams_are_listed_in_order(folder):
    with Server(folder / "data") as server:
        server.post([{"type": "t", "source": "s", "stream": f"st/{number % 25}"}
                     for number in range(60)])
        found, path = [], "/v1/streams?limit=10"
        while path:
            page = server.get(path).json()
            found += page["streams"]
            path = f"/v1/streams?limit=10&after={page['next']}" if "next" in page else None
        assert [stream["stream"] for stream in found] == [f"st/{number}" for number in range(25)]
        assert [stream["version"] for stream in found] == [3] * 10 + [2] * 15
        one = server.get("/v1/streams/st%2F3").json()
        assert (one["version"], one["length"], one["position"], one["groups"]) == (3, 3, 54, 0), one


def a_slow_reader_holds_nobody_up(folder):
    with Server(folder / "data") as server:
        body = "".join(json.dumps({"type": "t", "source": "s", "data": "x" * 1000}) + "\n"
                       for _ in range(20000))
        assert server.post(body, LINES).json()["appended"] == 20000
        with contextlib.closing(server.connect()) as slow:
            slow.request("GET", "/v1/events", headers={"Accept": LINES})
            response = slow.getresponse()
            first = response.read(100)
            for number in range(20):  # others are answered meanwhile
                assert server.post({"type": "u", "source": "o", "id": str(number)}).status == 201
            readers = [threading.Thread(target=server.events) for _ in range(3)]
            for reader in readers:
                reader.start()
            rest = response.read()
            for reader in readers:
                reader.join(harness.TIMEOUT)
        lines = harness.lines((first + rest).decode())
        assert [event["position"] for event in lines[:20000]] == list(range(1, 20001))
        with contextlib.closing(server.connect()) as gone:  # one that goes away in the middle
            gone.request("GET", "/v1/events", headers={"Accept": LINES})
            gone.getresponse().read(100)
        assert server.get("/v1/events?limit=1").status == 200


def reads_see_the_own_writes_and_survive_a_restart(folder):
    with Server(folder / "data") as server:
        with contextlib.closing(server.connect()) as connection:
            for number in range(50):
                connection.request("POST", "/v1/events", json.dumps({**CORE, "id": f"w{number}"}),
                                   {"Content-Type": CLOUD})
                assert Reply(connection.getresponse()).status == 201
                connection.request("GET", f"/v1/events/w{number}")
                assert Reply(connection.getresponse()).json()["position"] == number + 1
        server.process.kill()
        server.process.wait()
    with Server(folder / "data") as server:
        assert server.position == 50
        assert [event["id"] for event in server.events()] == [f"w{number}" for number in range(50)]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(harness.TIMEOUT) == 0


if __name__ == "__main__":
    harness.run(one_event_is_appended_once, structured_events_are_kept_as_they_are,
                data_of_every_kind_survives, binary_events_are_decoded_once, batches_are_all_or_none,
                invalid_events_are_refused_by_name, versions_are_expected, too_large_is_413,
                lines_are_imported_and_known_again, an_import_says_which_line_is_wrong,
                an_import_comes_in_pieces_and_may_break_off, recorded_runs_are_imported,
                queries_are_answered_page_by_page, wrong_queries_are_refused,
                causes_and_effects_are_traced, an_id_of_several_sources_needs_its_source,
                streams_are_listed_in_order, a_slow_reader_holds_nobody_up,
                reads_see_the_own_writes_and_survive_a_restart)
