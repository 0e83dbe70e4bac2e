"""redis-py as it comes, with its default settings unless a case says otherwise."""
import asyncio
import sys
import threading
import time

import redis
import redis.asyncio

import case


def _client(port, **options):
    return redis.Redis(host="127.0.0.1", port=port, decode_responses=True, **options)


def default_settings_connect(port):
    client = redis.Redis(port=port)
    assert client.ping() is True
    assert client.echo("hello") == b"hello"
    assert client.get_connection_kwargs()["port"] == port
    assert client.info()["redis_version"].split(".")[0].isdigit()
    assert client.time()[0] > 1_600_000_000
    assert client.client_id() > 0
    assert client.dbsize() >= 0
    client.close()


def from_url_with_a_name_and_either_protocol(port):
    for protocol in (2, 3):
        client = redis.Redis.from_url(f"redis://127.0.0.1:{port}/0?protocol={protocol}",
                                      client_name=f"named-{protocol}", decode_responses=True)
        assert client.client_getname() == f"named-{protocol}"
        names = [each["name"] for each in client.client_list()]
        assert f"named-{protocol}" in names, names
        client.close()


def a_pipeline_answers_in_order(port):
    client = _client(port)
    with client.pipeline(transaction=False) as pipe:
        for number in range(200):
            pipe.xadd("py:pipe", {"n": number})
        pipe.xlen("py:pipe")
        replies = pipe.execute()
    assert len(set(replies[:200])) == 200 and replies[:200] == sorted(
        replies[:200], key=lambda each: tuple(map(int, each.split("-"))))
    assert replies[200] == 200
    entries = client.xrange("py:pipe")
    assert [entry["n"] for _, entry in entries] == [str(number) for number in range(200)]
    assert [ident for ident, _ in entries] == replies[:200]


def streams(port):
    for protocol in (2, 3):
        _streams(_client(port, protocol=protocol), f"py:stream{protocol}")


def _streams(client, key):
    first = client.xadd(key, {"type": "task.created", "payload": '{"n": 1}'})
    second = client.xadd(key, {"type": "task.created", "payload": '{"n": 2}'})
    third = client.xadd(key, {"plain": "x", "other": "y"}, maxlen=1000)
    assert client.xlen(key) == 3
    assert client.xrange(key)[0] == (first, {"type": "task.created", "payload": '{"n": 1}'})
    assert client.xrevrange(key, count=1) == [(third, {"plain": "x", "other": "y"})]
    assert _of(client.xread({key: second}), key) == [(third, {"plain": "x", "other": "y"})]
    assert client.xread({key: third}) in ({}, [])
    assert client.xinfo_stream(key)["length"] == 3
    assert client.type(key) == "stream" and client.exists(key) == 1
    assert client.xdel(key, second) == 1
    assert client.xtrim(key, maxlen=1, approximate=False) == 1
    assert [ident for ident, _ in client.xrange(key)] == [third]
    assert key in client.keys("py:stream*") and key in list(client.scan_iter("py:stream*"))
    assert client.expire(key, 100) and 0 < client.ttl(key) <= 100
    assert client.delete(key) == 1 and client.exists(key) == 0


def _of(reply, key):
    """The entries of one stream, in the shape of either protocol."""
    if isinstance(reply, dict):
        entries = reply[key]
        # redis-py wraps them once more in RESP3.
        if len(entries) == 1 and isinstance(entries[0], list):
            entries = entries[0]
    else:
        entries = dict((name, found) for name, found in reply)[key]
    return [(ident, fields) for ident, fields in entries]


def consumer_groups(port):
    for protocol in (2, 3):
        _groups(_client(port, protocol=protocol), f"py:group{protocol}")


def _groups(client, key):
    assert client.xgroup_create(key, "workers", id="0", mkstream=True)
    try:
        client.xgroup_create(key, "workers", id="0", mkstream=True)
        raise AssertionError("the group was made twice")
    except redis.ResponseError as error:
        assert "BUSYGROUP" in str(error)
    ids = [client.xadd(key, {"n": number}) for number in range(5)]
    got = _of(client.xreadgroup("workers", "one", {key: ">"}, count=2), key)
    assert [ident for ident, _ in got] == ids[:2]
    got = _of(client.xreadgroup("workers", "two", {key: ">"}), key)
    assert [ident for ident, _ in got] == ids[2:]
    assert client.xack(key, "workers", ids[0], ids[2]) == 2
    assert client.xpending(key, "workers")["pending"] == 3
    rows = client.xpending_range(key, "workers", "-", "+", 10)
    assert [(row["message_id"], row["consumer"], row["times_delivered"]) for row in rows] == [
        (ids[1], "one", 1), (ids[3], "two", 1), (ids[4], "two", 1)]
    cursor, claimed, deleted = client.xautoclaim(key, "workers", "three", 0, "0-0")
    assert cursor == "0-0" and deleted == [] and [ident for ident, _ in claimed] == [
        ids[1], ids[3], ids[4]]
    assert [ident for ident, _ in client.xclaim(key, "workers", "one", 0, [ids[1]])] == [ids[1]]
    assert client.xack(key, "workers", *ids) == 3
    group = client.xinfo_groups(key)[0]
    assert (group["name"], group["pending"], group["lag"]) == ("workers", 0, 0)
    assert {each["name"] for each in client.xinfo_consumers(key, "workers")} == {
        "one", "two", "three"}
    assert client.xgroup_delconsumer(key, "workers", "three") == 0
    assert client.xgroup_destroy(key, "workers") == 1


def transactions(port):
    client = _client(port)
    with client.pipeline() as pipe:
        pipe.xadd("py:tx:a", {"n": 1})
        pipe.xadd("py:tx:b", {"n": 2})
        first, second = pipe.execute()
    assert client.xrange("py:tx:a")[0][0] == first and client.xrange("py:tx:b")[0][0] == second
    with client.pipeline() as pipe:
        pipe.watch("py:tx:a")
        client.xadd("py:tx:a", {"n": 3})
        pipe.multi()
        pipe.xadd("py:tx:b", {"n": 4})
        try:
            pipe.execute()
            raise AssertionError("the watched stream had changed")
        except redis.WatchError:
            pass
    assert client.xlen("py:tx:b") == 1
    tries = []

    def again(pipe):
        tries.append(pipe.xlen("py:tx:a"))
        if len(tries) == 1:
            client.xadd("py:tx:a", {"n": 5})
        pipe.multi()
        pipe.xadd("py:tx:b", {"n": tries[-1]})

    client.transaction(again, "py:tx:a")
    assert len(tries) == 2 and client.xlen("py:tx:b") == 2


def publish_and_subscribe(port):
    for protocol in (2, 3):
        client = _client(port, protocol=protocol)
        with client.pubsub() as pubsub:
            pubsub.subscribe("py.news")
            pubsub.psubscribe("py.task.*")
            for _ in range(2):
                assert pubsub.get_message(timeout=5)["type"] in ("subscribe", "psubscribe")
            assert client.publish("py.news", "hello") == 1
            assert client.publish("py.task.done", "yes") == 1
            assert client.publish("py.other", "no") == 0
            first, second = pubsub.get_message(timeout=5), pubsub.get_message(timeout=5)
            assert (first["type"], first["channel"], first["data"]) == (
                "message", "py.news", "hello"), first
            assert (second["type"], second["pattern"], second["data"]) == (
                "pmessage", "py.task.*", "yes"), second
            assert client.pubsub_numsub("py.news") == [("py.news", 1)]
            pubsub.unsubscribe()
            pubsub.punsubscribe()
        client.close()


def a_listener_in_a_thread(port):
    client = _client(port)
    got = []
    pubsub = client.pubsub()
    pubsub.subscribe(**{"py.thread": lambda message: got.append(message["data"])})
    thread = pubsub.run_in_thread(sleep_time=0.01)
    case.eventually(lambda: client.pubsub_numsub("py.thread") == [("py.thread", 1)])
    for number in range(50):
        client.publish("py.thread", number)
    case.eventually(lambda: len(got) == 50)
    thread.stop()
    thread.join()
    assert got == [str(number) for number in range(50)]


def a_blocked_reader_gets_what_another_adds(port):
    reader, writer = _client(port), _client(port)
    got = []

    def read():
        last = "0-0"
        while len(got) < 20:
            reply = reader.xread({"py:blocked": last}, block=5000, count=3)
            for ident, fields in _of(reply, "py:blocked"):
                got.append(fields["n"])
                last = ident

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(20):
        writer.xadd("py:blocked", {"n": number})
        time.sleep(0.002)
    thread.join(20)
    assert got == [str(number) for number in range(20)]
    begun = time.monotonic()
    assert reader.xread({"py:blocked": "$"}, block=150) in ({}, [])
    assert 0.1 < time.monotonic() - begun < 5


def a_lost_connection_is_made_again(port):
    client, other = _client(port), _client(port)
    client.ping()
    assert other.client_kill_filter(_id=str(client.client_id())) == 1
    assert client.ping() is True
    ident = client.xadd("py:again", {"n": 1})
    assert client.xrange("py:again") == [(ident, {"n": "1"})]


def a_restarted_server_has_everything(port):
    client = _client(port, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100))
    ids = [client.xadd("py:restart", {"n": number}) for number in range(100)]
    client.xgroup_create("py:restart", "g", id="0")
    client.xreadgroup("g", "c", {"py:restart": ">"}, count=10)
    client.xack("py:restart", "g", *ids[:4])
    case.restart_server()
    assert [ident for ident, _ in client.xrange("py:restart")] == ids
    assert client.xpending("py:restart", "g")["pending"] == 6
    assert client.xadd("py:restart", {"n": 100}) > ids[-1]
    got = _of(client.xreadgroup("g", "c", {"py:restart": ">"}, count=1), "py:restart")
    assert [ident for ident, _ in got] == [ids[10]]


def a_subscriber_subscribes_again_after_a_restart(port):
    client = _client(port, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100))
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("py.again")
    case.eventually(lambda: client.pubsub_numsub("py.again") == [("py.again", 1)])
    case.restart_server()
    case.eventually(lambda: pubsub.get_message(timeout=0.1) is None
                    and client.pubsub_numsub("py.again") == [("py.again", 1)])
    client.publish("py.again", "back")
    assert pubsub.get_message(timeout=5)["data"] == "back"


def errors_are_of_their_class(port):
    client = _client(port)
    client.xadd("py:errors", {"n": 1}, id="5-1")
    for call, text in ((lambda: client.xadd("py:errors", {"n": 1}, id="5-1"), "equal or smaller"),
                       (lambda: client.xreadgroup("no", "c", {"py:errors": ">"}), "NOGROUP"),
                       (lambda: client.xinfo_stream("py:missing"), "no such key"),
                       (lambda: client.execute_command("BOGUS", "a"), "unknown command")):
        try:
            call()
            raise AssertionError(f"no error with {text}")
        except redis.ResponseError as error:
            assert text in str(error), error


def asyncio_client(port):
    async def both():
        client = redis.asyncio.Redis(port=port, decode_responses=True)
        assert await client.ping()
        waiting = asyncio.create_task(client.xread({"py:async": "0-0"}, block=5000))
        await asyncio.sleep(0.05)
        ident = await client.xadd("py:async", {"n": 1})
        assert _of(await waiting, "py:async") == [(ident, {"n": "1"})]
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("py.async")
            assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"
            assert await client.publish("py.async", "hello") == 1
            assert (await pubsub.get_message(timeout=5))["data"] == "hello"
        replies = await asyncio.gather(*(client.xadd("py:async:many", {"n": n}) for n in range(50)))
        assert len(set(replies)) == 50 and await client.xlen("py:async:many") == 50
        await client.aclose()

    asyncio.run(both())


case.main(sys.modules[__name__])
