// The running device against a mailbox that lies, in this process: node --test test/device.test.js
// Each refusal is counted, changes nothing, and the device goes on when the mailbox tells the truth again.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { concat } from '../src/bytes.js';
import { encode } from '../src/cbor.js';
import { FRAME, writeChunk, writeItem, writePlainFrame } from '../src/frames.js';
import { DESIRED, KIND } from '../src/kinds.js';
import { digestState } from '../src/state.js';
import { EPOCH, Mailbox, World, random, respond } from './world.js';

/** @param {any} [how] @returns {Promise<World>} */
async function world(how) {
  const made = await new World().begin(how);
  worlds.add(made);
  return made;
}

/** @type {Set<World>} */
const worlds = new Set();
after(async () => {
  for (const made of worlds) await made.end();
});

/** The last byte turned over. @param {Uint8Array} bytes */
function flipped(bytes) {
  const changed = Uint8Array.from(bytes);
  changed[changed.length - 1] ^= 1;
  return changed;
}

/** An answer with these items, under the right tag. @param {World} w @param {number} counter @param {...Uint8Array} items */
function answer(w, counter, ...items) {
  return w.mailbox.seal(FRAME.answer, counter, concat(...items));
}

/** Lies in answers to polls. @param {World} w @param {(counter: number, honest: Uint8Array) => any} lie */
function liesToPolls(w, lie) {
  w.mailbox.lie = ({ name, counter }, honest) => (name === 'poll' ? lie(counter, honest) : honest);
  w.mailbox.release();
}

/** A decision that the writer did not make known: base, number, content. @param {World} w @param {any} [how] */
function delta(w, { seq = w.plane.seq + 1n, base = w.plane.seq, epoch = EPOCH, speed = 7n, digest = undefined, ...how } = {}) {
  const state = new Map(w.plane.state).set('fan/speed', speed);
  const signed = digest ?? digestState(state).digest;
  return writeItem(DESIRED, w.domain.sealed(KIND.delta, epoch, seq, base, signed, [new Map([['fan/speed', speed]])], how));
}

/** A snapshot of one path. @param {World} w @param {{epoch: bigint, seq: bigint, lineage?: any[]}} how */
function snapshot(w, { epoch, seq, lineage = [] }) {
  const { digest, sections } = digestState(new Map(w.plane.state));
  return writeItem(DESIRED, w.domain.sealed(KIND.snapshot, epoch, seq, 0n, digest, [sections, lineage]));
}

/**
 * Each way to lie to a poll: its reject, and the answer in the place of the honest one.
 * @type {[string, string, (w: World, counter: number, honest: Uint8Array) => any][]}
 */
const LIES = [
  ['a tag with one bit turned over', 'session-mac', (w, counter, honest) => flipped(honest)],
  ['a body with one bit turned over', 'session-mac', (w, counter) => {
    const frame = answer(w, counter, delta(w));
    frame[40] ^= 1;
    return frame;
  }],
  ['the answer to an earlier poll', 'answer-mismatch', (w, counter) => answer(w, counter - 1)],
  ['the answer to a later poll', 'answer-mismatch', (w, counter) => answer(w, counter + 1)],
  ['an answer of another session', 'session-unknown', (w, counter, honest) => {
    const frame = Uint8Array.from(honest);
    frame[1] ^= 1;
    return frame;
  }],
  ['bodies in answer to a poll', 'answer-mismatch', (w, counter) => w.mailbox.seal(FRAME.bodies, counter, new Uint8Array())],
  ['a frame that goes up', 'frame-direction', (w, counter, honest) => concat(Uint8Array.of(FRAME.poll), honest.subarray(1))],
  ['an item that is no envelope', 'shape', (w, counter) => answer(w, counter, encode('no envelope'))],
  ['an answer cut under the right tag', 'cbor-truncated', (w, counter) => answer(w, counter, Uint8Array.of(0x82))],
  ['a hint that nobody knows', 'shape', (w, counter) => answer(w, counter, encode(new Map([[99n, 1n]])))],
  ['a body above 49152 bytes', 'oversize', () => concat(Uint8Array.of(FRAME.answer), new Uint8Array(60000))],
  ['a page', 'not-postern', () => (/** @type {any} */ response) => respond(response, 200, 'text/html', Buffer.from('<html>log in</html>'))],
  ['an empty answer', 'not-postern', () => new Uint8Array()],
  ['a frame under status 502', 'not-postern', (w, counter, honest) => (/** @type {any} */ response) => respond(response, 502, 'text/html', honest)],
  ['a decision of a stranger', 'key-unknown', (w, counter) => answer(w, counter, delta(w, { by: w.domain.stranger }))],
  ['a decision for another device', 'signature-invalid', (w, counter) => answer(w, counter, delta(w, { place: { ...w.domain.place, device: 'press-8' } }))],
  ['a decision of an earlier incarnation', 'signature-invalid', (w, counter) => {
    const place = { ...w.domain.place, incarnation: random(16) };
    return answer(w, counter, delta(w, { place }));
  }],
  ['a decision with another digest', 'digest-mismatch', (w, counter) => answer(w, counter, delta(w, { digest: random(32) }))],
  ['a decision of an earlier epoch', 'epoch-stale', (w, counter) => answer(w, counter, delta(w, { epoch: EPOCH - 1n, seq: 9n, base: 1n }))],
  ['a decision on another base', 'base-newer', (w, counter) => answer(w, counter, delta(w, { seq: 9n, base: 8n }))],
  ['a further epoch that does not know the head', 'writer-behind', (w, counter) => answer(w, counter, snapshot(w, { epoch: EPOCH + 9n, seq: 1n }))],
  ['a bundle of another root', 'bundle-root', (w, counter) => {
    const { envelope } = w.domain.bundle({ number: 2n, before: w.bundle.messageId, by: w.domain.stranger, urls: ['https://evil.example/'] });
    return answer(w, counter, writeItem(null, envelope));
  }],
  ['a bundle that follows another', 'bundle-chain', (w, counter) => {
    const { envelope } = w.domain.bundle({ number: 2n, before: random(32), urls: ['https://evil.example/'] });
    return answer(w, counter, writeItem(null, envelope));
  }],
  ['the bundle that is held', 'bundle-stale', (w, counter) => answer(w, counter, writeItem(null, w.bundle.envelope))],
  ['a heartbeat of the mailbox', 'key-unknown', (w, counter) => {
    const heartbeat = [random(8), 1n, 0n, 0n, null, null];
    return answer(w, counter, writeItem(DESIRED, w.domain.sealed(KIND.heartbeat, 0n, 0n, 1n, new Uint8Array(), heartbeat, { by: w.domain.mailbox })));
  }],
];

describe('a mailbox that lies', { concurrency: 6 }, () => {
  for (const [what, reason, lie] of LIES) {
    test(`${what} is refused as ${reason}`, async () => {
      const w = await world();
      const { head, bundle, bodies } = w.durable;
      const desired = w.desired;
      liesToPolls(w, (counter, honest) => lie(w, counter, honest));
      await w.refuses(reason);
      assert.deepEqual({ head: w.durable.head, bundle: w.durable.bundle, bodies: w.durable.bodies }, { head, bundle, bodies });
      assert.equal(w.desired, desired);
      await w.goesOn();
    });
  }

  test('two contents under one number freeze the epoch, and a further one counts', async () => {
    const w = await world();
    const { head } = w.durable;
    liesToPolls(w, (counter) => answer(w, counter, forked(w)));
    await w.refuses('equivocation');
    assert.deepEqual(w.durable.head, head);
    assert.equal(w.durable.frozen, EPOCH);
    w.mailbox.lie = null;
    w.plane.restart();
    w.mailbox.release();
    await w.event((event) => event.event === 'applied' && event.epoch === w.plane.epoch, 'the further epoch');
    assert.equal(w.durable.frozen, null);
    assert.ok(w.mailbox.posted.some(({ kind }) => kind === KIND.evidence), 'evidence was posted');
  });

  test('an answer that is cut off is none', async () => {
    const w = await world();
    const before = w.durable.head;
    liesToPolls(w, (counter) => (/** @type {any} */ response) => {
      const whole = answer(w, counter, delta(w));
      response.writeHead(200, { 'content-length': whole.length });
      response.write(whole.subarray(0, whole.length - 9), () => response.destroy());
    });
    await w.event((event) => event.event === 'unreachable', 'the way that failed');
    assert.deepEqual(w.durable.head, before);
    await w.goesOn();
  });

  test('unsigned refusals for ever cost no state, and ever longer pauses', async () => {
    const w = await world();
    const before = w.durable.head;
    const asks = w.mailbox.asks;
    w.mailbox.lie = ({ name }, honest) => (name === 'ask' || name === 'hello' ? honest : writePlainFrame(FRAME.refused, encode(102n)));
    w.mailbox.release();
    const refusals = () => w.events.filter(({ event }) => event === 'refused');
    await w.event(() => refusals().length >= 3, 'three refusals');
    assert.ok(refusals().every(({ reason }) => reason === 'session-unknown'));
    assert.ok(w.mailbox.asks - asks <= 4, 'no session is opened in a tight loop');
    assert.deepEqual(w.durable.head, before);
    await w.goesOn();
  });

  test('a challenge of another mailbox is refused', async () => {
    const w = await world();
    w.mailbox.lie = ({ name }) => {
      if (name === 'ask') return w.mailbox.challengeFrame(w.domain.stranger.thumbprint);
      return writePlainFrame(FRAME.refused, encode(102n));
    };
    w.mailbox.release();
    await w.refuses('mailbox-mismatch');
    await w.goesOn();
  });

  test('a welcome that another key signed is refused', async () => {
    const w = await world();
    w.mailbox.lie = ({ name }, honest) => {
      if (name === 'hello') return w.mailbox.welcome(w.domain.stranger);
      return name === 'ask' ? honest : writePlainFrame(FRAME.refused, encode(102n));
    };
    w.mailbox.release();
    await w.refuses('key-unknown');
    await w.goesOn();
  });

  for (const [what, chunk] of /** @type {[string, (digest: Uint8Array) => Uint8Array][]} */ ([
    ['a body of other bytes', (digest) => writeChunk({ digest, size: 3, offset: 0, bytes: Uint8Array.of(1, 2, 3) })],
    ['a body that nobody asked for', () => writeChunk({ digest: random(32), size: 3, offset: 0, bytes: Uint8Array.of(1, 2, 3) })],
  ])) {
    test(`${what} is refused as body-mismatch`, async () => {
      const w = await world();
      const before = w.durable.head;
      w.plane.restart();
      w.plane.state.set('line/a', 5n);
      const { sections } = digestState(w.plane.state);
      w.mailbox.lie = ({ name, counter }, honest) => (name === 'fetch'
        ? w.mailbox.seal(FRAME.bodies, counter, chunk(/** @type {Uint8Array} */ (sections.get('line')))) : honest);
      w.mailbox.release();
      await w.refuses('body-mismatch');
      assert.deepEqual(w.durable.head, before);
      w.mailbox.lie = null;
      w.mailbox.release();
      await w.event((event) => event.event === 'applied' && event.epoch === w.plane.epoch, 'the snapshot');
    });
  }
});

/** The first number once more, with another content. @param {World} w */
function forked(w) {
  const { digest, sections } = digestState(new Map([['fan/speed', 7n]]));
  return writeItem(DESIRED, w.domain.sealed(KIND.snapshot, EPOCH, 1n, 0n, digest, [sections, []]));
}

describe('a mailbox that does not lie', { concurrency: 6 }, () => {
  test('the first snapshot is applied, and its store is private', async () => {
    const w = await world();
    assert.deepEqual(JSON.parse(w.desired).values, { 'fan/speed': 1 });
    assert.equal(statSync(join(w.dir, 'device.cbor')).mode & 0o777, 0o600);
  });

  test('decisions follow one another', async () => {
    const w = await world();
    for (const speed of [2, 3, 4]) await w.goesOn(speed);
  });

  test('a device that starts again goes on where it was', async () => {
    const w = await world();
    await w.stop();
    w.plane.decide({ 'fan/speed': 2n });
    w.start();
    await w.applies(2);
    assert.equal(w.durable.report.seq >= 1n, true);
  });

  test('a large state comes in pieces', async () => {
    const w = await world({ decides: false });
    for (const part of ['a', 'b', 'c']) w.plane.state.set(`s${part}/body`, random(30000));
    w.plane.decide({ 'fan/speed': 1n });
    w.mailbox.release();
    await w.applies(1);
    assert.equal(Object.keys(JSON.parse(w.desired).values).length, 4);
  });

  test('what a device applied stands in its report', async () => {
    const w = await world();
    await w.goesOn(2);
    const told = () => w.mailbox.posted.some(({ kind, payload }) => kind === KIND.report && payload.applied.seq === 2n);
    await w.event(told, 'the report');
    const report = w.mailbox.posted.filter(({ kind }) => kind === KIND.report).at(-1);
    assert.equal(report.payload.lists, undefined);
  });

  test('a bundle of the root counts', async () => {
    const w = await world();
    const { envelope } = w.domain.bundle({ number: 2n, before: w.bundle.messageId, urls: [/** @type {string} */ (w.mailbox.url)] });
    w.mailbox.items.push([null, envelope]);
    w.mailbox.release();
    await w.event((event) => event.event === 'bundle' && event.number === 2n, 'the bundle');
    await w.goesOn();
  });

  test('a mailbox that restarts is greeted again', async () => {
    const w = await world();
    w.mailbox.sessions = undefined;
    w.mailbox.server.closeAllConnections();
    await w.event(() => w.events.filter(({ event }) => event === 'session').length >= 2, 'another session');
    await w.goesOn();
  });

  test('sections of Postern itself are not given to the application', async () => {
    const w = await world();
    w.plane.decide({ 'intent/restart': 1n });
    w.mailbox.release();
    await w.applies(2);
    assert.deepEqual(Object.keys(JSON.parse(w.desired).values), ['fan/speed']);
  });

  test('from every store that was ever written the device goes on', async () => {
    const w = await world();
    /** @type {Uint8Array[]} */
    const written = [];
    const save = w.store.save.bind(w.store);
    w.store.save = (bytes) => {
      written.push(bytes);
      save(bytes);
    };
    for (const speed of [2, 3, 4]) await w.goesOn(speed);
    await w.stop();
    assert.ok(written.length >= 6, `${written.length} stores`);
    w.store.save = save;
    for (const bytes of written) {
      save(bytes);
      const posted = w.mailbox.posted.length;
      w.start();
      await w.event(() => w.durable.applied?.seq === 4n, 'the newest revision');
      await w.event(() => w.mailbox.posted.slice(posted).some(({ kind, payload }) => kind === KIND.report && payload.applied.seq === 4n), 'its report');
      await w.stop();
      assert.equal(JSON.parse(w.desired).values['fan/speed'], 4);
    }
    w.start();
  });

  test('a device goes where its mailbox sends it, when the bundle lists the place', async () => {
    const w = await world();
    const other = new Mailbox(w.domain, w.plane);
    await other.listen();
    const urls = /** @type {string[]} */ ([w.mailbox.url, other.url]);
    w.mailbox.items.push([null, w.domain.bundle({ number: 2n, before: w.bundle.messageId, urls }).envelope]);
    w.mailbox.release();
    await w.event((event) => event.event === 'bundle', 'the bundle');
    liesToPolls(w, (counter) => answer(w, counter, encode(new Map([[1n, 3600000n], [3n, urls[1]]]))));
    await w.event((event) => event.event === 'session' && event.url === urls[1], 'the session there');
    w.plane.decide({ 'fan/speed': 2n });
    other.release();
    await w.applies(2);
    await w.stop();
    await other.close();
  });

  test('a device does not go where the bundle lists nothing', async () => {
    const w = await world();
    liesToPolls(w, (counter) => answer(w, counter, encode(new Map([[3n, 'https://evil.example/']]))));
    await w.goesOn();
    assert.ok(!w.events.some(({ event }) => event === 'move'));
  });
});
