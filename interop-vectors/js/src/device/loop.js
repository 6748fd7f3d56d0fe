// The running device: the engine of ../engine.js with a network, a clock and a disk.
// Implements the rules of spec/postern.md #http-binding, #poll, #answer and #sessions about when and where to try again.

import { randomBytes } from 'node:crypto';
import { uptime } from 'node:os';
import { Engine } from '../engine.js';
import { decodeDurable } from '../engine-store.js';
import { frameOfAnswer } from '../exchange.js';
import { MAX_AGE_MS } from '../freshness.js';
import { NEED_INTERVAL_MS } from '../limits.js';
import { Reject } from '../reject.js';
import { sectionOf } from '../state.js';
import { Ways } from './ways.js';
import { typedState } from '../typed.js';

const EXCHANGE_MS = 15000;
const POLL_PAUSE_MS = 1000;
const HOLD_S_MIN = 5;
const TIMER_MS_MAX = 3600000;
/** Sections that are Postern's own and not the application's. */
const OWN_SECTIONS = new Set(['intent', 'postern']);

/** Milliseconds of a clock that does not jump; on Linux it counts suspension, too. */
let latest = 0;
function now() {
  latest = Math.max(latest, uptime() * 1000);
  return latest;
}

export class Loop {
  /**
   * @param {any} store @param {any} transport
   * @param {{event: (event: any) => void, holdS: number, rotate: boolean, clock?: () => number}} options
   */
  constructor(store, transport, { event, holdS, rotate, clock = now }) {
    this.store = store;
    this.transport = transport;
    this.event = event;
    this.holdS = holdS;
    this.clock = clock;
    this.stopping = new AbortController();
    const durable = decodeDurable(store.load());
    this.engine = new Engine(durable, {
      persist: (bytes) => this.persist(bytes),
      random: (_, length) => new Uint8Array(randomBytes(length)),
      unixS: () => BigInt(Math.floor(Date.now() / 1000)),
      maxAgeMs: MAX_AGE_MS,
    }, clock());
    this.ways = new Ways(this.engine.bundle, durable.site?.[0] ?? []);
    /** The way of the present session or attempt. */
    this.url = this.ways.url;
    this.isMoving = false;
    this.sessionAt = Infinity;
    this.storeFailed = false;
    /** When the next attempt may begin, and the next poll may be sent. */
    this.connectAt = -Infinity;
    this.pollAt = -Infinity;
    this.pollFailures = 0;
    this.isStale = true;
    /** @type {Promise<void>} */
    this.ended = new Promise((resolve, reject) => {
      this.end = resolve;
      this.fail = reject;
    });
    if (rotate) this.engine.rotate(clock());
  }

  /** Runs until `stop`. @returns {Promise<void>} */
  run() {
    this.turn(() => {});
    return this.ended;
  }

  stop() {
    clearTimeout(this.timer);
    this.stopping.abort();
    this.transport.close();
    this.end();
  }

  /** @param {Uint8Array} bytes */
  persist(bytes) {
    this.storeFailed = true;
    this.store.save(bytes);
    this.storeFailed = false;
  }

  /**
   * One input, then all that follows from it. A store that cannot be written ends the device, because nothing may go out
   * that is not durable; any other mistake of its own costs the session.
   * @param {() => void} input
   */
  turn(input) {
    if (this.stopping.signal.aborted) return;
    try {
      input();
      this.follow();
    } catch (error) {
      this.event({ event: 'fault', why: /** @type {Error} */ (error).message });
      if (this.storeFailed) this.giveUp(error);
      else this.recover();
    }
  }

  /** @param {unknown} error */
  giveUp(error) {
    clearTimeout(this.timer);
    this.stopping.abort();
    this.transport.close();
    this.fail(error);
  }

  recover() {
    try {
      this.engine.disconnect(this.clock());
      this.follow();
    } catch (error) {
      this.giveUp(error);
    }
  }

  follow() {
    const { engine } = this;
    if (engine.due() <= this.clock()) engine.wake(this.clock());
    this.takeEffects();
    if (engine.link.state === 'down' && this.clock() >= this.connectAt) {
      this.connectAt = Infinity;
      this.url = this.ways.url;
      engine.connect(this.clock());
      this.takeEffects();
    }
    if (engine.link.isOpen && !engine.link.underWay.has('poll') && !engine.isBusy && this.clock() >= this.pollAt) {
      this.pollAt = Infinity;
      engine.hold(this.clock(), this.holdS);
      this.takeEffects();
    }
    this.tellStale();
    this.schedule();
  }

  schedule() {
    clearTimeout(this.timer);
    const { link, isBusy } = this.engine;
    // A poll that waits for another request is looked at when that one ends, or when the engine is due.
    const mayPoll = link.isOpen && !isBusy && !link.underWay.has('poll');
    const needEndsAt = link.underWay.has('need') ? this.engine.lastNeedAt + NEED_INTERVAL_MS : Infinity;
    const at = Math.min(this.engine.due(), this.connectAt, mayPoll ? this.pollAt : needEndsAt > this.clock() ? needEndsAt : Infinity);
    const inMs = Math.max(1, Math.min(at - this.clock(), TIMER_MS_MAX));
    this.timer = setTimeout(() => this.turn(() => {}), Math.ceil(inMs));
  }

  tellStale() {
    if (this.engine.stale === this.isStale) return;
    this.isStale = this.engine.stale;
    this.event({ event: 'freshness', stale: this.isStale });
  }

  takeEffects() {
    for (let effects = this.engine.effects(); effects.length > 0; effects = this.engine.effects()) {
      for (const effect of effects) this.takeEffect(effect);
    }
  }

  /** @param {any} effect */
  takeEffect(effect) {
    const { kind, ...what } = effect;
    switch (kind) {
      case 'send':
        this.exchange(effect);
        return;
      case 'apply':
        this.apply(effect.head);
        return;
      case 'act':
        this.act(effect);
        return;
      case 'answered':
        this.answered(effect);
        return;
      case 'session':
        this.pollAt = this.clock();
        this.pollFailures = 0;
        this.sessionAt = this.clock();
        this.event({ event: 'session', url: this.url, ageMaxS: what.ageMaxS });
        return;
      case 'down':
        this.down(what);
        return;
      case 'move':
        this.event({ event: 'move', url: what.url });
        this.ways.moveTo(what.url);
        this.isMoving = true;
        this.engine.disconnect(this.clock());
        return;
      case 'bundle':
        this.ways.follow(this.engine.bundle);
        this.event({ event: 'bundle', number: what.number });
        return;
      default:
        this.event({ event: kind, ...what });
    }
  }

  /** One request and its answer. @param {any} request */
  async exchange({ id, name, frame, holdS }) {
    const began = this.clock();
    const sent = { head: this.engine.durable.head, bundle: this.engine.bundle.number };
    const timeoutMs = holdS * 1000 + EXCHANGE_MS;
    try {
      const { status, body } = await this.transport.exchange(this.url, frame, { timeoutMs, signal: this.stopping.signal });
      const answer = frameOfAnswer(status, body);
      this.turn(() => {
        if (!this.isUnderWay(name, id)) return;
        this.engine.answer(this.clock(), id, answer);
        if (name === 'poll') this.pace(began, sent);
      });
    } catch (error) {
      this.turn(() => {
        if (this.isUnderWay(name, id)) this.lost({ id, name, holdS, began }, error);
      });
    }
  }

  /** Whether somebody still waits for this answer. @param {string} name @param {number} id */
  isUnderWay(name, id) {
    return this.engine.link.underWay.get(name)?.id === id;
  }

  /** A poll that came back at once and moved nothing is not followed by another at once. @param {number} began @param {any} sent */
  pace(began, sent) {
    const { engine } = this;
    const moved = engine.durable.head !== sent.head || engine.bundle.number !== sent.bundle;
    const soon = this.clock() - began < POLL_PAUSE_MS;
    if (this.pollAt === Infinity) this.pollAt = moved || !soon ? this.clock() : began + POLL_PAUSE_MS;
  }

  /** An exchange without a frame. @param {any} request @param {any} error */
  lost({ id, name, holdS, began }, error) {
    if (error instanceof Reject) this.event({ event: 'reject', reason: error.reason });
    else this.event({ event: 'unreachable', url: this.url, why: error.code ?? error.message });
    this.engine.failed(this.clock(), id);
    if (name !== 'poll') return;
    const heldMs = this.clock() - began;
    if (holdS > HOLD_S_MIN && heldMs > HOLD_S_MIN * 1000) this.holdS = Math.max(HOLD_S_MIN, Math.floor(heldMs / 1000 * 0.8));
    this.pollFailures += 1;
    this.pollAt = this.clock() + POLL_PAUSE_MS;
    if (this.pollFailures > 1) this.engine.disconnect(this.clock());
  }

  /** A way works on an answer that verified, and on nothing else. @param {any} effect */
  answered({ name }) {
    this.ways.works();
    if (name === 'poll') this.pollFailures = 0;
  }

  /** A session or an attempt ended: the next way, after a pause that grows until one works. @param {any} ending */
  down({ reject, refused, retryMs, aged }) {
    if (refused) this.event({ event: 'refused', reason: refused, url: this.url });
    this.event({ event: 'down', url: this.url, reason: reject ?? refused ?? (aged ? 'aged' : this.isMoving ? 'move' : 'lost') });
    const livedMs = this.clock() - this.sessionAt;
    this.pollAt = Infinity;
    this.sessionAt = Infinity;
    this.connectAt = this.clock() + (this.isMoving ? 0 : this.ways.next(livedMs, Boolean(aged), retryMs));
    this.isMoving = false;
  }

  /** The only action of this device: it tells what was asked for. @param {{path: string, value: bigint}} effect */
  act({ path, value }) {
    this.event({ event: 'intent', path, value });
    this.engine.acted(this.clock(), path, value, 0);
  }

  /** The application of this device: one file. @param {import('../engine-store.js').Head} head */
  apply({ epoch, seq, digest }) {
    const values = [...this.engine.desired.state()].filter(([path]) => !OWN_SECTIONS.has(sectionOf(path)));
    let status = 0;
    try {
      this.store.writeDesired({ values: typedState(new Map(values)), revision: { epoch, seq, digest: Buffer.from(digest).toString('hex') } });
    } catch (error) {
      status = 1;
      this.event({ event: 'application-failed', why: /** @type {any} */ (error).code });
    }
    this.engine.applied(this.clock(), status, status === 0 ? '' : 'desired.json was not written');
    if (status === 0) this.event({ event: 'applied', epoch, seq });
  }
}
