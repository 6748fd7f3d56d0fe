// The lines that an operator carries: join line, trust line and relay line.
// Implements spec/lives.md #join-line and spec/relays.md #trust-line.

import { isBytes } from './bytes.js';
import { readKey, readUrls } from './bundle.js';
import { checkName } from './channel.js';
import { decode, encode } from './cbor.js';
import { JOIN_LINE_CHARS_MAX, TRUST_LINE_CHARS_MAX } from './limits.js';
import { demand } from './reject.js';
import { acceptBundles } from './trust.js';

/** A line without a form that has a reject: an operator is told, and no peer sent it. */
export class LineError extends Error {}

/**
 * The map of a line.
 * @param {string} text
 * @param {string} prefix
 * @param {number} most characters
 * @returns {any}
 */
function readLine(text, prefix, most) {
  const line = text.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, '');
  if (line.length > most) throw new LineError('the line has too many characters');
  if (!line.startsWith(prefix)) throw new LineError(`the line does not begin with ${prefix}`);
  const base64 = line.slice(prefix.length);
  const bytes = new Uint8Array(Buffer.from(base64, 'base64url'));
  if (Buffer.from(bytes).toString('base64url') !== base64) throw new LineError('the line is broken: copy it whole');
  return decode(bytes);
}

/** @param {any} map @param {bigint[]} needed @param {bigint[]} [more] */
function checkFields(map, needed, more = []) {
  demand(map instanceof Map && needed.every((field) => map.has(field)), 'shape');
  demand([...map.keys()].every((field) => needed.includes(field) || more.includes(field)), 'shape');
}

/**
 * @typedef {object} JoinLine
 * @property {string[]} urls
 * @property {Uint8Array} genesis
 * @property {Uint8Array} recovery
 * @property {string} tenant
 * @property {string} device
 * @property {Uint8Array} token
 * @property {Uint8Array} secret
 * @property {Uint8Array} [certificate] DER of a further authority for TLS, and for nothing else
 * @property {Uint8Array} [mailbox] thumbprint that the bundles have to list
 */

/** @param {string} text @returns {JoinLine} */
export function readJoinLine(text) {
  const map = readLine(text, 'postern1:', JOIN_LINE_CHARS_MAX);
  checkFields(map, [1n, 2n, 3n, 4n, 5n, 6n, 7n], [8n, 9n]);
  const [urls, genesis, recovery, tenant, device, token, secret, certificate, mailbox] =
    [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n].map((field) => map.get(field));
  demand(Array.isArray(urls) && urls.length > 0 && urls.every((url) => typeof url === 'string'), 'shape');
  demand(isBytes(genesis, 32) && isBytes(recovery, 32) && isBytes(token, 8) && isBytes(secret, 32), 'shape');
  demand(typeof tenant === 'string' && typeof device === 'string', 'shape');
  demand(certificate === undefined || isBytes(certificate), 'shape');
  demand(mailbox === undefined || isBytes(mailbox, 32), 'shape');
  checkName(tenant);
  checkName(device);
  return { urls, genesis, recovery, tenant, device, token, secret, certificate, mailbox };
}

/**
 * @param {string} text
 * @returns {{genesis: Uint8Array, recovery: Uint8Array, bundle: import('./trust.js').Bundle}} the newest bundle
 */
export function readTrustLine(text) {
  const map = readLine(text, 'postern-trust1:', TRUST_LINE_CHARS_MAX);
  checkFields(map, [1n, 2n, 3n]);
  const [genesis, recovery, bundles] = [1n, 2n, 3n].map((field) => map.get(field));
  demand(isBytes(genesis, 32) && isBytes(recovery, 32), 'shape');
  demand(Array.isArray(bundles) && bundles.length > 0 && bundles.every(isEnvelope), 'shape');
  return { genesis, recovery, bundle: acceptBundles({ genesis, recovery }, bundles.map(encode)) };
}

/** The outer form of an envelope. @param {any} members */
function isEnvelope(members) {
  return Array.isArray(members) && members.length === 4 && members[1] instanceof Map
    && [0, 2, 3].every((at) => isBytes(members[at]));
}

/** @param {string} text @returns {{key: Uint8Array, urls: string[], certificate?: Uint8Array}} */
export function readRelayLine(text) {
  const map = readLine(text, 'postern-relay1:', JOIN_LINE_CHARS_MAX);
  checkFields(map, [1n, 2n], [3n]);
  const key = readKey(map.get(1n));
  const urls = readUrls(map.get(2n));
  const certificate = map.get(3n);
  demand(certificate === undefined || isBytes(certificate), 'shape');
  return { key, urls, certificate };
}
