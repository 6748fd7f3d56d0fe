// A device that runs: one loop that opens a session, polls, judges, applies and reports. It only ever dials out, and a
// kill at any instant leaves a store that is true. Implements spec/postern.md#poll, #post, #answer and
// spec/freshness.md#heartbeat for a device.
//
//   way fails -> next URL, wait        session ends -> greet again, post what is open
//   poll (held) -> items -> needs -> commit -> apply -> commit -> post report, heartbeat, evidence -> poll
import { randomBytes } from 'node:crypto';
import { uptime } from 'node:os';
import { equal, sha256 } from '../bytes.js';
import { encode } from '../cbor.js';
import { aadPlane } from '../channel.js';
import { comparePlaces, sealEnvelope } from '../cose.js';
import { sealRequest } from '../enrolment.js';
import { TYPE, writeItem } from '../frames.js';
import { Freshness } from '../freshness.js';
import { newSeed, signingKey, thumbprint } from '../keys.js';
import { ACTUAL, DESIRED, KIND } from '../kinds.js';
import { BODY_CHUNK_BYTES_MAX, FRAME_BYTES_MAX, HOLD_S_MAX, NEED_INTERVAL_MS, RETRY_MS_MAX } from '../limits.js';
import { Reject } from '../reject.js';
import { acceptBundles } from '../trust.js';
import { applyState } from './desired.js';
import { Inbox } from './inbox.js';
import { channelOf } from './join.js';
import { Reports } from './reports.js';
import { Store } from './store.js';
import { Transport, WayFailed } from './transport.js';
import { lists, Refused, Route, Way } from './way.js';

const WAIT_MS_MIN = 500; // milliseconds after the first failure; arbitrary
const WAIT_MS_MAX = 30000; // milliseconds after many, and the most that unsigned advice gets; arbitrary
const BEAT_MS = 300000; // milliseconds between two heartbeats that nobody asked for: a third of the maximal age
const ASK_MS_MIN = 5000; // milliseconds between two nonces, growing to a minute
const ASK_MS_MAX = 60000;
const REPORT_AGAIN_MS = 60000; // milliseconds until an unacknowledged report is posted again; arbitrary

const HOLD_S_LEAST = 5n; // seconds below which a hold is not made shorter; arbitrary

/** Milliseconds of a clock that counts suspension. */
const nowMs = () => Math.floor(uptime() * 1000);
/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Device {
  /** @param {string} folder @param {{proxy?: string, ca?: string, holdS?: number}} options @param {(event: object) => void} tell */
  constructor(folder, options, tell) {
    const store = Store.open(folder);
    if (!store || store.record.joining) throw new Error('this folder holds no device that has joined');
    this.folder = folder;
    this.tell = tell;
    this.store = store;
    this.record = store.record;
    this.channel = channelOf(this.record);
    this.key = signingKey(this.record.seed);
    this.transport = new Transport({ ...options, certificate: this.record.certificate });
    this.holdS = BigInt(options.holdS ?? 30);
    const bundle = acceptBundles({ genesis: this.record.genesis, recovery: this.record.recovery }, null, this.record.bundles);
    if (!bundle) throw new Error('the store holds no bundle');
    this.bundle = bundle;
    this.reports = new Reports(this.record);
    this.inbox = new Inbox(this);
    this.route = new Route();
    this.freshness = new Freshness();
    this.start = new Uint8Array(randomBytes(8));
    this.startMs = nowMs();
    this.ask = { lastMs: -Infinity, stepMs: ASK_MS_MIN };
    /** @type {Record<string, number>} */
    this.rejects = {};
    /** @type {Uint8Array | null} */
    this.echo = null;
    /** @type {Way | null} */
    this.open = null;
    /** @type {[bigint, bigint] | null} */
    this.receipt = null;
    this.dirty = true;
    this.reportDue = true;
    this.evidenceDue = false;
    this.postReport = false;
    this.beatMs = -Infinity;
    this.reportMs = 0;
    this.needMs = -Infinity;
    this.stopped = false;
  }

  /** @returns {Way} */
  get way() {
    if (!this.open) throw new WayFailed('the session ended');
    return this.open;
  }

  /** The writer that the bundle names for this tenant. */
  get writer() {
    const writer = this.bundle.writers.get(this.channel.tenant);
    if (!writer) throw new Reject('key-unknown');
    return writer;
  }

  commit() {
    this.store.commit();
    this.dirty = false;
  }

  /** @param {string} reject */
  count(reject) {
    this.rejects[reject] = (this.rejects[reject] ?? 0) + 1;
    this.tell({ event: 'reject', reason: reject, count: this.rejects[reject] });
  }

  endSession() {
    this.open = null;
    this.receipt = null;
  }

  /** Lets the device ask for a next key. */
  rotate() {
    const seed = newSeed();
    const token = thumbprint(this.key.publicKey).slice(0, 8);
    const { bytes, messageId } = sealRequest(signingKey(seed), this.channel, token, null);
    this.record.rotation = { seed, request: bytes, requestId: messageId };
    this.reportDue = true;
    this.dirty = true;
  }

  /** Runs until it is stopped. */
  async run() {
    this.applyIfDue();
    for (let failures = 0; !this.stopped; ) {
      const url = this.route.url(this.bundle);
      try {
        await this.runSession(url);
        failures = 0;
      } catch (error) {
        failures = this.open?.works ? 1 : failures + 1;
        await this.handleFailure(/** @type {Error} */ (error), url, failures);
      }
    }
    this.transport.close();
  }

  /** @param {Error} error @param {string} url @param {number} failures */
  async handleFailure(error, url, failures) {
    if (!(error instanceof Reject || error instanceof WayFailed || error instanceof Refused)) throw error;
    if (error instanceof Reject) this.count(error.reject);
    this.tell({ event: 'way failed', url, reason: error.message });
    const lostSession = error instanceof Refused && this.open?.works;
    this.endSession();
    if (!lostSession) this.route.failed();
    const advised = error instanceof Refused && error.retryMs !== null ? Number(error.retryMs) : 0;
    const growing = lostSession ? WAIT_MS_MIN : WAIT_MS_MIN * 2 ** Math.min(failures - 1, 6);
    await sleep(Math.min(WAIT_MS_MAX, Math.max(advised, growing * (0.5 + Math.random()))));
  }

  /** @param {string} url */
  async runSession(url) {
    this.open = await Way.open(this.transport, url, { bundle: this.bundle, channel: this.channel, place: this.record.place, key: this.key });
    this.tell({ event: 'session', url });
    this.reports.beginSession();
    Object.assign(this, { postReport: this.reports.outstanding, evidenceDue: this.record.evidence !== null, beatMs: -Infinity });
    await this.post();
    for (let quick = 0; !this.stopped && this.open && !this.open.spent; ) {
      const beganMs = performance.now();
      const idle = await this.poll();
      quick = idle && performance.now() - beganMs < 500 ? quick + 1 : 0;
      if (quick > 1) await sleep(1000);
      if (this.open && !lists(this.bundle, this.open.mailbox)) this.endSession();
      if (this.open) await this.post();
    }
  }

  /** One held poll. @returns {Promise<boolean>} whether nothing came */
  async poll() {
    const head = this.record.head ?? { epoch: 0n, seq: 0n };
    const items = [this.holdS, this.bundle.number, this.reports.acked, head.epoch, head.seq];
    const named = this.receipt;
    if (named) items.push(/** @type {any} */ (named));
    const answer = await this.held(items);
    if (this.receipt === named) this.receipt = null;
    await this.handleAnswer(answer);
    return answer.members.length === 0;
  }

  /** A poll that may wait; where something on the way cuts waiting answers off, later ones wait for less. @param {any[]} items */
  async held(items) {
    const { way } = this;
    try {
      return await way.exchange(TYPE.poll, items, TYPE.answer, Number(this.holdS) * 1000);
    } catch (error) {
      if (error instanceof WayFailed && way.works && this.holdS > HOLD_S_LEAST) this.holdS /= 2n;
      throw error;
    }
  }

  /** Items, then what they asked for, then hints. @param {{hints: Record<string, any>, members: any[]}} answer */
  async handleAnswer({ hints, members }) {
    await this.inbox.handleItems(members);
    if (this.inbox.needs && this.open) await this.need();
    if (this.dirty) this.commit();
    this.applyIfDue();
    await this.obey(hints);
  }

  /** Asks for the newest snapshot, at most once in 5 s. */
  async need() {
    this.inbox.needs = false;
    if (performance.now() - this.needMs < NEED_INTERVAL_MS) return;
    this.needMs = performance.now();
    const head = this.record.head ?? { epoch: 0n, seq: 0n };
    const { members } = await this.way.exchange(TYPE.need, [DESIRED, head.epoch, head.seq], TYPE.answer);
    await this.inbox.handleItems(members);
    this.inbox.needs = false;
  }

  /** @param {Record<string, any>} hints */
  async obey(hints) {
    for (const { index, code } of hints[4] ?? []) this.tell({ event: 'post refused', index: String(index), code: String(code) });
    if (hints[5] && this.open) await this.putBodies(hints[5]);
    if (hints[2] !== undefined) this.holdS = hints[2] < HOLD_S_MAX ? hints[2] : HOLD_S_MAX;
    if (hints[3] !== undefined && this.route.move(hints[3], this.bundle)) {
      this.tell({ event: 'move', url: hints[3] });
      this.endSession();
      return; // the pause is one of the session that ended
    }
    if (hints[1] !== undefined) await sleep(Number(hints[1] < RETRY_MS_MAX ? hints[1] : RETRY_MS_MAX));
  }

  /** Bodies that evidence named. @param {{digest: Uint8Array, offset: bigint}[]} wants */
  async putBodies(wants) {
    for (const { digest, offset } of wants) {
      const body = this.record.bodies.map((/** @type {any} */ row) => row[1]).find((/** @type {any} */ bytes) => equal(sha256(bytes), digest));
      for (let at = Number(offset); body && at < body.length; at += BODY_CHUNK_BYTES_MAX) {
        const chunk = [digest, BigInt(body.length), BigInt(at), body.slice(at, at + BODY_CHUNK_BYTES_MAX)];
        await this.way.exchange(TYPE.put, [DESIRED, chunk], TYPE.answer);
      }
    }
  }

  /** Gives an accepted state to the application, and makes it known once it is there. */
  applyIfDue() {
    const { head, applied } = this.record;
    if (!head || (applied && comparePlaces(applied, head) === 0 && equal(applied.digest, head.digest))) return;
    applyState(this.folder, this.record);
    this.reportDue = true;
    this.tell({ event: 'applied', epoch: String(head.epoch), seq: String(head.seq) });
  }

  /** Posts what is due: report, evidence, heartbeat. */
  async post() {
    const items = [];
    if (this.reportDue) this.reports.next();
    if (this.reportDue || this.dirty) this.commit();
    const again = this.reports.outstanding && performance.now() - this.reportMs > REPORT_AGAIN_MS;
    if (this.reportDue || this.postReport || again) {
      items.push(writeItem(ACTUAL, this.reports.seal(this.key, this.channel)));
      this.reportMs = performance.now();
    }
    Object.assign(this, { reportDue: false, postReport: false });
    if (this.evidenceDue && this.record.evidence) items.push(writeItem(DESIRED, this.record.evidence));
    this.evidenceDue = false;
    const beat = this.heartbeat();
    if (beat) items.push(writeItem(ACTUAL, beat));
    for (const batch of batches(items)) {
      if (this.open) await this.handleAnswer(await this.way.exchange(TYPE.post, batch, TYPE.answer));
    }
  }

  /** A heartbeat where one is due: an echo is owed, an own nonce is due, or it is time. @returns {Uint8Array | null} */
  heartbeat() {
    const now = nowMs();
    const asks = this.freshness.wantsEcho(now) && now - this.ask.lastMs >= this.ask.stepMs;
    if (!this.echo && !asks && now - this.beatMs < BEAT_MS) return null;
    const nonce = asks ? new Uint8Array(randomBytes(16)) : null;
    if (nonce) {
      this.freshness.asked(now, nonce);
      this.ask = { lastMs: now, stepMs: Math.min(this.ask.stepMs * 2, ASK_MS_MAX) };
    }
    const other = this.record.head ?? { epoch: 0n, seq: 0n };
    const payload = encode([this.start, BigInt(now - this.startMs), other.epoch, other.seq, this.echo, nonce]);
    const position = { kind: KIND.heartbeat, epoch: 0n, seq: 0n, base: this.bundle.number, digest: new Uint8Array(0) };
    this.beatMs = now;
    this.echo = null;
    return sealEnvelope(this.key, position, aadPlane(KIND.heartbeat, this.channel, ACTUAL), payload).bytes;
  }

  /** @param {import('../cose.js').Verified} message */
  handleHeartbeat({ position, content }) {
    const hearing = this.freshness.heard(nowMs(), content);
    if (hearing === 'anchored') this.ask.stepMs = ASK_MS_MIN;
    if (content.ask) this.echo = content.ask;
    const behind = hearing !== 'unproven' && position.base > this.bundle.number;
    this.tell({ event: 'heartbeat', hearing, stale: this.freshness.stale(nowMs()), ...(behind && { bundle: String(position.base) }) });
  }
}

/** Items in posts that fit into frames. @param {import('../frames.js').Raw[]} items */
function batches(items) {
  const room = FRAME_BYTES_MAX - 32;
  /** @type {import('../frames.js').Raw[][]} */
  const list = [];
  let used = room;
  for (const item of items) {
    if (used + item.bytes.length > room) {
      list.push([]);
      used = 0;
    }
    list[list.length - 1].push(item);
    used += item.bytes.length;
  }
  return list;
}
