// The cloudevents package: what its own HTTP transport emits, and what it makes of our replies.
// Run as: node cloudevents.mjs PORT CASE, with SPOOR_HTTP_PORT.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { main } from './node_case.mjs';

const { CloudEvent, HTTP, Mode, emitterFor, httpTransport } =
  createRequire(process.env.SPOOR_NODE_MODULES + '/')('cloudevents');
const base = `http://127.0.0.1:${process.env.SPOOR_HTTP_PORT}/v1/events`;
const made = (id, more) => new CloudEvent({ id, source: '/node', type: 'node.made', ...more });

async function get(path, accept) {
  const response = await fetch(base + path, { headers: { accept } });
  assert.equal(response.status, 200);
  return { headers: Object.fromEntries(response.headers), body: await response.text() };
}

// The event as the package reads it from our structured reply.
async function readBack(id) {
  const event = HTTP.toEvent(await get(`/${encodeURIComponent(id)}`, 'application/cloudevents+json'));
  assert(event instanceof CloudEvent && event.validate());
  return event;
}

async function goesAround(mode, prefix) {
  const emit = emitterFor(httpTransport(base), { mode });
  const time = '2026-11-20T05:49:12.123Z';
  const events = [
    made(`${prefix}-json`, { data: { text: 'é ü €', list: [1, null, 2.5] }, time, subject: 'orders/7' }),
    made(`${prefix}-text`, { data: 'plain text, two\nlines', datacontenttype: 'text/plain' }),
    made(`${prefix}-schema`, { dataschema: 'https://example.com/schema', data: [] }),
    made(`${prefix}-more`, { data: {}, correlationid: 'run-1', causationid: 'cause', stream: 's 1',
      count: 7, flag: true }),
    made(`${prefix}-latin`, { data: {}, subject: 'é ü' }),
    made(`${prefix}-bytes`, { data: Buffer.from([0, 255, 10, 128]), datacontenttype: 'image/png' }),
  ];
  // In binary mode the package's transport cannot send an event without data.
  if (mode === Mode.STRUCTURED) events.push(made(`${prefix}-none`, {}));
  for (const event of events) {
    const reply = await emit(event);
    const answer = JSON.parse(reply.body);
    assert.equal(answer.id, event.id, reply.body);
    assert(answer.position > 0);
    const back = await readBack(event.id);
    for (const name of ['id', 'source', 'type', 'time', 'subject', 'datacontenttype', 'dataschema',
      'correlationid', 'causationid', 'stream']) {
      if (event[name] !== undefined) assert.equal(back[name], event[name], `${event.id} ${name}`);
    }
    if (event.id.endsWith('bytes')) {
      assert.deepEqual(Buffer.from(back.data_base64, 'base64'), Buffer.from([0, 255, 10, 128]));
    } else {
      assert.deepEqual(back.data, event.data, event.id);
    }
    // A header does not say that something is a number.
    if (event.count) assert.equal(String(back.count), '7');
    assert.match(back.sequence, /^\d{20}$/);
  }
}

const cases = {
  structured_events_go_around: () => goesAround(Mode.STRUCTURED, 'structured'),
  binary_events_go_around: () => goesAround(Mode.BINARY, 'binary'),

  async our_batches_are_read() {
    const emit = emitterFor(httpTransport(base), { mode: Mode.STRUCTURED });
    for (let n = 0; n < 5; n++) await emit(made(`batch-${n}`, { type: 'node.batch', data: { n } }));
    const events = HTTP.toEvent(await get('?type=node.batch', 'application/cloudevents-batch+json'));
    assert.deepEqual(events.map(event => event.data.n), [0, 1, 2, 3, 4]);
    assert(events.every(event => event.validate()));
    const none = HTTP.toEvent(await get('?type=node.nothing', 'application/cloudevents-batch+json'));
    assert.deepEqual(none, []);
  },

  async an_event_is_emitted_once() {
    const emit = emitterFor(httpTransport(base), { mode: Mode.BINARY });
    const event = made('twice', { data: { n: 1 } });
    const [first, second] = [await emit(event), await emit(event)].map(reply => JSON.parse(reply.body));
    assert.equal(first.position, second.position);
    assert.equal(second.duplicate, true);
  },
};

await main(cases);
