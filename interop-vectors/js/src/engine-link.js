// The way of a device to one mailbox: ask, challenge, hello, welcome, then requests of the session and their answers.
// Implements spec/postern.md #hello, #sessions and the rules of #frames about frame 22, from the side of the device.

import { equalBytes } from './bytes.js';
import { Agreement } from './keys.js';
import { FRAME } from './frames.js';
import { Refused, Session, keysNamed, makeHello, readChallenge, readWelcome, writeAsk } from './session.js';
import { Reject } from './reject.js';

/** The types that answer each request of a session. @type {Record<string, number[]>} */
const ANSWERS = {
  poll: [FRAME.answer], post: [FRAME.answer], need: [FRAME.answer], fetch: [FRAME.bodies], put: [FRAME.answer],
};

/** A request on its way. @typedef {{id: number, name: string, frame: Uint8Array, counter: number, holdS: number, details: any}} Request */

export class Link {
  /**
   * @param {import('./session.js').Greeter} place
   * @param {(request: Request) => void} send
   */
  constructor(place, send) {
    this.place = place;
    this.send = send;
    /** @type {'down' | 'asking' | 'greeting' | 'open'} */
    this.state = 'down';
    /** @type {Session | null} */
    this.session = null;
    /** The mailbox that the challenge named. @type {Uint8Array | null} */
    this.mailbox = null;
    this.endsAt = Infinity;
    /** Requests that are not answered yet, by their name. @type {Map<string, Request>} */
    this.underWay = new Map();
    this.lastId = 0;
    /** @type {any} */
    this.keys = null;
  }

  get isOpen() {
    return this.state === 'open';
  }

  /** Ends the session or the attempt. Requests under way are forgotten: an answer to one of them changes nothing. */
  end() {
    this.state = 'down';
    this.session = null;
    this.mailbox = null;
    this.keys = null;
    this.endsAt = Infinity;
    this.underWay.clear();
  }

  /** @param {bigint} bundle */
  ask(bundle) {
    this.state = 'asking';
    this.#sendPlain('ask', writeAsk(bundle));
  }

  /** @param {string} name @param {Uint8Array} frame */
  #sendPlain(name, frame) {
    this.#sendNow({ name, frame, counter: 0, holdS: 0, details: null });
  }

  /** @param {Omit<Request, 'id'>} request */
  #sendNow(request) {
    this.lastId += 1;
    const sent = { id: this.lastId, ...request };
    this.underWay.set(sent.name, sent);
    this.send(sent);
  }

  /**
   * A request of the session; there is one of each name at a time.
   * @param {string} name @param {Uint8Array[]} items behind the counter @param {{holdS?: number, details?: any}} [more]
   */
  request(name, items, { holdS = 0, details = null } = {}) {
    const session = /** @type {Session} */ (this.session);
    const { frame, counter } = session.request(FRAME[/** @type {keyof typeof FRAME} */ (name)], ...items);
    this.#sendNow({ name, frame, counter, holdS, details });
  }

  /** The request under way with this number, which ends now. @param {number} id @returns {Request | undefined} */
  finish(id) {
    for (const request of this.underWay.values()) {
      if (request.id !== id) continue;
      this.underWay.delete(request.name);
      return request;
    }
    return undefined;
  }

  /**
   * The challenge: the device answers with a hello, under a fresh ephemeral.
   * @param {Uint8Array} bytes
   * @param {{mailboxes: {key: Uint8Array, thumbprint: Uint8Array}[]}} bundle
   * @param {import('./keys.js').Signer} signer @param {Uint8Array} secret
   */
  challenged(bytes, bundle, signer, secret) {
    const challenge = readChallenge(bytes, bundle.mailboxes.map(({ thumbprint }) => thumbprint));
    const { keys, frame } = makeHello(this.place, signer, challenge, new Agreement(secret));
    this.state = 'greeting';
    this.mailbox = challenge.mailboxThumbprint;
    this.keys = keys;
    this.#sendPlain('hello', frame);
  }

  /**
   * The welcome: a session stands.
   * @param {Uint8Array} bytes @param {any} bundle @param {number} now
   */
  welcomed(bytes, bundle, now) {
    const named = /** @type {Uint8Array} */ (this.mailbox);
    const keys = keysNamed(bundle.mailboxes.map((/** @type {any} */ { key }) => key), named);
    const welcome = readWelcome(bytes, this.place, this.keys.transcript, keys, bundle.revokedHex);
    this.session = new Session(welcome.session, this.keys.keyUp, this.keys.keyDown);
    this.state = 'open';
    this.keys = null;
    this.endsAt = now + welcome.ageMaxS * 1000;
    return welcome;
  }

  /** The answer to a request of the session. @param {Request} request @param {Uint8Array} bytes */
  answered(request, bytes) {
    return /** @type {Session} */ (this.session).answer(bytes, request.counter, ANSWERS[request.name]);
  }

  /** Whether a bundle still lists the mailbox of this session. @param {any} bundle */
  isListed(bundle) {
    const named = this.mailbox;
    return named === null || bundle.mailboxes.some((/** @type {any} */ { thumbprint }) => equalBytes(thumbprint, named));
  }
}

/** What ended an exchange, for events: a reject of ours, or a refusal of theirs. @param {unknown} error */
export function endingOf(error) {
  if (error instanceof Reject) return { reject: error.reason };
  if (error instanceof Refused) return { refused: error.reason, retryMs: error.retryMs };
  throw error;
}
