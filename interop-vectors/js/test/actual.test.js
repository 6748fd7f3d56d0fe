// The actual plane and the intents of a device, as its controller reads them: node --test test/actual.test.js

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judge } from '../src/acceptance.js';
import { decode, encode } from '../src/cbor.js';
import { verifyEnvelope } from '../src/cose.js';
import { applyDelta } from '../src/delta.js';
import { Actual } from '../src/engine-actual.js';
import { Actions } from '../src/engine-intents.js';
import { Reports } from '../src/engine-reports.js';
import { decodeDurable, encodeDurable, newDurable } from '../src/engine-store.js';
import { Signer } from '../src/keys.js';
import { ACTUAL, KIND } from '../src/kinds.js';
import { digestState } from '../src/state.js';
import { random } from './world.js';

const PLACE = { genesis: random(32), tenant: 'acme', device: 'press-7', incarnation: random(16) };

/** What a part of the engine needs of it. The store goes through its bytes at each start. */
class Device {
  actual = /** @type {Actual} */ (/** @type {any} */ (null));
  actions = /** @type {Actions} */ (/** @type {any} */ (null));

  constructor() {
    this.signer = new Signer(random(32));
    this.place = PLACE;
    this.now = 0;
    this.ports = { random: (/** @type {string} */ _, /** @type {number} */ length) => random(length), unixS: () => 0n };
    /** @type {Map<string, any>} */
    this.state = new Map();
    this.desired = { state: () => this.state };
    this.durable = newDurable({ ...PLACE, recovery: random(32), seed: random(32), bundle: random(9) });
    this.start();
  }

  start() {
    this.durable = decodeDurable(encodeDurable(this.durable));
    /** @type {any[]} */
    this.wanted = [];
    this.reports = new Reports(this.durable, 1n << 20n);
    const engine = /** @type {any} */ (this);
    this.actual = new Actual(engine);
    this.actions = new Actions(engine);
  }

  /** The item that it posts now. */
  post() {
    const item = this.actual.item();
    if (item) this.actual.posted();
    return item;
  }
}

/** A controller that reads the plane. */
class Reader {
  /** @param {Device} device */
  constructor(device) {
    this.keys = [device.signer.publicKey];
    /** @type {any} */
    this.head = null;
    this.state = new Map();
  }

  /** @param {Uint8Array | undefined} item @param {Device} device who has the bodies */
  read(item, device) {
    const [plane, envelope] = decode(/** @type {Uint8Array} */ (item));
    assert.equal(plane, ACTUAL);
    const verified = verifyEnvelope(encode(envelope), { role: 'device', plane, place: PLACE, keys: this.keys });
    const { kind, epoch, seq, base, digest, payload } = verified;
    const isSnapshot = kind === KIND.snapshot;
    const judged = judge(this.head, false, { isSnapshot, generation: 0n, epoch, seq, base, digest, lineage: payload.lineage ?? [] });
    if (judged.outcome === 'apply') this.state = applyDelta(this.state, payload, digest).state;
    if (judged.outcome === 'accept') this.state = bodies(payload.table, device);
    if (judged.outcome === 'apply' || judged.outcome === 'accept') this.head = { generation: 0n, epoch, seq, digest };
    return judged.reject ?? judged.outcome;
  }
}

/** @param {Map<string, {stored: Uint8Array}>} table @param {Device} device */
function bodies(table, device) {
  const bodies = [...table.values()].map(({ stored }) => decode(/** @type {Uint8Array} */ (device.actual.bodyOf(stored))));
  return new Map(bodies.flatMap((body) => [...body]));
}

describe('the actual plane', () => {
  test('a snapshot begins it, and deltas follow from what was acknowledged', () => {
    const device = new Device();
    const reader = new Reader(device);
    assert.equal(device.post(), undefined);
    device.actual.write(new Map([['a', 1n]]));
    assert.equal(reader.read(device.post(), device), 'accept');
    device.actual.write(new Map([['a', 2n]]));
    device.actual.write(new Map([['b', 3n]]));
    assert.equal(device.post(), undefined, 'one change is outstanding');
    device.actual.acknowledge(reader.head);
    assert.equal(reader.read(device.post(), device), 'apply');
    assert.deepEqual(reader.state, new Map([['a', 2n], ['b', 3n]]));
    assert.equal(reader.head.seq, 3n);
  });

  test('a change is posted again after a minute', () => {
    const device = new Device();
    device.actual.write(new Map([['a', 1n]]));
    const item = device.post();
    device.now = 59999;
    assert.equal(device.post(), undefined);
    device.now = 60000;
    assert.deepEqual(device.post(), item);
  });

  test('a value that is there already is no decision', () => {
    const device = new Device();
    device.actual.write(new Map([['a', 1n]]));
    device.actual.write(new Map([['a', 1n]]));
    assert.equal(device.actual.head?.seq, 1n);
  });

  test('each start opens an epoch that covers the one before', () => {
    const device = new Device();
    const reader = new Reader(device);
    device.actual.write(new Map([['a', 1n]]));
    reader.read(device.post(), device);
    for (let start = 0; start < 70; start += 1) device.start();
    assert.equal(device.durable.actual?.lineage.length, 64);
    assert.equal(reader.read(device.post(), device), 'accept');
    assert.deepEqual(reader.state, new Map([['a', 1n]]));
  });

  test('evidence about another history leads to an epoch that names its head, once', () => {
    const device = new Device();
    device.actual.write(new Map([['a', 1n]]));
    const reader = new Reader(device);
    const state = new Map([['a', 9n]]);
    reader.head = { generation: 0n, epoch: 5n << 20n, seq: 7n, digest: digestState(state).digest };
    device.actual.takeEvidence(reader.head);
    const { epoch } = /** @type {any} */ (device.actual.head);
    device.actual.takeEvidence(reader.head);
    assert.equal(device.actual.head?.epoch, epoch);
    assert.equal(reader.read(device.post(), device), 'accept');
  });

  test('who wants a snapshot gets one of the newest state', () => {
    const device = new Device();
    const reader = new Reader(device);
    device.actual.write(new Map([['a', 1n]]));
    reader.read(device.post(), device);
    device.actual.acknowledge(reader.head);
    device.actual.write(new Map([['a', 2n]]));
    device.post();
    device.actual.wantSnapshot();
    assert.equal(device.post(), undefined, 'one in five seconds');
    device.now = 5000;
    assert.equal(reader.read(device.post(), device), 'accept');
    assert.deepEqual(reader.state, new Map([['a', 2n]]));
  });
});

describe('intents', () => {
  test('the first revision is only recorded, and a rise acts once', () => {
    const device = new Device();
    device.state = new Map([['intent/go', 4n]]);
    device.actions.judge();
    assert.deepEqual(device.wanted, []);
    device.state = new Map([['intent/go', 5n]]);
    device.actions.judge();
    device.actions.judge();
    assert.deepEqual(device.wanted, [{ kind: 'act', path: 'intent/go', value: 5n }]);
    device.actions.ended('intent/go', 5n, 0, 'done');
    assert.deepEqual(device.durable.lists[4], [
      ['intent/go', 4n, 0n], ['intent/go', 5n, 1n], ['intent/go', 5n, 5n, [0n, 'done']],
    ]);
    assert.deepEqual(device.durable.actual?.state, new Map([['intent/go', 5n]]));
  });

  test('an action whose end nobody saw is interrupted, and not begun again', () => {
    const device = new Device();
    device.actions.judge();
    device.state = new Map([['intent/go', 1n]]);
    device.actions.judge();
    device.start();
    device.actions.judge();
    assert.deepEqual(device.wanted, []);
    assert.deepEqual(device.durable.lists[4].at(-1), ['intent/go', 1n, 7n]);
  });
});
