// The way to a mailbox: which URL to try, opening a session there, and exchanges inside it. Implements
// spec/postern.md#hello and #sessions for a device, moves (#answer), and what frame 22 may do: nothing but cost time.
import { thumbprint } from '../keys.js';
import { parseFrame, plainFrame, TYPE } from '../frames.js';
import { MOVE_INTERVAL_MS } from '../limits.js';
import { ensure, Reject, rejectName } from '../reject.js';
import { greet, keyOf, readChallenge, readWelcome } from '../session.js';
import { mailboxPrints } from '../trust.js';

const EXCHANGE_MS = 15000; // milliseconds for an answer that is not held; arbitrary

/** Frame 22: unsigned advice. */
export class Refused extends Error {
  /** @param {{code: bigint, retryMs: bigint | null}} body */
  constructor({ code, retryMs }) {
    super(rejectName(code) ?? `reject ${code}`);
    this.code = code;
    this.retryMs = retryMs;
  }
}

/** A plain frame's body of `type`. @param {Uint8Array} frame @param {number} type */
export function expectPlain(frame, type) {
  const found = parseOr(frame);
  if (found.type === TYPE.refused) throw new Refused(found.body);
  ensure(found.type === type, 'not-postern');
  return found.body;
}

/** What is no frame is no Postern. @param {Uint8Array} frame */
function parseOr(frame) {
  try {
    return parseFrame(frame, 'down');
  } catch (error) {
    throw error instanceof Reject ? new Reject('not-postern') : error;
  }
}

/** A session with one mailbox. */
export class Way {
  /**
   * @param {import('./transport.js').Transport} transport @param {string} url
   * @param {{session: import('../session.js').Session, ageMaxS: bigint}} opened @param {Uint8Array} mailbox its key
   */
  constructor(transport, url, { session, ageMaxS }, mailbox) {
    this.transport = transport;
    this.url = url;
    this.session = session;
    this.mailbox = mailbox;
    this.endsMs = performance.now() + Number(ageMaxS) * 1000;
    /** Whether an answer verified. */
    this.works = false;
  }

  /** Opens a session at `url`. @param {import('./transport.js').Transport} transport @param {string} url @param {{bundle: import('../trust.js').Bundle, channel: import('../channel.js').Channel, place: Uint8Array, key: any}} who */
  static async open(transport, url, { bundle, channel, place, key }) {
    const asked = await transport.exchange(url, plainFrame(TYPE.ask, [1n, bundle.number]), EXCHANGE_MS);
    expectPlain(asked, TYPE.challenge);
    const challenge = readChallenge(asked, mailboxPrints(bundle));
    const mailbox = keyOf(bundle.mailboxes.map((row) => row.key), challenge.mailbox);
    if (!mailbox) throw new Reject('mailbox-mismatch');
    const hello = greet(challenge, channel, place, key);
    const answer = await transport.exchange(url, hello.frame, EXCHANGE_MS);
    expectPlain(answer, TYPE.welcome);
    return new Way(transport, url, readWelcome(answer, mailbox, channel, hello.keys), mailbox);
  }

  /** Whether the session is too old, or nearly out of counters. */
  get spent() {
    return performance.now() >= this.endsMs || this.session.counter > 65000n;
  }

  /** One request and its answer of `wanted` type. @param {number} type @param {any[]} items @param {number} wanted @param {number} [holdMs] */
  async exchange(type, items, wanted, holdMs = 0) {
    const { frame, counter } = this.session.request(type, items);
    const answer = await this.transport.exchange(this.url, frame, EXCHANGE_MS + holdMs);
    if (answer[0] === TYPE.refused) throw new Refused(parseOr(answer).body);
    const { type: found, body } = this.session.accept(answer, counter);
    ensure(found === wanted, 'not-postern');
    this.works = true;
    return body;
  }
}

/** The URLs of a bundle in its order of preference, and moves among them. */
export class Route {
  constructor() {
    this.at = 0;
    this.movedMs = -Infinity;
    /** @type {string | null} */
    this.told = null;
  }

  /** @param {import('../trust.js').Bundle} bundle */
  static urls(bundle) {
    return bundle.mailboxes.flatMap(({ urls }) => urls);
  }

  /** The URL to try now. @param {import('../trust.js').Bundle} bundle */
  url(bundle) {
    const urls = Route.urls(bundle);
    if (this.told && urls.includes(this.told)) return this.told;
    return urls[this.at % urls.length];
  }

  /** The way failed: the next one. */
  failed() {
    if (this.told) this.told = null;
    else this.at += 1;
  }

  /** Hint 3. @param {string} url @param {import('../trust.js').Bundle} bundle @returns {boolean} whether to move */
  move(url, bundle) {
    const now = performance.now();
    if (!Route.urls(bundle).includes(url) || now - this.movedMs < MOVE_INTERVAL_MS) return false;
    this.movedMs = now;
    this.told = url;
    return true;
  }
}

/** Whether a bundle still lists a mailbox key. @param {import('../trust.js').Bundle} bundle @param {Uint8Array} key */
export const lists = (bundle, key) => keyOf(bundle.mailboxes.map((row) => row.key), thumbprint(key)) !== undefined;
