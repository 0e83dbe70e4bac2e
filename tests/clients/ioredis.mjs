// ioredis as it comes, with its default settings unless a case says otherwise.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { eventually, main, restartServer } from './node_case.mjs';

const Redis = createRequire(process.env.SPOOR_NODE_MODULES + '/')('ioredis').Redis;
const client = port => new Redis({ port });

const cases = {
  async default_settings_connect(port) {
    const redis = client(port);
    assert.equal(await redis.ping(), 'PONG');
    assert.equal(await redis.echo('hello'), 'hello');
    assert.match(await redis.info(), /redis_version:\d+\./);
    assert.equal(redis.status, 'ready');
    await redis.quit();
  },

  async a_pipeline_answers_in_order(port) {
    const redis = client(port);
    const pipe = redis.pipeline();
    for (let i = 0; i < 200; i++) pipe.xadd('io:pipe', '*', 'n', i);
    pipe.xlen('io:pipe');
    const replies = await pipe.exec();
    assert.equal(replies[200][1], 200);
    const entries = await redis.xrange('io:pipe', '-', '+');
    assert.deepEqual(entries.map(([id]) => id), replies.slice(0, 200).map(([, id]) => id));
    assert.deepEqual(entries.map(([, fields]) => fields[1]), [...Array(200).keys()].map(String));
    await redis.quit();
  },

  async streams_and_groups(port) {
    const redis = client(port);
    const key = 'io:group';
    assert.equal(await redis.xgroup('CREATE', key, 'g', '0', 'MKSTREAM'), 'OK');
    await assert.rejects(redis.xgroup('CREATE', key, 'g', '0'), /BUSYGROUP/);
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push(await redis.xadd(key, '*', 'type', 'task.created', 'n', i));
    const read = await redis.xreadgroup('GROUP', 'g', 'one', 'COUNT', 2, 'STREAMS', key, '>');
    const entries = Array.isArray(read) ? read[0][1] : Object.values(read)[0];
    assert.deepEqual(entries.map(([id]) => id), ids.slice(0, 2));
    assert.equal(await redis.xack(key, 'g', ids[0]), 1);
    const [cursor, claimed] = await redis.xautoclaim(key, 'g', 'two', 0, '0');
    assert.equal(cursor, '0-0');
    assert.deepEqual(claimed, [[ids[1], ['type', 'task.created', 'n', '1']]]);
    const pending = await redis.xpending(key, 'g', '-', '+', 10);
    assert.deepEqual(pending.map(row => [row[0], row[1], row[3]]), [[ids[1], 'two', 2]]);
    await redis.quit();
  },

  async transactions(port) {
    const redis = client(port);
    const replies = await redis.multi().xadd('io:tx', '1-1', 'n', 1).xlen('io:tx').exec();
    assert.deepEqual(replies, [[null, '1-1'], [null, 1]]);
    await redis.watch('io:tx');
    const other = client(port);
    await other.xadd('io:tx', '2-1', 'n', 2);
    assert.equal(await redis.multi().xadd('io:tx', '3-1', 'n', 3).exec(), null);
    assert.equal(await other.xlen('io:tx'), 2);
    await redis.quit();
    await other.quit();
  },

  async publish_and_subscribe(port) {
    const [subscriber, publisher] = [client(port), client(port)];
    const got = [];
    subscriber.on('message', (channel, message) => got.push([channel, message]));
    subscriber.on('pmessage', (pattern, channel, message) => got.push([pattern, channel, message]));
    assert.equal(await subscriber.subscribe('io.news', 'io.more'), 2);
    assert.equal(await subscriber.psubscribe('io.task.*'), 3);
    assert.equal(await publisher.publish('io.news', 'hello'), 1);
    assert.equal(await publisher.publish('io.task.done', 'yes'), 1);
    assert.equal(await publisher.publish('io.other', 'no'), 0);
    await eventually(() => got.length === 2);
    assert.deepEqual(got, [['io.news', 'hello'], ['io.task.*', 'io.task.done', 'yes']]);
    assert.equal(await subscriber.unsubscribe('io.news'), 2);
    assert.equal(await publisher.publish('io.news', 'gone'), 0);
    subscriber.disconnect();
    await publisher.quit();
  },

  async a_blocked_reader_gets_what_another_adds(port) {
    const [reader, writer] = [client(port), client(port)];
    const got = [];
    let last = '$';
    const reading = (async () => {
      while (got.length < 10) {
        const reply = await reader.xread('BLOCK', 5000, 'STREAMS', 'io:blocked', last);
        for (const [id, fields] of Array.isArray(reply) ? reply[0][1] : Object.values(reply)[0]) {
          got.push(fields[1]);
          last = id;
        }
      }
    })();
    await new Promise(resolve => setTimeout(resolve, 200));
    for (let i = 0; i < 10; i++) await writer.xadd('io:blocked', '*', 'n', i);
    await reading;
    assert.deepEqual(got, [...Array(10).keys()].map(String));
    await reader.quit();
    await writer.quit();
  },

  async a_restarted_server_is_found_again(port) {
    const redis = client(port);
    const subscriber = client(port);
    redis.on('error', () => {});
    subscriber.on('error', () => {});
    const got = [];
    subscriber.on('message', (_, message) => got.push(message));
    await subscriber.subscribe('io.again');
    const id = await redis.xadd('io:restart', '*', 'n', 1);
    await restartServer();
    assert.deepEqual(await redis.xrange('io:restart', '-', '+'), [[id, ['n', '1']]]);
    await eventually(async () => (await redis.publish('io.again', 'back')) === 1);
    await eventually(() => got.includes('back'));
    await redis.quit();
    subscriber.disconnect();
  },
};

await main(cases);
