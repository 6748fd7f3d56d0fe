// What the other end of a session judges: a mailbox. A device needs none of it; the vectors and the tests do.
// Implements spec/postern.md #sessions, #hello and #need, and spec/relays.md #writer-sessions, from the mailbox's side.

import { equalBytes, equalSecret } from './bytes.js';
import { openEnvelope, verifyEnvelope } from './cose.js';
import { Agreement } from './keys.js';
import { KIND } from './kinds.js';
import { NEED_INTERVAL_MS } from './limits.js';
import { frameType, FRAME, isSessionType, readPlainFrame, readSessionBody, splitSessionFrame, tagOf } from './frames.js';
import { readPayload } from './payloads.js';
import { Reject, demand } from './reject.js';
import { deriveKeys } from './session.js';

const WINDOW = 64;

/** A session as a mailbox holds it: each counter once, inside a window below the highest. */
export class ServedSession {
  /** @param {Uint8Array} id @param {Uint8Array} keyUp */
  constructor(id, keyUp) {
    this.id = id;
    this.keyUp = keyUp;
    this.highest = 0;
    /** @type {Set<number>} */
    this.seen = new Set();
  }

  /** @param {number} counter */
  take(counter) {
    demand(counter > this.highest - WINDOW && !this.seen.has(counter), 'session-replay');
    this.seen.add(counter);
    this.highest = Math.max(this.highest, counter);
    for (const old of this.seen) if (old <= this.highest - WINDOW) this.seen.delete(old);
  }
}

/** The sessions of one channel: the newer one counts from its first frame that verifies. */
export class Served {
  /** @param {ServedSession[]} sessions the older first */
  constructor(sessions) {
    this.sessions = sessions;
  }

  /** @param {Uint8Array} bytes @returns {any} */
  up(bytes) {
    const type = frameType(bytes, 'up');
    demand(isSessionType(type), 'session-unknown');
    const { session, body, signed, tag } = splitSessionFrame(bytes);
    const held = this.sessions.find(({ id }) => equalBytes(id, session));
    if (!held) throw new Reject('session-unknown');
    demand(equalSecret(tagOf(held.keyUp, signed), tag), 'session-mac');
    this.sessions = this.sessions.slice(this.sessions.indexOf(held));
    return { type, ...readSessionBody(type, body, (counter) => held.take(counter)) };
  }
}

/**
 * Who may greet here, and what its hello is signed for.
 * @typedef {object} Greeter
 * @property {'device' | 'writer' | 'mailbox'} role
 * @property {Uint8Array} id channel id, tenant id or mailbox id
 * @property {import('./channel.js').Place} place
 * @property {Uint8Array} key
 */

/**
 * A hello, as a mailbox judges it.
 * @param {Uint8Array} bytes
 * @param {{challenge: Uint8Array, secret: Uint8Array}[]} issued challenges under ephemeral keys that it still has
 * @param {Uint8Array} mailboxThumbprint
 * @param {Greeter[]} greeters
 */
export function readHello(bytes, issued, mailboxThumbprint, greeters) {
  demand(frameType(bytes, 'up') === FRAME.hello, 'shape');
  const frame = readPlainFrame(bytes, 'up');
  const here = greeters.filter(({ id }) => equalBytes(id, frame.channel));
  demand(here.length > 0, 'not-admitted');
  const [{ role, place }] = here;
  const keys = here.map(({ key }) => key);
  const { challenge, ephemeral: deviceEphemeral } = unprovenHello(frame.hello);
  const ours = issued.find((one) => equalBytes(one.challenge, challenge));
  if (!ours) throw new Reject('challenge-unknown');
  const hello = verifyEnvelope(frame.hello, { role, plane: null, kind: KIND['session-hello'], place, keys });
  const own = new Agreement(ours.secret);
  const handshake = { mailboxThumbprint, challenge, deviceEphemeral, mailboxEphemeral: own.publicKey, channel: frame.channel };
  const keysOfSession = deriveKeys(handshake, own, deviceEphemeral);
  demand(equalBytes(keysOfSession.transcript, hello.digest), 'digest-mismatch');
  return { role, ...keysOfSession };
}

/**
 * What a hello says before its signature has verified: it selects the ephemeral key, and proves nothing.
 * @param {Uint8Array} envelope
 */
function unprovenHello(envelope) {
  const { position, payloadBytes } = openEnvelope(envelope);
  demand(position.kind === KIND['session-hello'], 'signer-role');
  return readPayload(position, payloadBytes);
}

/** How often a need of a plane is served. */
export class NeedLimit {
  /** @type {Map<string, number>} */
  #served = new Map();

  /** @param {number} atMs @param {bigint} plane */
  serve(atMs, plane) {
    const before = this.#served.get(String(plane));
    demand(before === undefined || atMs - before >= NEED_INTERVAL_MS, 'need-limited');
    this.#served.set(String(plane), atMs);
  }
}

