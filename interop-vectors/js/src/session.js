// Sessions: the handshake of a device with a mailbox, the keys, and the tags and counters of frames.
// Implements spec/postern.md #sessions, #hello and the order of #stream, as a device judges them.

import { equalBytes, equalSecret, h, utf8 } from './bytes.js';
import { channelId, externalAad } from './channel.js';
import { encode } from './cbor.js';
import { seal, verifyEnvelope } from './cose.js';
import { Agreement, hkdf, thumbprint } from './keys.js';
import { KIND } from './kinds.js';
import { COUNTER_MAX } from './limits.js';
import {
  FRAME, frameType, isSessionType, readPlainFrame, readSessionBody, splitSessionFrame, tagOf, writePlainFrame,
  writeSessionFrame,
} from './frames.js';
import { Reject, demand, rejectName } from './reject.js';

/**
 * What both ends know of a handshake before its keys.
 * @typedef {object} Handshake
 * @property {Uint8Array} mailboxThumbprint
 * @property {Uint8Array} challenge
 * @property {Uint8Array} deviceEphemeral
 * @property {Uint8Array} mailboxEphemeral
 * @property {Uint8Array} channel the channel id, or the id that stands in its place
 */

/** The bytes that a transcript is the hash of. @param {Handshake} handshake */
export function transcriptPreimage({ mailboxThumbprint, challenge, deviceEphemeral, mailboxEphemeral, channel }) {
  return encode(['postern/1 session', mailboxThumbprint, challenge, deviceEphemeral, mailboxEphemeral, channel]);
}

/**
 * The keys of a session. Either end gives its own agreement and the ephemeral of the other.
 * @param {Handshake} handshake @param {Agreement} own @param {Uint8Array} other
 */
export function deriveKeys(handshake, own, other) {
  const shared = own.shared(other);
  if (!shared) throw new Reject('ephemeral-invalid');
  const preimage = transcriptPreimage(handshake);
  const transcript = h(preimage);
  return {
    preimage,
    transcript,
    shared,
    keyUp: hkdf(transcript, shared, utf8('postern/1 up'), 32),
    keyDown: hkdf(transcript, shared, utf8('postern/1 down'), 32),
  };
}

/** Frame 18. @param {bigint} bundle the number of the bundle that the device holds */
export function writeAsk(bundle) {
  return writePlainFrame(FRAME.ask, encode(1n), encode(bundle));
}

/**
 * A challenge, as a device judges it.
 * @param {Uint8Array} bytes @param {Uint8Array[]} mailboxes thumbprints that the bundle lists
 */
export function readChallenge(bytes, mailboxes) {
  const frame = expectPlain(bytes, FRAME.challenge);
  demand(mailboxes.some((listed) => equalBytes(listed, frame.mailboxThumbprint)), 'mailbox-mismatch');
  return frame;
}

/** A plain frame that has to be of one type; frame 22 is given to the caller as `Refused`. @param {Uint8Array} bytes @param {number} type */
export function expectPlain(bytes, type) {
  const came = frameType(bytes, 'down');
  if (came === FRAME.refused) throw refusal(bytes);
  demand(came === type, 'shape'); // a frame of the wrong type for its place
  return readPlainFrame(bytes, 'down');
}

/** Frame 22: unsigned advice that ends an attempt or a session and changes nothing else. */
export class Refused extends Error {
  /** @param {number} code @param {bigint | undefined} retryMs */
  constructor(code, retryMs) {
    super('refused');
    this.code = code;
    this.reason = rejectName(code) ?? 'unknown';
    this.retryMs = retryMs;
  }
}

/** @param {Uint8Array} bytes a frame 22 @returns {Refused} */
export function refusal(bytes) {
  const { code, retryMs } = readPlainFrame(bytes, 'down');
  return new Refused(code, retryMs);
}

/**
 * @typedef {object} Greeter the device that opens a session
 * @property {Uint8Array} genesis
 * @property {string} tenant
 * @property {string} device
 * @property {Uint8Array} incarnation
 */

/**
 * Answers a challenge with a hello.
 * @param {Greeter} place @param {import('./keys.js').Signer} signer
 * @param {{challenge: Uint8Array, mailboxEphemeral: Uint8Array, mailboxThumbprint: Uint8Array}} challenge
 * @param {Agreement} ephemeral fresh, for this hello alone
 */
export function makeHello(place, signer, challenge, ephemeral) {
  const handshake = deviceHandshake(place, challenge, ephemeral.publicKey);
  const keys = deriveKeys(handshake, ephemeral, challenge.mailboxEphemeral);
  const payload = encode([challenge.challenge, ephemeral.publicKey]);
  const position = { kind: KIND['session-hello'], epoch: 0n, seq: 0n, base: 0n, digest: keys.transcript };
  const aad = externalAad('device', position.kind, place, null);
  const { envelope } = seal(position, payload, aad, signer);
  return { keys, frame: writePlainFrame(FRAME.hello, encode(handshake.channel), envelope) };
}

/** @param {Greeter} place @param {any} challenge @param {Uint8Array} deviceEphemeral @returns {Handshake} */
export function deviceHandshake(place, challenge, deviceEphemeral) {
  const channel = channelId(place.genesis, place.tenant, place.device);
  return { ...challenge, deviceEphemeral, channel };
}

/**
 * A welcome, as a device judges it.
 * @param {Uint8Array} bytes @param {Greeter} place @param {Uint8Array} transcript
 * @param {Uint8Array[]} keys the mailbox key that the bundle lists under the thumbprint of the challenge
 * @param {Set<string>} [revoked]
 */
export function readWelcome(bytes, place, transcript, keys, revoked) {
  const { welcome } = expectPlain(bytes, FRAME.welcome);
  const kind = KIND['session-welcome'];
  const verified = verifyEnvelope(welcome, { role: 'mailbox', plane: null, kind, place, keys, revoked, profile: 'device' });
  demand(equalBytes(verified.digest, transcript), 'digest-mismatch');
  const { sessionId, bundleNumber, ageMaxS, unixS } = verified.payload;
  return { session: sessionId, bundle: bundleNumber, ageMaxS: Number(ageMaxS), unixS };
}

/** The key of a mailbox among public keys, by its thumbprint. @param {Uint8Array[]} keys @param {Uint8Array} print */
export function keysNamed(keys, print) {
  return keys.filter((key) => equalBytes(thumbprint(key), print));
}

/** The end of a session that a device holds: it counts its requests and judges the answers. */
export class Session {
  /** @param {Uint8Array} id @param {Uint8Array} keyUp @param {Uint8Array} keyDown */
  constructor(id, keyUp, keyDown) {
    this.id = id;
    this.keyUp = keyUp;
    this.keyDown = keyDown;
    this.counter = 0;
  }

  /** Whether another request may be sent. */
  get spent() {
    return this.counter >= COUNTER_MAX;
  }

  /**
   * A request under the next counter, which is never used again.
   * @param {number} type @param {...Uint8Array} items encoded items behind the counter
   */
  request(type, ...items) {
    if (this.spent) throw new RangeError('no counter is left');
    this.counter += 1;
    const frame = writeSessionFrame(type, this.id, this.keyUp, encode(BigInt(this.counter)), ...items);
    return { frame, counter: this.counter };
  }

  /**
   * The answer to a request: direction, session, tag, type, counter and body, in this order.
   * @param {Uint8Array} bytes @param {number} counter of the request @param {number[]} types that answer it
   * @returns {any}
   */
  answer(bytes, counter, types) {
    const type = frameType(bytes, 'down');
    if (type === FRAME.refused) throw refusal(bytes);
    demand(isSessionType(type), 'shape');
    const { session, body, signed, tag } = splitSessionFrame(bytes);
    demand(equalBytes(session, this.id), 'session-unknown');
    demand(equalSecret(tagOf(this.keyDown, signed), tag), 'session-mac');
    demand(types.includes(type), 'answer-mismatch');
    const read = readSessionBody(type, body, (came) => demand(came === counter, 'answer-mismatch'));
    demand(read.counter === counter, 'answer-mismatch');
    return { type, ...read };
  }
}

/** The answers of one stream, in their order. */
export class StreamOrder {
  /** @param {Session} session @param {number} counter of the stream request @param {number} frames it takes at most */
  constructor(session, counter, frames) {
    this.session = session;
    this.counter = counter;
    this.frames = frames;
    this.next = 0;
    this.ended = false;
  }

  /** @param {Uint8Array} bytes @returns {any} */
  answer(bytes) {
    try {
      const read = this.session.answer(bytes, this.counter, [FRAME.streamAnswer]);
      demand(read.index === this.next && this.next < this.frames, 'stream-order');
      this.next += 1;
      return read;
    } catch (error) {
      this.ended = true;
      throw error;
    }
  }
}
