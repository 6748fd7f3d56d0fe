// Enrolment and rotation, as a device does them. Implements spec/postern.md#enrolment and spec/lives.md#rotation.
import { randomBytes } from 'node:crypto';
import { equal, hmac, sha256, utf8 } from './bytes.js';
import { encode } from './cbor.js';
import { aadDevice, aadTenant } from './channel.js';
import { readEnvelope, sealEnvelope, verifyEnvelope } from './cose.js';
import { plainFrame, Raw, TYPE } from './frames.js';
import { thumbprint, toCoseKey } from './keys.js';
import { KIND } from './kinds.js';
import { readPayload } from './payload.js';
import { ensure } from './reject.js';
import { acceptBundles } from './trust.js';

/** @typedef {import('./channel.js').Channel} Channel */
/** @typedef {{publicKey: Uint8Array, sign: (message: Uint8Array) => Uint8Array}} SigningKey */

/** An enrol-request that `key` signs for itself. @param {SigningKey} key @param {Channel} channel @param {Uint8Array} token @param {Uint8Array | null} agreement */
export function sealRequest(key, channel, token, agreement) {
  const nonce = new Uint8Array(randomBytes(16));
  const members = [token, channel.device, toCoseKey(key.publicKey), channel.incarnation, nonce];
  const payload = encode(agreement ? [...members, agreement] : members);
  const position = { kind: KIND.enrolRequest, epoch: 0n, seq: 0n, base: 0n, digest: sha256(payload) };
  return sealEnvelope(key, position, aadTenant(KIND.enrolRequest, channel.genesis, channel.tenant), payload);
}

/** @param {Uint8Array} secret @param {Uint8Array} messageId */
export const enrolMac = (secret, messageId) => hmac(secret, utf8('postern/1 enrol'), messageId);

/** Frame 16. @param {ReturnType<typeof sealRequest>} request @param {Uint8Array} token @param {Uint8Array} secret */
export const enrolFrame = (request, token, secret) =>
  plainFrame(TYPE.enrol, [token, enrolMac(secret, request.messageId), new Raw(request.bytes)]);

/** The key that an enrol-request names for itself; its payload is not trusted by that. @param {Uint8Array} bytes untagged */
export function namedKey(bytes) {
  const envelope = readEnvelope(bytes);
  ensure(envelope.position.kind === KIND.enrolRequest, 'signer-role');
  return readPayload(envelope).publicKey;
}

/**
 * Frame 17: bundles from 1 on, then the writer's answer.
 * @param {{bundles: Uint8Array[], answer: Uint8Array}} body @param {Channel} channel
 * @param {{genesis: Uint8Array, recovery: Uint8Array}} pins @param {Uint8Array} requestId @param {Uint8Array} publicKey
 */
export function acceptEnrolled(body, channel, pins, requestId, publicKey) {
  const bundle = acceptBundles(pins, null, body.bundles);
  ensure(bundle, 'shape');
  const last = /** @type {import('./trust.js').Bundle} */ (bundle);
  const answer = verifyAnswer(body.answer, channel, last);
  const { content, position } = answer;
  const mine = equal(position.digest, requestId) && equal(content.thumbprint, thumbprint(publicKey));
  ensure(mine && content.bundle === last.number, 'enrol-answer-mismatch');
  return last;
}

/** An enrol-answer of the tenant's writer. @param {Uint8Array} bytes @param {Channel} channel @param {import('./trust.js').Bundle} bundle */
export function verifyAnswer(bytes, channel, bundle) {
  const writer = bundle.writers.get(channel.tenant);
  const aad = (/** @type {bigint} */ kind) => aadDevice(kind, channel);
  const keys = writer ? [writer.key] : [];
  return verifyEnvelope(bytes, { role: 'writer', kind: KIND.enrolAnswer, plane: null, keys, aad, revoked: bundle.revoked });
}
