// node-redis as it comes, with its default settings unless a case says otherwise.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { eventually, main, restartServer, sleep } from './node_case.mjs';

const { createClient, WatchError } = createRequire(process.env.SPOOR_NODE_MODULES + '/')('redis');

async function client(port, options = {}) {
  const redis = createClient({ url: `redis://127.0.0.1:${port}`, ...options });
  redis.on('error', () => {});
  await redis.connect();
  return redis;
}

const cases = {
  async default_settings_connect(port) {
    const redis = await client(port);
    assert.equal(await redis.ping(), 'PONG');
    assert.equal(await redis.echo('hello'), 'hello');
    assert.match(await redis.info(), /redis_version:\d+\./);
    await redis.close();
  },

  async either_protocol(port) {
    for (const RESP of [2, 3]) {
      const redis = await client(port, { RESP, name: `named-${RESP}` });
      assert.equal(await redis.clientGetName(), `named-${RESP}`);
      await redis.close();
    }
  },

  async many_at_once_answer_in_order(port) {
    const redis = await client(port);
    const adding = [...Array(200).keys()].map(i => redis.xAdd('node:pipe', '*', { n: String(i) }));
    const ids = await Promise.all(adding);
    const entries = await redis.xRange('node:pipe', '-', '+');
    assert.deepEqual(entries.map(entry => entry.id), ids);
    assert.deepEqual(entries.map(entry => entry.message.n), [...Array(200).keys()].map(String));
    await redis.close();
  },

  async streams_and_groups(port) {
    for (const RESP of [2, 3]) {
      const redis = await client(port, { RESP });
      const key = `node:group${RESP}`;
      assert.equal(await redis.xGroupCreate(key, 'g', '0', { MKSTREAM: true }), 'OK');
      await assert.rejects(redis.xGroupCreate(key, 'g', '0'), /BUSYGROUP/);
      const ids = [];
      for (let i = 0; i < 3; i++) ids.push(await redis.xAdd(key, '*', { n: String(i) }));
      const read = await redis.xReadGroup('g', 'one', { key, id: '>' }, { COUNT: 2 });
      assert.deepEqual(read[0].messages.map(entry => entry.id), ids.slice(0, 2));
      assert.equal(await redis.xAck(key, 'g', ids[0]), 1);
      const claimed = await redis.xAutoClaim(key, 'g', 'two', 0, '0-0');
      assert.deepEqual(claimed.messages.map(entry => entry.id), [ids[1]]);
      const pending = await redis.xPendingRange(key, 'g', '-', '+', 10);
      assert.deepEqual(pending.map(row => [row.id, row.consumer, row.deliveriesCounter]),
        [[ids[1], 'two', 2]]);
      assert.equal((await redis.xPending(key, 'g')).pending, 1);
      assert.equal((await redis.xInfoGroups(key))[0].lag, 1);
      await redis.close();
    }
  },

  async transactions(port) {
    const redis = await client(port);
    assert.deepEqual(await redis.multi().xAdd('node:tx', '1-1', { n: '1' }).xLen('node:tx').exec(),
      ['1-1', 1]);
    const other = await client(port);
    await redis.watch('node:tx');
    await other.xAdd('node:tx', '2-1', { n: '2' });
    await assert.rejects(redis.multi().xAdd('node:tx', '3-1', { n: '3' }).exec(), WatchError);
    assert.equal(await other.xLen('node:tx'), 2);
    await redis.close();
    await other.close();
  },

  async publish_and_subscribe(port) {
    const [subscriber, publisher] = [await client(port), await client(port)];
    const got = [];
    await subscriber.subscribe('node.news', (message, channel) => got.push([channel, message]));
    await subscriber.pSubscribe('node.task.*', (message, channel) => got.push([channel, message]));
    assert.equal(await publisher.publish('node.news', 'hello'), 1);
    assert.equal(await publisher.publish('node.task.done', 'yes'), 1);
    assert.equal(await publisher.publish('node.other', 'no'), 0);
    await eventually(() => got.length === 2);
    assert.deepEqual(got, [['node.news', 'hello'], ['node.task.done', 'yes']]);
    await subscriber.unsubscribe('node.news');
    await subscriber.pUnsubscribe();
    assert.equal(await publisher.publish('node.news', 'gone'), 0);
    await subscriber.close();
    await publisher.close();
  },

  async a_blocked_reader_gets_what_another_adds(port) {
    const [reader, writer] = [await client(port), await client(port)];
    const got = [];
    let last = '$';
    const reading = (async () => {
      while (got.length < 10) {
        const reply = await reader.xRead({ key: 'node:blocked', id: last }, { BLOCK: 5000 });
        for (const entry of reply[0].messages) {
          got.push(entry.message.n);
          last = entry.id;
        }
      }
    })();
    await sleep(200);
    for (let i = 0; i < 10; i++) await writer.xAdd('node:blocked', '*', { n: String(i) });
    await reading;
    assert.deepEqual(got, [...Array(10).keys()].map(String));
    assert.equal(await reader.xRead({ key: 'node:blocked', id: '$' }, { BLOCK: 50 }), null);
    await reader.close();
    await writer.close();
  },

  async a_restarted_server_is_found_again(port) {
    const [redis, subscriber] = [await client(port), await client(port)];
    const got = [];
    await subscriber.subscribe('node.again', message => got.push(message));
    const id = await redis.xAdd('node:restart', '*', { n: '1' });
    await restartServer();
    const entries = await redis.xRange('node:restart', '-', '+');
    assert.deepEqual(entries.map(entry => entry.id), [id]);
    await eventually(async () => (await redis.publish('node.again', 'back')) === 1);
    await eventually(() => got.includes('back'));
    await redis.close();
    await subscriber.close();
  },
};

await main(cases);
