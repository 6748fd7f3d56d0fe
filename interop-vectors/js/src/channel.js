// Names, channels and the places of signatures.
// Implements spec/postern.md #names, #channel and #aad, and the ids of spec/relays.md #writer-sessions.

import { h } from './bytes.js';
import { encode } from './cbor.js';
import { demand } from './reject.js';

/**
 * What an envelope is signed for; a profile uses the first members only.
 * @typedef {object} Place
 * @property {Uint8Array} genesis thumbprint of the genesis root key
 * @property {string} [tenant]
 * @property {string} [device]
 * @property {Uint8Array} [incarnation]
 */

/** @param {unknown} name a tenant or device name */
export function checkName(name) {
  demand(typeof name === 'string' && /^[a-z0-9][a-z0-9._-]{0,62}$/.test(name), 'name-invalid');
}

/**
 * The bytes that a channel id is the hash of.
 * @param {Uint8Array} genesis @param {string} tenant @param {string} device
 * @returns {Uint8Array}
 */
export function channelPreimage(genesis, tenant, device) {
  checkName(tenant);
  checkName(device);
  return encode(['postern-channel', genesis, tenant, device]);
}

/** @param {Uint8Array} genesis @param {string} tenant @param {string} device @returns {Uint8Array} 16 bytes */
export function channelId(genesis, tenant, device) {
  return h(channelPreimage(genesis, tenant, device)).slice(0, 16);
}

/** @param {Uint8Array} genesis @param {string} tenant @returns {Uint8Array} */
export function tenantPreimage(genesis, tenant) {
  checkName(tenant);
  return encode(['postern-tenant', genesis, tenant]);
}

/** @param {Uint8Array} genesis @param {Uint8Array} mailbox thumbprint of the key that greets @returns {Uint8Array} */
export function mailboxPreimage(genesis, mailbox) {
  return encode(['postern-mailbox', genesis, mailbox]);
}

/**
 * The external_aad of an envelope.
 * @param {'trust' | 'tenant' | 'device' | 'plane'} profile
 * @param {bigint} kind
 * @param {Place} place
 * @param {bigint | null} plane
 * @returns {Uint8Array}
 */
export function externalAad(profile, kind, place, plane) {
  const { genesis, tenant, device, incarnation } = place;
  const members = ['postern/1', kind, genesis, tenant, device, incarnation, plane];
  return encode(members.slice(0, { trust: 3, tenant: 4, device: 6, plane: 7 }[profile]));
}
