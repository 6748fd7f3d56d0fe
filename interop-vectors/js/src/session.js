// Sessions: key agreement, tags, counters. Implements spec/postern.md#sessions, #hello and the
// order of answers of #stream.
import { hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { agree, agreementPublic } from './agreement.js';
import { concat, equal, hmac, sha256 } from './bytes.js';
import { encode, Reader } from './cbor.js';
import { aadDevice } from './channel.js';
import { sealEnvelope, verifyEnvelope } from './cose.js';
import { counter, openFrame, parseBody, Raw, plainFrame, sequence, TYPE } from './frames.js';
import { thumbprint } from './keys.js';
import { KIND } from './kinds.js';
import { COUNTER_MAX } from './limits.js';
import { ensure } from './reject.js';

/**
 * @typedef {{mailbox: Uint8Array, challenge: Uint8Array, deviceEphemeral: Uint8Array, mailboxEphemeral: Uint8Array,
 *   place: Uint8Array}} Meeting thumbprint, challenge, both ephemerals, and the channel id or who stands in its place
 */

/** @param {Meeting} meeting @param {Uint8Array} shared */
export function deriveKeys(meeting, shared) {
  const { mailbox, challenge, deviceEphemeral, mailboxEphemeral, place } = meeting;
  const preimage = encode(['postern/1 session', mailbox, challenge, deviceEphemeral, mailboxEphemeral, place]);
  const transcript = sha256(preimage);
  /** @param {string} info */
  const expand = (info) => new Uint8Array(hkdfSync('sha256', shared, transcript, info, 32));
  return { preimage, transcript, shared, keyUp: expand('postern/1 up'), keyDown: expand('postern/1 down') };
}

/** The tag of a session frame. @param {Uint8Array} key @param {Uint8Array} bytes all before the tag */
export const frameTag = (key, bytes) => hmac(key, bytes).slice(0, 8);

/** Refuses with `session-mac`. @param {Uint8Array} frame @param {Uint8Array} key */
export function checkTag(frame, key) {
  ensure(timingSafeEqual(frameTag(key, frame.subarray(0, -8)), frame.subarray(-8)), 'session-mac');
}

/** A device's end of one session. */
export class Session {
  /** @param {{id: Uint8Array, keyUp: Uint8Array, keyDown: Uint8Array}} parts */
  constructor({ id, keyUp, keyDown }) {
    this.id = id;
    this.keyUp = keyUp;
    this.keyDown = keyDown;
    this.counter = 0n;
  }

  /** A request and the counter that its answer must carry. @param {number} type @param {any[]} items */
  request(type, items) {
    ensure(this.counter < COUNTER_MAX, 'counter-exhausted');
    this.counter += 1n;
    const bytes = concat(Uint8Array.of(type), this.id, encode(this.counter), sequence(items));
    return { frame: concat(bytes, frameTag(this.keyUp, bytes)), counter: this.counter };
  }

  /** The body of an answer to the request `expected`. @param {Uint8Array} frame @param {bigint} expected */
  accept(frame, expected) {
    const { type, session, body } = openFrame(frame, 'down');
    if (!session) return { type, body: parseBody(type, body) };
    ensure(equal(session, this.id), 'session-unknown');
    checkTag(frame, this.keyDown);
    // What is no counter is judged with the rest.
    if (body[0] >> 5 === 0) ensure(counter(new Reader(body)) === expected, 'answer-mismatch');
    return { type, body: parseBody(type, body) };
  }
}

/** The answers of one stream, as a device takes them. */
export class Stream {
  /** @param {Session} session @param {bigint} request the counter of the stream @param {bigint} frames the most answers that it asked for */
  constructor(session, request, frames) {
    this.session = session;
    this.request = request;
    this.frames = frames;
    this.next = 0n;
    this.ended = false;
  }

  /** The body of the next answer; a refusal ends the stream. @param {Uint8Array} frame */
  accept(frame) {
    ensure(!this.ended, 'stream-order');
    this.ended = true;
    const { type, body } = this.session.accept(frame, this.request);
    ensure(type === TYPE.streamAnswer, 'answer-mismatch');
    ensure(body.index === this.next && this.next < this.frames, 'stream-order');
    this.next += 1n;
    this.ended = false;
    return body;
  }
}

/** Judges a challenge by the mailboxes of the bundle. @param {Uint8Array} frame @param {Uint8Array[]} mailboxes thumbprints */
export function readChallenge(frame, mailboxes) {
  const { type, body } = openFrame(frame, 'down');
  ensure(type === TYPE.challenge, 'frame-direction');
  const challenge = parseBody(type, body);
  ensure(mailboxes.some((print) => equal(print, challenge.mailbox)), 'mailbox-mismatch');
  return challenge;
}

/**
 * A hello and what its welcome is judged by.
 * @param {{challenge: Uint8Array, ephemeral: Uint8Array, mailbox: Uint8Array}} challenge
 * @param {import('./channel.js').Channel} channel @param {Uint8Array} place channel id
 * @param {{publicKey: Uint8Array, sign: (message: Uint8Array) => Uint8Array}} key
 * @param {Uint8Array} [secret] of the ephemeral key, which is drawn for each hello
 */
export function greet(challenge, channel, place, key, secret = new Uint8Array(randomBytes(32))) {
  const deviceEphemeral = agreementPublic(secret);
  const shared = agree(secret, challenge.ephemeral);
  const meeting = { ...challenge, deviceEphemeral, mailboxEphemeral: challenge.ephemeral, place };
  const keys = deriveKeys(meeting, shared);
  const position = { kind: KIND.hello, epoch: 0n, seq: 0n, base: 0n, digest: keys.transcript };
  const payload = encode([challenge.challenge, deviceEphemeral]);
  const hello = sealEnvelope(key, position, aadDevice(KIND.hello, channel), payload);
  return { frame: plainFrame(TYPE.hello, [place, new Raw(hello.bytes)]), keys };
}

/** The session that a welcome opens. @param {Uint8Array} frame @param {Uint8Array} mailboxKey @param {import('./channel.js').Channel} channel @param {ReturnType<typeof deriveKeys>} keys */
export function readWelcome(frame, mailboxKey, channel, keys) {
  const { type, body } = openFrame(frame, 'down');
  ensure(type === TYPE.welcome, 'frame-direction');
  const aad = (/** @type {bigint} */ kind) => aadDevice(kind, channel);
  const verified = verifyEnvelope(parseBody(type, body).welcome, { role: 'mailbox', kind: KIND.welcome, plane: null, keys: [mailboxKey], aad });
  ensure(equal(verified.position.digest, keys.transcript), 'digest-mismatch');
  const { session, bundle, ageMaxS } = verified.content;
  return { session: new Session({ id: session, keyUp: keys.keyUp, keyDown: keys.keyDown }), bundle, ageMaxS };
}

/** The key among `keys` with this thumbprint. @param {Uint8Array[]} keys @param {Uint8Array} print */
export const keyOf = (keys, print) => keys.find((key) => equal(thumbprint(key), print));
