// The running device against a mailbox that lies: each test is one conversation, and what must not change does not.
// Run: node --test test/device.test.js
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { agree, agreementPublic } from '../src/agreement.js';
import { concat, sha256 } from '../src/bytes.js';
import { encode } from '../src/cbor.js';
import * as channels from '../src/channel.js';
import { sealEnvelope } from '../src/cose.js';
import { Device } from '../src/device/device.js';
import { Store } from '../src/device/store.js';
import { NO_REPORTS } from '../src/device/reports.js';
import { parseFrame, plainFrame, Raw, sequence, TYPE, writeItem } from '../src/frames.js';
import { signingKey, thumbprint, toCoseKey } from '../src/keys.js';
import { KIND } from '../src/kinds.js';
import { decode } from '../src/cbor.js';
import { deriveKeys, frameTag } from '../src/session.js';
import { digestOf } from '../src/state.js';

const key = (/** @type {string} */ name) => signingKey(sha256(new TextEncoder().encode(`postern test key ${name}`)));
const [root, recovery, writer, mailbox, other] = ['root', 'recovery', 'writer', 'mailbox', 'other'].map(key);
const NONE = new Uint8Array(0);
const URL = 'https://mailbox.example';
const SECOND = 'https://second.example';
const channel = { genesis: thumbprint(root.publicKey), tenant: 'acme', device: 'press-7', incarnation: new Uint8Array(16).fill(7) };

/** Bundle 1 of these tests. */
function firstBundle() {
  /** @type {[bigint, any][]} */
  const fields = [
    [1n, toCoseKey(root.publicKey)], [2n, toCoseKey(recovery.publicKey)],
    [3n, new Map([['acme', [1n, toCoseKey(writer.publicKey)]]])], [4n, [[toCoseKey(mailbox.publicKey), [URL, SECOND]]]], [5n, []],
  ];
  const position = { kind: KIND.bundle, epoch: 0n, seq: 1n, base: 0n, digest: NONE };
  return sealEnvelope(root, position, channels.aadTrust(KIND.bundle, channel.genesis), encode(new Map(fields))).bytes;
}

/** A snapshot or delta of the writer, or of whoever signs. @param {bigint} kind @param {[bigint, bigint, bigint]} place @param {Record<string, bigint>} values @param {any} [signer] @param {any[]} [lineage] @param {any} [of] */
function revision(kind, [epoch, seq, base], values, signer = writer, lineage = [], of = channel) {
  const { table, root: digest } = digestOf(new Map(Object.entries(values)));
  const payload = kind === KIND.snapshot ? [table, lineage] : [new Map(Object.entries(values))];
  const aad = channels.aadPlane(kind, of, 0n);
  return writeItem(0n, sealEnvelope(signer, { kind, epoch, seq, base, digest }, aad, encode(payload)).bytes);
}
const snapshot = (/** @type {bigint} */ epoch, /** @type {bigint} */ seq, /** @type {Record<string, bigint>} */ values, /** @type {any[]} */ ...rest) =>
  revision(KIND.snapshot, [epoch, seq, 0n], values, ...rest);

/** A mailbox that answers polls from a script, one list of items a poll. */
class Mailbox {
  /** @param {any[][]} script @param {(frame: Uint8Array) => Uint8Array} [spoil] what happens to answers on the way */
  constructor(script, spoil = (frame) => frame) {
    Object.assign(this, { script, spoil, secret: sha256(NONE), bodies: new Map(), needs: 0, posted: [], urls: [], named: [] });
    /** @type {any} */ this.device = null;
    /** @type {any} */ this.keys = null;
  }

  /** @param {string} url @param {Uint8Array} frame @returns {Promise<Uint8Array>} */
  async exchange(url, frame) {
    const { type, body } = parseFrame(frame, 'up');
    const self = /** @type {any} */ (this);
    if (type === TYPE.hello) self.urls.push(url);
    if (type === TYPE.poll) self.named.push(body.receipt);
    if (type === TYPE.ask) return plainFrame(TYPE.challenge, [new Uint8Array(16), agreementPublic(self.secret), thumbprint(mailbox.publicKey)]);
    if (type === TYPE.hello) return this.welcome(body);
    if (type === TYPE.post) self.posted.push(...body.items);
    if (type === TYPE.need) self.needs += 1;
    if (type === TYPE.fetch) return this.reply(TYPE.bodies, body.counter, body.wants.map((/** @type {any} */ want) => {
      const bytes = self.bodies.get(String(want.digest));
      return [want.digest, BigInt(bytes.length), 0n, bytes];
    }));
    if (type !== TYPE.poll) return this.reply(TYPE.answer, body.counter, []);
    const items = self.script.shift();
    if (!items || self.script.length === 0) this.device.stopped = true;
    return self.spoil(this.reply(TYPE.answer, body.counter, items ?? []));
  }

  /** @param {any} body */
  welcome({ channel: place, hello }) {
    const secret = /** @type {any} */ (this).secret;
    const [challenge, ephemeral] = decode(decode(hello)[2]);
    const meeting = { mailbox: thumbprint(mailbox.publicKey), challenge, deviceEphemeral: ephemeral, mailboxEphemeral: agreementPublic(secret), place };
    this.keys = deriveKeys(meeting, agree(secret, ephemeral));
    const position = { kind: KIND.welcome, epoch: 0n, seq: 0n, base: 0n, digest: this.keys.transcript };
    const payload = encode([new Uint8Array(4), 1n, 3600n]);
    return plainFrame(TYPE.welcome, [new Raw(sealEnvelope(mailbox, position, channels.aadDevice(KIND.welcome, channel), payload).bytes)]);
  }

  /** @param {number} type @param {bigint} counter @param {any[]} items */
  reply(type, counter, items) {
    const bytes = concat(Uint8Array.of(type), new Uint8Array(4), encode(counter), sequence(items));
    return concat(bytes, frameTag(this.keys.keyDown, bytes));
  }

  close() {}
}

/** Lets a device live through a script. @param {any[][]} script @param {(frame: Uint8Array) => Uint8Array} [spoil] */
async function live(script, spoil) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-js-'));
  const { id: place } = channels.channelId(channel.genesis, 'acme', 'press-7');
  Store.create(folder, {
    ...channel, recovery: thumbprint(recovery.publicKey), certificate: null, seed: sha256(NONE), place, joining: null,
    bundles: [firstBundle()], head: null, received: null, applied: null, frozen: null, bodies: [], accepted: null, evidence: null,
    rotation: null, receipts: [], reports: NO_REPORTS(),
  }).commit();
  try {
    const device = new Device(folder, { holdS: 0 }, () => {});
    const carrier = /** @type {any} */ (new Mailbox(script, spoil));
    for (const values of [{ a: 1n }, { a: 2n }, { a: 3n }]) {
      for (const body of digestOf(new Map(Object.entries(values))).bodies.values()) carrier.bodies.set(String(sha256(body)), body);
    }
    carrier.device = device;
    device.transport = carrier;
    await device.run();
    const { head, frozen, reports, evidence } = /** @type {any} */ (Store.open(folder)).record;
    const listed = reports.entries.filter((/** @type {any} */ entry) => entry.list === 1n).map((/** @type {any} */ entry) => Number(entry.value[3]));
    return { at: head && [head.epoch, head.seq], frozen, evidence, rejects: device.rejects, listed, needs: carrier.needs, urls: carrier.urls, named: carrier.named };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const FIRST = snapshot(5n, 5n, { a: 1n });

test('a snapshot and the delta after it are accepted', async () => {
  const { at, rejects } = await live([[FIRST, revision(KIND.delta, [5n, 6n, 5n], { a: 2n })]]);
  assert.deepEqual([at, rejects], [[5n, 6n], {}]);
});

/** @type {[string, any[], string, number[]][]} */
const REFUSALS = [
  ['a lower epoch is refused and listed', [snapshot(4n, 9n, { a: 2n })], 'epoch-stale', [62]],
  ['an epoch whose writer does not know the head is refused and listed', [snapshot(6n, 1n, { a: 2n })], 'writer-behind', [64]],
  ['a second content of one number is refused and listed', [snapshot(5n, 5n, { a: 2n })], 'equivocation', [66]],
  ['a stranger is refused and not listed', [snapshot(5n, 6n, { a: 2n }, other)], 'key-unknown', []],
  ['a revision of another device is refused and not listed', [snapshot(5n, 6n, { a: 2n }, writer, [], { ...channel, device: 'press-8' })], 'signature-invalid', []],
  ['a revision of an earlier life is refused and not listed', [snapshot(5n, 6n, { a: 2n }, writer, [], { ...channel, incarnation: new Uint8Array(16) })], 'signature-invalid', []],
  ['a delta with a gap before it asks for a snapshot and is not listed', [revision(KIND.delta, [5n, 8n, 7n], { a: 2n })], 'base-newer', []],
  ['a delta of another result is refused and listed', [revision(KIND.delta, [5n, 6n, 5n], { 'b/c': 2n })], 'digest-mismatch', [52]],
];
for (const [name, items, reject, listed] of REFUSALS) {
  test(name, async () => {
    const found = await live([[FIRST], items]);
    assert.deepEqual([found.at, found.rejects, found.listed], [[5n, 5n], { [reject]: 1 }, listed]);
    assert.equal(found.needs, reject === 'base-newer' ? 1 : 0);
    assert.equal(found.evidence !== null, listed[0] === 64 || listed[0] === 66);
  });
}

test('a frozen epoch stays frozen, and a next one that knows the head ends it', async () => {
  const forged = [snapshot(5n, 5n, { a: 2n }), snapshot(5n, 6n, { a: 3n })];
  const frozen = await live([[FIRST], forged]);
  assert.deepEqual([frozen.at, frozen.rejects], [[5n, 5n], { equivocation: 1, 'epoch-frozen': 1 }]);
  const { root: digest } = digestOf(new Map([['a', 1n]]));
  const { at } = await live([[FIRST], forged, [snapshot(6n, 1n, { a: 3n }, writer, [[5n, 5n, digest]])]]);
  assert.deepEqual(at, [6n, 1n]);
});

test('an answer with one byte changed is refused by its tag and changes nothing', async () => {
  const { at, rejects } = await live([[FIRST]], (frame) => frame.map((byte, index) => (index === 20 ? byte ^ 1 : byte)));
  assert.deepEqual([at, rejects], [null, { 'session-mac': 1 }]);
});

test('an answer to another request is refused and changes nothing', async () => {
  /** @type {Uint8Array | null} */
  let first = null;
  const { at, rejects } = await live([[], [FIRST]], (frame) => (first ??= frame));
  assert.deepEqual([at, rejects], [null, { 'answer-mismatch': 1 }]);
});

const hint = (/** @type {string} */ url) => new Map([[3n, url]]);

test('a move to a listed mailbox is followed, and a second one within a minute is not', async () => {
  const { urls, at } = await live([[hint(SECOND)], [hint(URL)], [FIRST]]);
  assert.deepEqual([urls, at], [[URL, SECOND], [5n, 5n]]);
});

test('a move to a mailbox that the bundle does not list is not followed', async () => {
  const { urls, at } = await live([[hint('https://elsewhere.example')], [FIRST]]);
  assert.deepEqual([urls, at], [[URL], [5n, 5n]]);
});

/** A receipt of the mailbox. @param {bigint} number @param {bigint} code @param {Uint8Array} [place] */
function receipt(number, code, place = channels.channelId(channel.genesis, 'acme', 'press-7').id) {
  const position = { kind: KIND.receipt, epoch: 3n, seq: number, base: 0n, digest: sha256(NONE) };
  const aad = channels.aadTenant(KIND.receipt, channel.genesis, 'acme');
  return writeItem(null, sealEnvelope(mailbox, position, aad, encode([place, code])).bytes);
}

test('a receipt is named in the next poll and in no later one', async () => {
  const { named, at } = await live([[receipt(4n, 0n)], [], [FIRST]]);
  assert.deepEqual([named, at], [[null, [3n, 4n], null], [5n, 5n]]);
});

test('a receipt about another channel is refused and not named', async () => {
  const { named, rejects } = await live([[receipt(4n, 0n, new Uint8Array(16))], []]);
  assert.deepEqual([named, rejects], [[null, null], { 'not-admitted': 1 }]);
});

test('a receipt under a known number with other content is refused', async () => {
  const { rejects } = await live([[receipt(4n, 0n)], [receipt(4n, 113n)], []]);
  assert.deepEqual(rejects, { equivocation: 1 });
});
