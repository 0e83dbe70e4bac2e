// The eventsource package on GET /v1/subscribe, as a browser's EventSource would be used.
// Run as: node eventsource.mjs PORT CASE, with SPOOR_HTTP_PORT; the cases append over the Redis protocol.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { eventually, main, restartServer, sleep } from './node_case.mjs';

const require = createRequire(process.env.SPOOR_NODE_MODULES + '/');
const { EventSource } = require('eventsource');
const Redis = require('ioredis').Redis;

const base = `http://127.0.0.1:${process.env.SPOOR_HTTP_PORT}/v1/subscribe`;
const client = port => new Redis({ port });
const append = (redis, type, data) => redis.call('SPOOR.APPEND', 'es', '*', type, JSON.stringify(data));

function open(query) {
  const source = new EventSource(`${base}?${query}`);
  const [seen, starts] = [[], []];
  source.onmessage = message => seen.push(JSON.parse(message.data));
  source.addEventListener('start', message => starts.push(JSON.parse(message.data)));
  source.onerror = () => {};
  return { source, seen, starts };
}

// It is there, and knows from where on.
const ready = ({ starts }) => eventually(() => starts.length > 0);

const cases = {
  async history_then_live(port) {
    const redis = client(port);
    for (let n = 0; n < 20; n++) await append(redis, 'es.x', n);
    const stream = open('type=es.x&from=1');
    await eventually(() => stream.seen.length === 20);
    for (let n = 20; n < 30; n++) await append(redis, 'es.x', n);
    await eventually(() => stream.seen.length === 30);
    assert.deepEqual(stream.seen.map(event => event.data), [...Array(30).keys()]);
    stream.source.close();
    await redis.quit();
  },

  async goes_on_after_a_restart_without_gap_or_double(port) {
    const redis = client(port);
    redis.on('error', () => {});
    const stream = open('type=again.%23&from=now');
    const late = open('type=again.%23&from=now');
    await ready(stream);
    await ready(late);
    for (let n = 0; n < 50; n++) await append(redis, 'again.x', n);
    await eventually(() => stream.seen.length === 50);
    for (let round = 0; round < 3; round++) {
      await restartServer();
      // Before the sources are back, and while they come.
      for (let n = 0; n < 50; n++) {
        await eventually(() => append(redis, 'again.x', 50 + round * 50 + n).then(() => true, () => false));
        await append(redis, 'other.x', n);
      }
      await eventually(() => stream.seen.length >= 100 + round * 50, 30);
    }
    await eventually(() => late.seen.length >= 200, 30);
    await sleep(100);
    for (const { seen } of [stream, late]) {
      assert.deepEqual(seen.map(event => event.data), [...Array(200).keys()]);
    }
    assert(stream.starts.length >= 4, `it came again ${stream.starts.length - 1} times`);
    stream.source.close();
    late.source.close();
    await redis.quit();
  },

  async what_has_seen_nothing_yet_misses_nothing(port) {
    const redis = client(port);
    redis.on('error', () => {});
    const stream = open('type=first.x&from=now');
    await ready(stream);
    await restartServer();
    await eventually(() => append(redis, 'first.x', 1).then(() => true, () => false));
    await eventually(() => stream.seen.length === 1);
    stream.source.close();
    await redis.quit();
  },

  async a_limit_is_the_end(port) {
    const redis = client(port);
    for (let n = 0; n < 5; n++) await append(redis, 'few.x', n);
    const stream = open('type=few.x&from=1&limit=3');
    const ends = [];
    stream.source.addEventListener('end', message => ends.push(JSON.parse(message.data)));
    // It comes again once, and is told by a 204 that there is no more.
    await eventually(() => stream.source.readyState === EventSource.CLOSED);
    assert.deepEqual(stream.seen.map(event => event.data), [0, 1, 2]);
    assert.equal(ends.length, 1);
    assert.equal(ends[0].position, stream.seen[2].position);
    await redis.quit();
  },

  async listeners_by_type(port) {
    const redis = client(port);
    const stream = open('type=kind.*&event=type');
    const got = [];
    stream.source.addEventListener('kind.b', message => got.push(JSON.parse(message.data).data));
    await ready(stream);
    for (const type of ['kind.a', 'kind.b', 'kind.a', 'kind.b']) await append(redis, type, type);
    await eventually(() => got.length === 2);
    assert.deepEqual(got, ['kind.b', 'kind.b']);
    assert.deepEqual(stream.seen, []);
    stream.source.close();
    await redis.quit();
  },

  async what_is_refused_is_an_error_and_no_loop(port) {
    let code;
    const source = new EventSource(`${base}?type=a.%3E.b`);
    source.onerror = error => { code = error.code; };
    await eventually(() => source.readyState === EventSource.CLOSED);
    assert.equal(code, 400, `on port ${port}`);
  },
};

await main(cases);
