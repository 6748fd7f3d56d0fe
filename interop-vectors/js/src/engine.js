// A whole device without network, clock and disk: what it does when something happens, and what it wants done.
// Implements the device's side of spec/postern.md #report and #sessions to #bodies; what each engine-*.js adds stands there.
//
// A driver calls one input at a time with the time of its clock, which never goes back; then it takes `effects()`. Where
// something has to be durable, `ports.persist` returned before an effect that depends on it can be seen. `due()` says
// when `wake` has something to do.

import { encode } from './cbor.js';
import { readPlainFrame, writeWant } from './frames.js';
import { Signer } from './keys.js';
import { ACTUAL, DESIRED } from './kinds.js';
import { HOLD_S_MAX, NEED_INTERVAL_MS, RETRY_MS_MAX } from './limits.js';
import { Reject } from './reject.js';
import { compareCursors } from './report.js';
import { Actual } from './engine-actual.js';
import { Desired } from './engine-desired.js';
import { Heartbeats } from './engine-freshness.js';
import { Inbox } from './engine-inbox.js';
import { Actions } from './engine-intents.js';
import { Link, endingOf } from './engine-link.js';
import { Posts } from './engine-posts.js';
import { LIST, Reports, openEpoch } from './engine-reports.js';
import { Rotation } from './engine-rotation.js';
import { encodeDurable } from './engine-store.js';
import { storedBundle } from './trust.js';

const MOVE_MS = 60000;
const AGAIN_MS_MAX = 3600000;
const AGAIN_MS_MIN = 60000;
const RETRY_MS = 1000;
const NEED_MS_MAX = 60000;

/**
 * @typedef {object} Ports
 * @property {(bytes: Uint8Array) => void} persist makes the store durable, or throws
 * @property {(use: string, length: number) => Uint8Array} random
 * @property {() => bigint} unixS 0 without a clock
 * @property {number} maxAgeMs
 */

export class Engine {
  /** @param {import('./engine-store.js').Durable} durable @param {Ports} ports @param {number} now */
  constructor(durable, ports, now) {
    this.durable = durable;
    this.ports = ports;
    this.now = now;
    /** @type {any[]} */
    this.wanted = [];
    this.changed = false;
    this.place = { genesis: durable.genesis, tenant: durable.tenant, device: durable.device, incarnation: durable.incarnation };
    this.signer = new Signer(durable.seed);
    this.bundle = storedBundle(durable.genesis, durable.bundle);
    this.reports = new Reports(durable, this.openEpoch(durable.report.epoch));
    this.desired = new Desired(durable, this.reports);
    this.heartbeats = new Heartbeats(ports.maxAgeMs, ports.random('start', 8), now);
    this.rotation = new Rotation(this);
    this.actual = new Actual(this);
    this.actions = new Actions(this);
    this.inbox = new Inbox(this);
    this.link = new Link(this.place, (request) => this.wanted.push({ kind: 'send', ...request }));
    this.posts = new Posts(this);
    /** @type {number | null} */
    this.holdS = null;
    this.holdSMax = HOLD_S_MAX;
    this.pauseUntil = -Infinity;
    this.lastMoveAt = -Infinity;
    this.lastNeedAt = -Infinity;
    this.needs = 0;
    this.fetchAt = -Infinity;
    this.fetchFailures = 0;
    /** The receipt that this session gave last, which its polls name. @type {{store: bigint, number: bigint} | null} */
    this.receipt = null;
    /** The revision that the application was handed and has not ended. @type {import('./engine-store.js').Head | null} */
    this.applying = null;
    this.againAt = Infinity;
    this.againMs = AGAIN_MS_MIN;
    if (durable.head && !this.#isApplied()) this.#handOver();
    this.#settle();
  }

  /** A further device epoch. @param {bigint} highest */
  openEpoch(highest) {
    return openEpoch(highest, this.ports.unixS(), this.ports.random('epoch', 3));
  }

  // Inputs.

  /** A way to a mailbox is there. @param {number} now */
  connect(now) {
    this.now = now;
    if (this.link.state === 'down') this.link.ask(this.bundle.number);
    this.#settle();
  }

  /** The driver gives the session up, to begin one elsewhere. @param {number} now */
  disconnect(now) {
    this.now = now;
    this.#endSession({});
    this.#settle();
  }

  /** The next poll may be sent, and be held. @param {number} now @param {number} seconds */
  hold(now, seconds) {
    this.now = now;
    this.holdS = Math.min(seconds, HOLD_S_MAX);
    this.#settle();
  }

  /** A request was answered; the answer to none that is under way changes nothing. @param {number} now @param {number} id @param {Uint8Array} bytes */
  answer(now, id, bytes) {
    this.now = now;
    const request = this.link.finish(id);
    if (request) {
      try {
        this.#answered(request, bytes);
      } catch (error) {
        this.#endSession(endingOf(error));
      }
    }
    this.#settle();
  }

  /** A request gets no answer. @param {number} now @param {number} id */
  failed(now, id) {
    this.now = now;
    const request = this.link.finish(id);
    if (request?.name === 'ask' || request?.name === 'hello') this.#endSession({});
    if (request?.name === 'fetch') this.#fetchFailed();
    if (request?.name === 'post' || request?.name === 'put') this.posts.failed();
    this.#settle();
  }

  /** The application ended with the newest revision that it was handed. @param {number} now @param {number} status @param {string} [output] */
  applied(now, status, output = '') {
    this.now = now;
    const { applying } = this;
    if (applying) {
      this.applying = null;
      if (status === 0) this.#hasApplied(applying);
      else this.#applyLater(applying, status, output);
      if (applying === this.durable.head) this.actions.judge();
      this.reports.dirty = true;
      this.changed = true;
    }
    this.#settle();
  }

  /** An action of an intent has ended. @param {number} now @param {string} path @param {bigint} value @param {number} status @param {string} [output] */
  acted(now, path, value, status, output = '') {
    this.now = now;
    this.actions.ended(path, value, status, output);
    this.#settle();
  }

  /** A frame of a file. @param {number} now @param {Uint8Array} bytes */
  filed(now, bytes) {
    this.now = now;
    this.#counting(() => this.inbox.takeFiled(readPlainFrame(bytes, 'file')));
    this.#settle();
  }

  /** Asks for a next key of this device. @param {number} now */
  rotate(now) {
    this.now = now;
    this.rotation.begin();
    this.#settle();
  }

  /** Does what is due. @param {number} now */
  wake(now) {
    this.now = now;
    this.#settle();
  }

  // What a driver and a runner see.

  /** What is wanted since the last call, in order. @returns {any[]} */
  effects() {
    return this.wanted.splice(0);
  }

  /** When there is something to do without another input; Infinity for never. */
  due() {
    const { link, now } = this;
    const times = [this.againAt, link.endsAt];
    if (link.isOpen) {
      times.push(this.heartbeats.askAt, this.posts.at, this.fetchAt);
      if (this.holdS !== null) times.push(this.pauseUntil, this.lastNeedAt + NEED_INTERVAL_MS);
      if (this.desired.needDue) times.push(this.#needAt());
    }
    return Math.min(Infinity, ...times.filter((time) => time > now));
  }

  get stale() {
    return this.heartbeats.stale(this.now);
  }

  /** Whether bodies or a snapshot are on their way: a poll would only ask for them again, and waits, for a need not long. */
  get isBusy() {
    const { underWay } = this.link;
    return underWay.has('fetch') || (underWay.has('need') && this.now < this.lastNeedAt + NEED_INTERVAL_MS);
  }

  // What inputs lead to.

  /** Everything that can be sent now; then what has to be durable; only then the effects can be seen. */
  #settle() {
    if (this.now >= this.link.endsAt) this.#endSession({ aged: true });
    if (!this.applying && (this.desired.news || this.now >= this.againAt)) this.#handOver();
    if (this.link.isOpen && this.link.session?.spent) this.#endSession({});
    if (this.link.isOpen) {
      this.posts.flush();
      this.#need();
      this.#fetch();
      this.#poll();
    }
    if (this.changed) this.ports.persist(encodeDurable(this.durable));
    this.changed = false;
  }

  #need() {
    const { desired, link, now } = this;
    if (!desired.needDue) this.needs = 0;
    if (!desired.needDue || desired.pending || link.underWay.has('need') || now < this.#needAt()) return;
    const { head } = this.durable;
    this.needs += 1;
    this.lastNeedAt = now;
    link.request('need', [encode(DESIRED), encode(head?.epoch ?? 0n), encode(head?.seq ?? 0n)]);
  }

  /** When a need may be sent: later and later while nothing is accepted. */
  #needAt() {
    const gap = Math.min(NEED_INTERVAL_MS * 2 ** Math.max(0, this.needs - 1), NEED_MS_MAX);
    return Math.max(this.lastNeedAt + gap, this.pauseUntil);
  }

  #fetch() {
    const { desired, link } = this;
    if (!desired.pending || link.underWay.has('fetch') || this.now < this.fetchAt) return;
    const wants = desired.pending.wants();
    link.request('fetch', [encode(DESIRED), ...wants.map(writeWant)], { details: wants });
  }

  #fetchFailed() {
    this.fetchFailures += 1;
    this.fetchAt = this.fetchFailures === 1 ? this.now : this.now + Math.min(RETRY_MS * 2 ** this.fetchFailures, AGAIN_MS_MIN);
  }

  #poll() {
    const { link, durable, receipt } = this;
    if (this.holdS === null || link.underWay.has('poll') || this.isBusy || this.now < this.pauseUntil) return;
    const holdS = Math.min(this.holdS, this.holdSMax);
    this.holdS = null;
    const { head } = durable;
    const numbers = [BigInt(holdS), this.bundle.number, this.reports.ackedInPoll, head?.epoch ?? 0n, head?.seq ?? 0n];
    const items = numbers.map((number) => encode(number));
    const own = this.actual.head;
    if (own) items.push(encode(own.epoch), encode(own.seq));
    if (receipt) items.push(encode([receipt.store, receipt.number]));
    link.request('poll', items, { holdS, details: { bundle: this.bundle.number, head, receipt } });
  }

  /** @param {import('./engine-link.js').Request} request @param {Uint8Array} bytes */
  #answered(request, bytes) {
    const { link } = this;
    if (request.name === 'ask') return link.challenged(bytes, this.bundle, this.signer, this.ports.random('ephemeral', 32));
    if (request.name === 'hello') return this.#sessionBegins(link.welcomed(bytes, this.bundle, this.now));
    const read = link.answered(request, bytes);
    this.wanted.push({ kind: 'answered', name: request.name, news: read.items?.length > 0 || read.chunks?.length > 0 });
    if (request.name === 'fetch') return this.#takeBodies(read.chunks, request.details);
    if (request.name === 'poll' && request.details.receipt === this.receipt) this.receipt = null;
    if (request.name === 'post' || request.name === 'put') this.posts.answered(request, read.hints);
    this.#takeHints(read.hints);
    for (const item of read.items) this.#counting(() => this.inbox.takeItem(item));
    if (this.desired.pending === null) this.fetchFailures = 0;
    if (!link.isListed(this.bundle)) this.#endSession({});
  }

  /** @param {any} welcome */
  #sessionBegins(welcome) {
    this.pauseUntil = -Infinity;
    this.holdSMax = HOLD_S_MAX;
    this.receipt = null;
    this.fetchAt = -Infinity;
    this.fetchFailures = 0;
    this.desired.sessionBegins();
    this.reports.sessionBegins();
    this.heartbeats.sessionBegins();
    this.posts.sessionBegins();
    this.actual.sessionBegins();
    this.wanted.push({ kind: 'session', ageMaxS: welcome.ageMaxS });
  }

  /** @param {{reject?: string, refused?: string, retryMs?: bigint, aged?: boolean}} ending */
  #endSession(ending) {
    if (ending.reject) this.#count(ending.reject);
    if (this.link.state === 'down') return;
    this.link.end();
    this.holdS = null;
    this.wanted.push({ kind: 'down', ...ending });
  }

  /** Something that is refused leaves all else as it is. @param {() => void} take */
  #counting(take) {
    try {
      take();
    } catch (error) {
      if (!(error instanceof Reject)) throw error;
      this.#count(error.reason);
    }
  }

  /** @param {string} reason */
  #count(reason) {
    this.wanted.push({ kind: 'reject', reason });
  }

  /** @param {any} hints */
  #takeHints(hints) {
    if (hints.retryMs !== undefined) this.pauseUntil = this.now + Math.min(Number(hints.retryMs), RETRY_MS_MAX);
    if (hints.need?.includes(ACTUAL)) this.actual.wantSnapshot();
    if (hints.holdSMax !== undefined) this.holdSMax = Math.min(Number(hints.holdSMax), HOLD_S_MAX);
    if (hints.move === undefined || this.now < this.lastMoveAt + MOVE_MS) return;
    if (!this.bundle.mailboxes.some(({ urls }) => urls.includes(hints.move))) return;
    this.lastMoveAt = this.now;
    this.wanted.push({ kind: 'move', url: hints.move });
  }

  /** @param {any[]} chunks @param {any[]} wants */
  #takeBodies(chunks, wants) {
    this.changed = true;
    if (this.desired.takeChunks(chunks, wants)) {
      this.fetchFailures = 0;
    } else if (this.desired.pending) {
      this.#fetchFailed();
      if (this.fetchFailures > 3) this.desired.giveUp();
    }
  }

  // The application.

  #isApplied() {
    const { head, applied } = this.durable;
    return head !== null && applied !== null && head.epoch === applied.epoch && head.seq === applied.seq;
  }

  #handOver() {
    this.desired.news = false;
    this.againAt = Infinity;
    this.applying = this.durable.head;
    if (this.applying) this.wanted.push({ kind: 'apply', head: this.applying });
  }

  /** The cursor does not rise above a head that was accepted since, of a writer of a higher generation. @param {import('./engine-store.js').Head} done */
  #hasApplied({ generation, epoch, seq, digest }) {
    const head = /** @type {import('./engine-store.js').Head} */ (this.durable.head);
    const order = compareCursors({ epoch, seq }, head);
    if (order < 0 || (order === 0 && generation === head.generation)) this.durable.applied = { epoch, seq, digest };
    this.againMs = AGAIN_MS_MIN;
  }

  /** @param {import('./engine-store.js').Head} failed @param {number} status @param {string} output */
  #applyLater({ epoch, seq }, status, output) {
    const results = this.durable.lists[LIST.results - 1];
    const entry = [epoch, seq, BigInt(status), output];
    if (!results.some((held) => held.join(' ') === entry.join(' '))) this.reports.add(LIST.results, entry);
    this.againAt = this.now + this.againMs;
    this.againMs = Math.min(this.againMs * 2, AGAIN_MS_MAX);
  }
}
