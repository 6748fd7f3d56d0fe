// A small trust domain for tests: keys, a writer that decides, and a mailbox over HTTP that can be told to lie.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { concat, h, toHex } from '../src/bytes.js';
import { externalAad } from '../src/channel.js';
import { encode } from '../src/cbor.js';
import { seal, verifyEnvelope } from '../src/cose.js';
import { Loop } from '../src/device/loop.js';
import { openStore } from '../src/device/store.js';
import { Transport } from '../src/device/transport.js';
import { decodeDurable, encodeDurable, newDurable } from '../src/engine-store.js';
import { FRAME, isSessionType, readPlainFrame, splitSessionFrame, writeChunk, writeItem, writePlainFrame, writeSessionFrame } from '../src/frames.js';
import { Agreement, Signer, coseKey } from '../src/keys.js';
import { ACTUAL, DESIRED, KIND } from '../src/kinds.js';
import { Served, ServedSession, readHello } from '../src/mailbox.js';
import { digestState } from '../src/state.js';

const WAIT_MS = 20000;
/** The epoch in which every test begins. */
export const EPOCH = 1780000000n << 20n;

export const random = (/** @type {number} */ length) => new Uint8Array(randomBytes(length));
const EMPTY = new Uint8Array();

/** Who is who. */
export class Domain {
  constructor() {
    this.root = new Signer(random(32));
    this.recovery = new Signer(random(32));
    this.writer = new Signer(random(32));
    this.mailbox = new Signer(random(32));
    this.stranger = new Signer(random(32));
    this.deviceSeed = random(32);
    this.device = new Signer(this.deviceSeed);
    this.place = { genesis: this.root.thumbprint, tenant: 'acme', device: 'press-7', incarnation: random(16) };
  }

  /** @param {{number?: bigint, before?: Uint8Array, by?: Signer, urls: string[]}} bundle */
  bundle({ number = 1n, before = EMPTY, by = this.root, urls }) {
    const payload = encode(new Map(/** @type {[bigint, any][]} */ ([
      [1n, coseKey(this.root.publicKey)],
      [2n, coseKey(this.recovery.publicKey)],
      [3n, new Map([['acme', [1n, coseKey(this.writer.publicKey)]]])],
      [4n, [[coseKey(this.mailbox.publicKey), urls]]],
      [5n, []],
    ])));
    const position = { kind: KIND.bundle, epoch: 0n, seq: number, base: number - 1n, digest: before };
    return seal(position, payload, externalAad('trust', KIND.bundle, this.place, null), by);
  }

  /**
   * @param {bigint} kind @param {bigint} epoch @param {bigint} seq @param {bigint} base @param {Uint8Array} digest @param {any} payload
   * @param {{by?: Signer, place?: any, plane?: bigint}} [how]
   */
  sealed(kind, epoch, seq, base, digest, payload, { by = this.writer, place = this.place, plane = DESIRED } = {}) {
    return seal({ kind, epoch, seq, base, digest }, encode(payload), externalAad('plane', kind, place, plane), by).envelope;
  }
}

/** The desired state, as its writer decides it. */
export class Plane {
  /** @param {Domain} domain @param {bigint} epoch */
  constructor(domain, epoch) {
    this.domain = domain;
    this.epoch = epoch;
    this.seq = 0n;
    /** @type {Map<string, any>} */
    this.state = new Map();
    /** The deltas behind each number. @type {Map<bigint, Uint8Array>} */
    this.deltas = new Map();
    /** @type {any[]} */
    this.lineage = [];
  }

  /** @param {Record<string, any>} sets */
  decide(sets) {
    for (const [path, value] of Object.entries(sets)) this.state.set(path, value);
    this.seq += 1n;
    const { digest } = digestState(this.state);
    const base = this.seq - 1n;
    const payload = [new Map(Object.entries(sets))];
    if (base > 0n) this.deltas.set(base, this.domain.sealed(KIND.delta, this.epoch, this.seq, base, digest, payload));
  }

  get digest() {
    return digestState(this.state).digest;
  }

  snapshot(how = {}) {
    const { digest, sections } = digestState(this.state);
    return this.domain.sealed(KIND.snapshot, this.epoch, this.seq, 0n, digest, [sections, this.lineage], how);
  }

  /** A further epoch, as after a restart of the writer. */
  restart() {
    this.lineage = [[this.epoch, this.seq, this.digest]];
    this.epoch += 1n << 20n;
    this.seq = 1n;
    this.deltas.clear();
  }
}

/** What a mailbox says that does not lie; `lie` may put something else in the place of each answer. */
export class Mailbox {
  /** @param {Domain} domain @param {Plane} plane */
  constructor(domain, plane) {
    this.domain = domain;
    this.plane = plane;
    /** What else goes into answers to polls, once. @type {[bigint | null, Uint8Array][]} */
    this.items = [];
    /** Envelopes that devices posted. @type {any[]} */
    this.posted = [];
    /** @type {((request: {name: string, counter: number, session?: any}, honest: Uint8Array) => any) | null} */
    this.lie = null;
    /** Told of each envelope that was posted. */
    this.heard = () => {};
    this.asks = 0;
    this.ephemeral = new Agreement();
    this.challenge = random(16);
    /** @type {Set<() => void>} */
    this.held = new Set();
    this.server = createServer((request, response) => this.serve(request, response));
  }

  async listen() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', () => resolve(undefined)));
    this.url = `http://127.0.0.1:${/** @type {any} */ (this.server.address()).port}`;
  }

  close() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }

  /** Polls that are held are answered now. */
  release() {
    for (const answer of [...this.held]) answer();
  }

  /** @param {any} request @param {any} response */
  async serve(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const bytes = new Uint8Array(Buffer.concat(parts));
    const { name, counter, honest, session } = await this.answer(bytes);
    const given = this.lie ? this.lie({ name, counter, session }, honest) : honest;
    if (given instanceof Uint8Array) respond(response, 200, 'application/octet-stream', given);
    else given(response);
  }

  /** @param {Uint8Array} bytes @returns {Promise<any>} */
  async answer(bytes) {
    if (!isSessionType(bytes[0])) return this.greet(readPlainFrame(bytes, 'up'), bytes);
    const { session } = splitSessionFrame(bytes);
    const held = this.sessions?.sessions.find(({ id }) => toHex(id) === toHex(session));
    if (!held) return { name: 'session', counter: 0, honest: writePlainFrame(FRAME.refused, encode(102n)) };
    const frame = /** @type {Served} */ (this.sessions).up(bytes);
    const name = { 0: 'poll', 2: 'post', 3: 'need', 4: 'fetch', 6: 'put' }[/** @type {0} */ (frame.type)];
    const body = await this.bodyFor(name, frame);
    const honest = this.seal(name === 'fetch' ? FRAME.bodies : FRAME.answer, frame.counter, body);
    return { name, counter: frame.counter, honest };
  }

  /** @param {number} type @param {number} counter @param {Uint8Array} body */
  seal(type, counter, body) {
    return writeSessionFrame(type, this.id, this.keys.keyDown, encode(BigInt(counter)), body);
  }

  /** @param {any} frame @param {Uint8Array} bytes */
  greet(frame, bytes) {
    if (frame.type === FRAME.ask) {
      this.asks += 1;
      this.challenge = random(16);
      const honest = this.challengeFrame(this.domain.mailbox.thumbprint);
      return { name: 'ask', counter: 0, honest };
    }
    const greeters = [{ role: /** @type {'device'} */ ('device'), id: frame.channel, place: this.domain.place, key: this.domain.device.publicKey }];
    const issued = [{ challenge: this.challenge, secret: this.secret }];
    this.keys = readHello(bytes, issued, this.domain.mailbox.thumbprint, greeters);
    this.id = random(4);
    this.sessions = new Served([new ServedSession(this.id, this.keys.keyUp)]);
    return { name: 'hello', counter: 0, honest: this.welcome() };
  }

  /** @param {Uint8Array} thumbprint */
  challengeFrame(thumbprint) {
    this.secret = random(32);
    const ephemeral = new Agreement(this.secret).publicKey;
    return writePlainFrame(FRAME.challenge, encode(this.challenge), encode(ephemeral), encode(thumbprint));
  }

  /** @param {Signer} [by] @param {any} [place] */
  welcome(by = this.domain.mailbox, place = this.domain.place) {
    const kind = KIND['session-welcome'];
    const payload = encode([this.id, 1n, 3600n]);
    const position = { kind, epoch: 0n, seq: 0n, base: 0n, digest: this.keys.transcript };
    return writePlainFrame(FRAME.welcome, seal(position, payload, externalAad('device', kind, place, null), by).envelope);
  }

  /** @param {string} name @param {any} frame @returns {Promise<Uint8Array>} */
  async bodyFor(name, frame) {
    if (name === 'post') this.take(frame.items);
    if (name === 'need') return writeItem(DESIRED, this.plane.snapshot());
    if (name === 'fetch') return concat(...this.chunks(frame.wants));
    if (name !== 'poll') return EMPTY;
    if (this.news(frame).length === 0) await this.hold(frame.holdS);
    const news = this.news(frame);
    this.items = [];
    return concat(...news.map(([plane, envelope]) => writeItem(plane, envelope)));
  }

  /** @param {number} seconds */
  hold(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => answer(), seconds * 1000);
      const answer = () => {
        clearTimeout(timer);
        this.held.delete(answer);
        resolve(undefined);
      };
      this.held.add(answer);
    });
  }

  /** What is newer than the poll. @param {any} poll @returns {[bigint | null, Uint8Array][]} */
  news({ desired }) {
    const { plane } = this;
    if (plane.seq === 0n || (desired.epoch === plane.epoch && desired.seq >= plane.seq)) return this.items;
    const deltas = [];
    for (let base = desired.seq; base < plane.seq && plane.deltas.has(base); base += 1n) deltas.push(/** @type {Uint8Array} */ (plane.deltas.get(base)));
    const continues = desired.epoch === plane.epoch && BigInt(deltas.length) === plane.seq - desired.seq;
    const envelopes = continues ? deltas : [plane.snapshot()];
    return [...this.items, ...envelopes.map((envelope) => /** @type {[bigint, Uint8Array]} */ ([DESIRED, envelope]))];
  }

  /** Chunks of the bodies that are wanted, as many as fit into the frame. @param {{digest: Uint8Array, offset: bigint}[]} wants */
  chunks(wants) {
    const bodies = [...digestState(this.plane.state).bodies.values()];
    const chunks = [];
    let room = 45000;
    for (const { digest, offset } of wants) {
      const body = bodies.find((one) => toHex(h(one)) === toHex(digest));
      if (!body || room < 20100) continue;
      chunks.push(writeChunk({ digest, size: body.length, offset: Number(offset), bytes: body.subarray(Number(offset), Number(offset) + 20000) }));
      room -= 20100;
    }
    return chunks;
  }

  /** Acknowledges reports. @param {{plane: bigint, envelope: Uint8Array}[]} items */
  take(items) {
    for (const { plane, envelope } of items) {
      const verified = verifyEnvelope(envelope, { role: 'device', plane, place: this.domain.place, keys: [this.domain.device.publicKey] });
      this.posted.push(verified);
      this.heard();
      if (verified.kind !== KIND.report || plane !== ACTUAL) continue;
      this.items.push([DESIRED, this.domain.sealed(KIND['report-ack'], verified.epoch, verified.seq, 0n, EMPTY, [])]);
      this.release();
    }
  }
}

/** @param {any} response @param {number} status @param {string} type @param {Uint8Array} body */
export function respond(response, status, type, body) {
  response.writeHead(status, { 'content-type': type, 'content-length': body.length });
  response.end(body);
}

/** A domain, a mailbox and a device that runs in a folder of its own. */
export class World {
  async begin({ decides = true } = {}) {
    this.dir = mkdtempSync(join(tmpdir(), 'postern-device-'));
    this.domain = new Domain();
    this.plane = new Plane(this.domain, EPOCH);
    this.mailbox = new Mailbox(this.domain, this.plane);
    await this.mailbox.listen();
    this.bundle = this.domain.bundle({ urls: [/** @type {string} */ (this.mailbox.url)] });
    const { place, deviceSeed, recovery } = this.domain;
    this.store = openStore(this.dir);
    this.store.save(encodeDurable(newDurable({
      ...place, recovery: recovery.thumbprint, seed: deviceSeed, bundle: this.bundle.envelope, site: [[this.mailbox.url], null],
    })));
    if (decides) this.plane.decide({ 'fan/speed': 1n });
    this.start();
    if (decides) await this.applies(1);
    return this;
  }

  start() {
    /** @type {any[]} */
    this.events = [];
    /** @type {Set<() => void>} */
    this.waiting = new Set();
    const looks = () => [...this.waiting].forEach((look) => look());
    this.mailbox.heard = looks;
    this.loop = new Loop(this.store, new Transport({ authorities: [] }), {
      event: (event) => {
        this.events.push(event);
        looks();
      },
      holdS: 5,
      rotate: false,
    });
    this.running = this.loop.run();
  }

  async stop() {
    this.loop.stop();
    await this.running;
  }

  async end() {
    await this.stop();
    await this.mailbox.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Waits for an event that fits; an event came before it at least. @param {(event: any) => boolean} fits @param {string} what */
  event(fits, what) {
    return new Promise((resolve, reject) => {
      const came = () => this.events.map((event) => `${event.event} ${event.reason ?? event.why ?? ''}`);
      const timer = setTimeout(() => reject(new Error(`waited too long for ${what}; came: ${came()}`)), WAIT_MS);
      const look = () => {
        const found = this.events.find(fits);
        if (!found) return;
        clearTimeout(timer);
        this.waiting.delete(look);
        resolve(found);
      };
      this.waiting.add(look);
      look();
    });
  }

  /** @param {string} reason */
  refuses(reason) {
    return this.event((event) => event.event === 'reject' && event.reason === reason, `the reject ${reason}`);
  }

  /** @param {number | bigint} seq */
  applies(seq) {
    return this.event((event) => event.event === 'applied' && event.seq === BigInt(seq), `revision ${seq} applied`);
  }

  get durable() {
    return decodeDurable(/** @type {Uint8Array} */ (this.store.load()));
  }

  get desired() {
    return readFileSync(join(this.dir, 'desired.json'), 'utf8');
  }

  /** The next decision goes through. */
  async goesOn(speed = 9) {
    this.mailbox.lie = null;
    this.events.length = 0;
    this.plane.decide({ 'fan/speed': BigInt(speed) });
    this.mailbox.release();
    await this.applies(this.plane.seq);
    assert.equal(JSON.parse(this.desired).values['fan/speed'], speed);
  }
}
