// How a device becomes known, and how its key changes.
// Implements spec/postern.md #enrolment and spec/lives.md #rotation, both ends of the request and of the answer.

import { equalBytes, equalSecret, h, hmac, utf8 } from './bytes.js';
import { externalAad } from './channel.js';
import { decode, encode } from './cbor.js';
import { expectedSigning, messageIdOf, openEnvelope, seal, verifyEnvelope, verifySigned } from './cose.js';
import { checkKey, coseKey, readCoseKey, thumbprint } from './keys.js';
import { KIND } from './kinds.js';
import { readPayload } from './payloads.js';
import { Reject, demand } from './reject.js';
import { acceptBundles } from './trust.js';

const MAC_LABEL = utf8('postern/1 enrol');

/** @typedef {Required<import('./channel.js').Place>} Channel */

/**
 * @typedef {object} Invitation
 * @property {Uint8Array} token
 * @property {Uint8Array} secret
 * @property {string} tenant
 * @property {string} device
 * @property {Uint8Array | null} usedBy thumbprint of the key that used it
 */

/**
 * Makes a request that is signed by the key which it carries.
 * @param {Channel} place
 * @param {import('./keys.js').Signer} signer of the new key
 * @param {Uint8Array} token of the invitation, or the key id of the present key
 * @param {Uint8Array} nonce 16 random bytes
 * @param {Uint8Array} [agreementKey] public key of X25519
 * @returns {{envelope: Uint8Array, messageId: Uint8Array}} untagged
 */
export function makeRequest(place, signer, token, nonce, agreementKey) {
  const members = [token, place.device, coseKey(signer.publicKey), place.incarnation, nonce];
  const payload = encode(agreementKey ? [...members, agreementKey] : members);
  const position = { kind: KIND['enrol-request'], epoch: 0n, seq: 0n, base: 0n, digest: h(payload) };
  return seal(position, payload, requestAad(place), signer);
}

/** @param {import('./channel.js').Place} place */
function requestAad(place) {
  return externalAad('tenant', KIND['enrol-request'], place, null);
}

/** The mac of frame 16. @param {Uint8Array} secret @param {Uint8Array} messageId */
export function enrolMac(secret, messageId) {
  return hmac(secret, MAC_LABEL, messageId);
}

/**
 * Verifies a request under the key that it carries. Nothing else of its payload counts before.
 * @param {import('./cose.js').Opened} opened
 * @param {import('./channel.js').Place} place
 * @returns {{messageId: Uint8Array, payload: any}}
 */
function verifyRequest(opened, place) {
  const expected = /** @type {const} */ ({ role: 'enrolling', plane: null });
  expectedSigning(opened, { ...expected, keys: [] });
  const members = decode(opened.payloadBytes);
  demand(Array.isArray(members), 'shape');
  const key = readCoseKey(members[2]);
  checkKey(key);
  const signed = verifySigned(opened, { ...expected, place, keys: [key] });
  return { messageId: signed.messageId, payload: readPayload(signed, signed.payloadBytes) };
}

/**
 * Judges frame 16 as a controller does: the token of the frame, the mac, the signature, then what was signed.
 * @param {{token: Uint8Array, mac: Uint8Array, request: Uint8Array}} frame
 * @param {Uint8Array} genesis
 * @param {Invitation[]} invitations
 * @returns {{mac: Uint8Array, messageId: Uint8Array, payload: any}}
 */
export function acceptRequest({ token, mac, request }, genesis, invitations) {
  const invitation = invitations.find((open) => equalBytes(open.token, token));
  if (!invitation) throw new Reject('token-unknown');
  const opened = openEnvelope(request);
  const place = { genesis, tenant: invitation.tenant };
  const expectedMac = enrolMac(invitation.secret, messageIdOf(opened, requestAad(place)));
  demand(equalSecret(expectedMac, mac), 'enrol-mac');
  const { messageId, payload } = verifyRequest(opened, place);
  demand(equalBytes(payload.token, token) && payload.device === invitation.device, 'token-unknown');
  demand(!invitation.usedBy || equalBytes(invitation.usedBy, thumbprint(payload.key)), 'token-used');
  return { mac, messageId, payload };
}

/**
 * Judges the request for a next key, out of list 6 of a report.
 * @param {Uint8Array} envelope untagged
 * @param {Uint8Array} current thumbprint of the present key
 * @param {Channel} place
 * @returns {{messageId: Uint8Array, next: Uint8Array}} `next` is the thumbprint of the next key
 */
export function acceptRotation(envelope, current, place) {
  const { payload, messageId } = verifyRequest(openEnvelope(envelope), place);
  demand(equalBytes(payload.token, current.slice(0, 8)) && payload.device === place.device, 'token-unknown');
  demand(equalBytes(payload.incarnation, place.incarnation), 'token-unknown');
  const next = thumbprint(payload.key);
  demand(!equalBytes(next, current), 'token-used');
  return { messageId, next };
}

/**
 * Judges frame 17 as a device does.
 * @param {{bundles: any[], answer: Uint8Array}} frame the bundles as their decoded members
 * @param {import('./trust.js').Pins} pins
 * @param {Channel} place
 * @param {Uint8Array} publicKey of the device
 * @param {Uint8Array} requestId message id of its request
 * @returns {{bundle: import('./trust.js').Bundle, unixS: bigint | undefined}}
 */
export function acceptAnswer({ bundles, answer }, pins, place, publicKey, requestId) {
  const bundle = acceptBundles(pins, bundles.map(encode));
  const { bundleNumber, unixS } = verifyAnswer(answer, bundle, place, publicKey, requestId);
  demand(bundleNumber === bundle.number, 'enrol-answer-mismatch');
  return { bundle, unixS };
}

/**
 * Verifies an enrol-answer for a request of this device; the answer to a rotation may name any bundle.
 * @param {Uint8Array} envelope untagged
 * @param {import('./trust.js').Bundle} bundle
 * @param {Channel} place
 * @param {Uint8Array} publicKey the key that the request asked for
 * @param {Uint8Array} requestId
 * @returns {{bundleNumber: bigint, unixS: bigint | undefined}}
 */
function verifyAnswer(envelope, bundle, place, publicKey, requestId) {
  const writer = bundle.tenants.get(place.tenant);
  const { digest, payload } = verifyEnvelope(envelope, {
    role: 'writer', plane: null, kind: KIND['enrol-answer'], place, keys: writer ? [writer.key] : [], revoked: bundle.revokedHex,
  });
  demand(equalBytes(digest, requestId) && equalBytes(payload.thumbprint, thumbprint(publicKey)), 'enrol-answer-mismatch');
  return payload;
}

/**
 * The message id of an own request.
 * @param {Uint8Array} envelope untagged
 * @param {import('./channel.js').Place} place
 */
export function requestId(envelope, place) {
  return messageIdOf(openEnvelope(envelope), requestAad(place));
}
