// A device without network, clock, disk or luck: what comes in changes its record, what is due goes out. Whoever drives it
// tells the time, sends what it asks to send, and brings the answers; `child/conversation.js` does so for the vectors.
// Implements the device's part of spec/postern.md#hello, #poll, #answer, #need, #fetch, #bodies and #acceptance,
// spec/freshness.md#heartbeat and spec/files.md#file-binding.
//
//   connect -> ask -> challenge -> hello -> welcome -> open ( poll | need | fetch | post )... -> reject, age -> connect
import { equal } from './bytes.js';
import { encode } from './cbor.js';
import { aadPlane } from './channel.js';
import { comparePlaces, sealEnvelope } from './cose.js';
import { parseFrame, plainFrame, readFiled, TYPE, writeItem } from './frames.js';
import { Freshness } from './freshness.js';
import { thumbprint } from './keys.js';
import { ACTUAL, DESIRED, KIND } from './kinds.js';
import { COUNTER_MAX, HOLD_S_MAX, MOVE_INTERVAL_MS, NEED_INTERVAL_MS, RETRY_MS_MAX } from './limits.js';
import { Reading } from './reading.js';
import { ensure, Reject } from './reject.js';
import { NO_REPORTS, Reports } from './device/reports.js';
import { greet, keyOf, readChallenge, readWelcome } from './session.js';
import { acceptBundles, mailboxPrints } from './trust.js';

const ASK_MS = /** @type {const} */ ([5000, 60000]); // milliseconds between two nonces: least, and most while none is answered
const NOTHING = { epoch: 0n, seq: 0n };

/** What is kept over restarts. @param {Uint8Array[]} bundles untagged, from 1 */
export const newRecord = (bundles) => ({
  bundles, state: new Map(), head: null, frozen: false, applied: null, received: null, rotation: null, reports: NO_REPORTS(),
});

/**
 * @typedef {{pins: import('./trust.js').Pins, channel: import('./channel.js').Channel, place: Uint8Array,
 *   key: ReturnType<typeof import('./keys.js').signingKey>, maxAgeMs: number}} Who the device, and what never changes of it
 * @typedef {{name: string, counter: bigint, frame: Uint8Array}} Request
 * @typedef {{nowMs: () => number, ephemeral: () => Uint8Array, nonce: () => Uint8Array, start: () => Uint8Array,
 *   commit: (record: any) => void, send: (request: Request) => void, reject: (name: string) => void,
 *   move: (url: string) => void, apply: (head: any) => void}} Outside
 */

export class Engine {
  /** Starts a process from what is durable. @param {Who} who @param {any} record @param {Outside} outside */
  constructor(who, record, outside) {
    this.who = who;
    this.record = record;
    this.outside = outside;
    const bundle = acceptBundles(who.pins, null, record.bundles);
    if (!bundle) throw new TypeError('no bundle');
    this.bundle = bundle;
    this.reports = new Reports(record);
    this.reading = new Reading(this);
    this.freshness = new Freshness(who.maxAgeMs);
    this.start = { id: outside.start(), atMs: outside.nowMs() };
    this.ask = { lastMs: -Infinity, stepMs: ASK_MS[0] };
    /** @type {Uint8Array | null} the writer's nonce that waits for its answer */
    this.echo = null;
    /** @type {any} the session, or what there is of it */
    this.link = null;
    /** @type {Map<string, Request>} what waits for an answer, by name */
    this.under = new Map();
    /** @type {bigint | null} */
    this.holdS = null;
    this.holdMaxS = HOLD_S_MAX;
    this.quietUntilMs = -Infinity;
    this.needMs = -Infinity;
    this.movedMs = -Infinity;
    this.reportDue = false;
    /** @type {any} the newest head that the application was handed and has not ended */
    this.applying = null;
    this.failed = null;
    if (record.head) this.say();
    this.offer();
  }

  get nowMs() {
    return this.outside.nowMs();
  }

  /** Whether a session is open that may go on. */
  get open() {
    return this.link?.session !== undefined && this.nowMs < this.link.endsMs && this.link.session.counter < COUNTER_MAX;
  }

  commit() {
    this.outside.commit(this.record);
  }

  // --- in -----------------------------------------------------------------------------------------

  /** A way to a mailbox is there. */
  connect() {
    if (this.open || this.under.has('ask') || this.under.has('hello')) return;
    this.endSession();
    this.link = { phase: 'asking' };
    this.request('ask', plainFrame(TYPE.ask, [1n, this.bundle.number]), 0n);
  }

  /** A poll may go, and wait for so long. @param {bigint} seconds */
  hold(seconds) {
    this.holdS = seconds;
    this.pump();
  }

  /** The bytes that came back for a request; one that waits no more changes nothing. @param {Request} request @param {Uint8Array} frame */
  answer(request, frame) {
    if (this.under.get(request.name) !== request) return;
    this.under.delete(request.name);
    try {
      this.takeAnswer(request, frame);
    } catch (error) {
      this.endSession();
      this.count(error);
    }
    this.pump();
  }

  /** A request that gets no answer. What is still wanted is asked again. @param {Request} request */
  fail(request) {
    if (this.under.get(request.name) !== request) return;
    this.under.delete(request.name);
    if (request.name === 'ask' || request.name === 'hello') this.endSession();
    this.pump();
  }

  /** The application ended with the newest revision that it was handed. @param {bigint} status */
  applied(status) {
    const head = this.applying;
    if (!head) return;
    this.applying = null;
    if (status === 0n) this.record.applied = head;
    else {
      this.failed = head;
      this.reports.list(2, [head.epoch, head.seq, status, '']);
    }
    this.say();
    this.pump();
  }

  /** Frames that were carried by hand, up to the first that is none. @param {Uint8Array} file */
  file(file) {
    let rest = file;
    while (rest.length > 0) {
      try {
        const { type, body, length } = readFiled(rest);
        rest = rest.subarray(length);
        this.takeFiled(type, body);
      } catch (error) {
        this.count(error);
        break;
      }
    }
    this.pump();
  }

  /** Time went on. */
  wake() {
    if (this.link?.session && !this.open) this.endSession();
    this.pump();
  }

  /** The next moment at which something is due. */
  get dueMs() {
    if (!this.open) return Infinity;
    const moments = [this.link.endsMs, this.askMs()];
    if (this.holdS !== null && !this.under.has('poll')) moments.push(this.quietUntilMs);
    if (this.reading.needs) moments.push(this.needMs + NEED_INTERVAL_MS);
    return Math.min(...moments.filter((moment) => moment > this.nowMs));
  }

  // --- answers ------------------------------------------------------------------------------------

  /** @param {Request} request @param {Uint8Array} frame */
  takeAnswer(request, frame) {
    if (frame[0] === TYPE.refused) {
      parseFrame(frame, 'down');
      return this.endSession(); // advice that nobody signed costs time; whoever tells of a way waits as it says
    }
    if (request.name === 'ask') return this.takeChallenge(frame);
    if (request.name === 'hello') return this.takeWelcome(frame);
    const { type, body } = this.link.session.accept(frame, request.counter);
    ensure(type === (request.name === 'fetch' ? TYPE.bodies : TYPE.answer), 'answer-mismatch');
    if (type === TYPE.bodies) return this.reading.takeChunks(body.chunks, true);
    for (const { plane, envelope } of body.members) this.takeItem(plane, envelope);
    this.obey(body.hints);
  }

  /** @param {Uint8Array} frame */
  takeChallenge(frame) {
    const challenge = readChallenge(frame, mailboxPrints(this.bundle));
    const mailbox = keyOf(this.bundle.mailboxes.map(({ key }) => key), challenge.mailbox);
    const { channel, place, key } = this.who;
    const hello = greet(challenge, channel, place, key, this.outside.ephemeral());
    this.link = { phase: 'greeting', mailbox, keys: hello.keys };
    this.request('hello', hello.frame, 0n);
  }

  /** @param {Uint8Array} frame */
  takeWelcome(frame) {
    const { mailbox, keys } = this.link;
    const { session, ageMaxS } = readWelcome(frame, mailbox, this.who.channel, keys);
    this.link = { session, mailbox, endsMs: this.nowMs + Number(ageMaxS) * 1000 };
    this.reportDue = this.reports.outstanding;
    this.reports.beginSession();
    this.quietUntilMs = -Infinity;
  }

  /** One item, as if it had come over an untrusted way. @param {bigint | null} plane @param {Uint8Array} envelope */
  takeItem(plane, envelope) {
    try {
      this.reading.take(plane, envelope);
    } catch (error) {
      this.count(error);
    }
    this.offer();
  }

  /** @param {number} type @param {any} body */
  takeFiled(type, body) {
    ensure(type === TYPE.posted || type === TYPE.filedBody, 'frame-direction');
    ensure(equal(body.channel, this.who.place), 'not-admitted');
    if (type === TYPE.posted) return this.takeItem(body.plane, body.envelope);
    ensure(body.plane === DESIRED, 'plane-mismatch');
    this.reading.takeChunks([body.chunk], false);
    this.offer();
  }

  /** @param {Record<string, any>} hints */
  obey(hints) {
    if (hints[1] !== undefined) this.rest(hints[1]);
    if (hints[2] !== undefined) this.holdMaxS = hints[2] < HOLD_S_MAX ? hints[2] : HOLD_S_MAX;
    const url = hints[3];
    const isListed = this.bundle.mailboxes.some(({ urls }) => urls.includes(url));
    if (!isListed || this.nowMs - this.movedMs < MOVE_INTERVAL_MS) return;
    this.movedMs = this.nowMs;
    this.outside.move(url);
  }

  /** Asks for nothing new for a while. @param {bigint} retryMs */
  rest(retryMs) {
    this.quietUntilMs = this.nowMs + Number(retryMs < RETRY_MS_MAX ? retryMs : RETRY_MS_MAX);
  }

  /** @param {unknown} error */
  count(error) {
    if (!(error instanceof Reject)) throw error;
    this.outside.reject(error.reject);
  }

  endSession() {
    this.link = null;
    this.under.clear();
  }

  // --- out ----------------------------------------------------------------------------------------

  /** Sends what is due, in the order in which it matters. */
  pump() {
    this.offer();
    if (!this.open) return;
    if (!keyOf(this.bundle.mailboxes.map(({ key }) => key), thumbprint(this.link.mailbox))) return this.endSession();
    const items = this.posts();
    if (items.length > 0 && !this.under.has('post')) this.send('post', TYPE.post, items);
    const wants = this.reading.wants();
    if (wants.length > 0 && !this.under.has('fetch')) this.send('fetch', TYPE.fetch, [DESIRED, ...wants]);
    else if (this.reading.needs) this.need();
    if (this.holdS === null || this.under.has('poll') || this.nowMs < this.quietUntilMs) return;
    const { epoch, seq } = this.record.head ?? NOTHING;
    const holdS = this.holdS < this.holdMaxS ? this.holdS : this.holdMaxS;
    this.holdS = null;
    this.send('poll', TYPE.poll, [holdS, this.bundle.number, this.reports.acked, epoch, seq]);
  }

  need() {
    if (this.under.has('need') || this.nowMs - this.needMs < NEED_INTERVAL_MS) return;
    this.needMs = this.nowMs;
    this.reading.needs = false;
    const { epoch, seq } = this.record.head ?? NOTHING;
    this.send('need', TYPE.need, [DESIRED, epoch, seq]);
  }

  /** @param {string} name @param {number} type @param {any[]} items */
  send(name, type, items) {
    const { frame, counter } = this.link.session.request(type, items);
    this.request(name, frame, counter);
  }

  /** @param {string} name @param {Uint8Array} frame @param {bigint} counter */
  request(name, frame, counter) {
    const request = { name, frame, counter };
    this.under.set(name, request);
    this.outside.send(request);
  }

  /** Hands the application what it does not have. */
  offer() {
    const { head, applied } = this.record;
    const isOld = [applied, this.applying, this.failed].some((other) => other && head && comparePlaces(other, head) === 0 && equal(other.digest, head.digest));
    if (!head || isOld) return;
    this.applying = head;
    this.outside.apply(head);
  }

  /** The next report says what changed. */
  say() {
    this.reports.next();
    this.reportDue = true;
    this.commit();
  }

  /** What is to be posted now. */
  posts() {
    if (this.under.has('post')) return [];
    const items = [];
    if (this.reportDue) items.push(writeItem(ACTUAL, this.reports.seal(this.who.key, this.who.channel)));
    const asks = this.askMs() <= this.nowMs;
    if (asks || this.echo) items.push(writeItem(ACTUAL, this.heartbeat(asks)));
    this.reportDue = false;
    return items;
  }

  /** When a nonce is due. */
  askMs() {
    return Math.max(this.freshness.wantsEchoAtMs(), this.ask.lastMs + this.ask.stepMs);
  }

  /** @param {boolean} asks */
  heartbeat(asks) {
    const now = this.nowMs;
    const nonce = asks ? this.outside.nonce() : null;
    if (nonce) {
      this.freshness.asked(now, nonce);
      this.ask = { lastMs: now, stepMs: this.ask.lastMs === -Infinity ? ASK_MS[0] : Math.min(this.ask.stepMs * 2, ASK_MS[1]) };
    }
    const other = this.record.head ?? NOTHING;
    const payload = encode([this.start.id, BigInt(now - this.start.atMs), other.epoch, other.seq, this.echo, nonce]);
    const position = { kind: KIND.heartbeat, ...NOTHING, base: this.bundle.number, digest: new Uint8Array(0) };
    this.echo = null;
    return sealEnvelope(this.who.key, position, aadPlane(KIND.heartbeat, this.who.channel, ACTUAL), payload).bytes;
  }

  /** A verified heartbeat of the writer. @param {any} content */
  hear(content) {
    if (this.freshness.heard(this.nowMs, content) === 'anchored') this.ask.stepMs = ASK_MS[0];
    if (content.ask) this.echo = content.ask;
  }
}
