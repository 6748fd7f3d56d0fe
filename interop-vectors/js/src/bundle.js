// The content of one bundle.
// Implements spec/postern.md #bundle as far as a bundle can be judged alone; src/trust.js compares it with the one held.

import { compareBytes, isBytes, isUint, toHex, utf8 } from './bytes.js';
import { checkName } from './channel.js';
import { checkKey, readCoseKey, thumbprint } from './keys.js';
import { BUNDLE_LIST_MAX, URLS_MAX, URL_BYTES_MAX } from './limits.js';
import { demand } from './reject.js';

/**
 * @typedef {object} BundleContent
 * @property {Uint8Array} root
 * @property {Uint8Array} recovery
 * @property {Map<string, {generation: bigint, key: Uint8Array}>} tenants
 * @property {{key: Uint8Array, thumbprint: Uint8Array, urls: string[]}[]} mailboxes
 * @property {Uint8Array[]} revoked
 * @property {Set<string>} revokedHex the same in hexadecimal
 */

/**
 * Judges the content in reading order, then what it revokes and lists itself.
 * @param {any} payload decoded
 * @returns {BundleContent}
 */
export function readBundle(payload) {
  demand(payload instanceof Map && payload.size === 5, 'shape');
  demand([1n, 2n, 3n, 4n, 5n].every((field) => payload.has(field)), 'shape');
  const root = readKey(payload.get(1n));
  const recovery = readKey(payload.get(2n));
  const tenants = readTenants(payload.get(3n));
  const mailboxes = readMailboxes(payload.get(4n));
  const revoked = readRevoked(payload.get(5n));
  const revokedHex = new Set(revoked.map(toHex));
  const listed = [root, recovery, ...[...tenants.values()].map(({ key }) => key), ...mailboxes.map(({ key }) => key)];
  demand(!listed.some((key) => revokedHex.has(toHex(thumbprint(key)))), 'key-revoked');
  return { root, recovery, tenants, mailboxes, revoked, revokedHex };
}

/** A key that becomes known here. @param {any} value @returns {Uint8Array} */
export function readKey(value) {
  const key = readCoseKey(value);
  checkKey(key);
  return key;
}

/** @param {any} field */
function readTenants(field) {
  demand(field instanceof Map && field.size > 0, 'shape');
  demand(field.size <= BUNDLE_LIST_MAX, 'oversize');
  const tenants = new Map();
  for (const [name, writer] of field) {
    demand(typeof name === 'string', 'shape');
    checkName(name);
    demand(Array.isArray(writer) && writer.length === 2 && isUint(writer[0]), 'shape');
    demand(writer[0] > 0n, 'bundle-generation');
    tenants.set(name, { generation: writer[0], key: readKey(writer[1]) });
  }
  return tenants;
}

/** @param {any} field */
function readMailboxes(field) {
  demand(Array.isArray(field), 'shape');
  demand(field.length <= BUNDLE_LIST_MAX, 'oversize');
  return field.map((mailbox) => {
    demand(Array.isArray(mailbox) && mailbox.length === 2, 'shape');
    const key = readKey(mailbox[0]);
    return { key, thumbprint: thumbprint(key), urls: readUrls(mailbox[1]) };
  });
}

/** @param {any} urls @returns {string[]} */
export function readUrls(urls) {
  demand(Array.isArray(urls) && urls.length > 0, 'shape');
  demand(urls.length <= URLS_MAX, 'oversize');
  for (const url of urls) {
    demand(typeof url === 'string' && url.length > 0, 'shape');
    demand(utf8(url).length <= URL_BYTES_MAX, 'oversize');
  }
  return urls;
}

/** @param {any} field @returns {Uint8Array[]} */
function readRevoked(field) {
  demand(Array.isArray(field), 'shape');
  demand(field.length <= BUNDLE_LIST_MAX, 'oversize');
  field.forEach((print, at) => {
    demand(isBytes(print, 32), 'shape');
    demand(at === 0 || compareBytes(field[at - 1], print) < 0, 'shape');
  });
  return field;
}
