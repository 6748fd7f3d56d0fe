// Names, channel ids and external_aad. Implements spec/postern.md#names, #channel, #aad and spec/relays.md#writer-sessions.
import { sha256 } from './bytes.js';
import { encode } from './cbor.js';
import { ensure } from './reject.js';

/** Refuses with `name-invalid` what is no tenant or device name. @param {unknown} name */
export function checkName(name) {
  ensure(typeof name === 'string' && /^[a-z0-9][a-z0-9._-]{0,62}$/.test(name), 'name-invalid');
}

/** @param {any[]} parts */
const place = (parts) => {
  const preimage = encode(parts);
  return { preimage, id: sha256(preimage).slice(0, 16) };
};

/** @param {Uint8Array} genesis @param {string} tenant @param {string} device */
export function channelId(genesis, tenant, device) {
  checkName(tenant);
  checkName(device);
  return place(['postern-channel', genesis, tenant, device]);
}

/** @param {Uint8Array} genesis @param {string} tenant */
export function tenantId(genesis, tenant) {
  checkName(tenant);
  return place(['postern-tenant', genesis, tenant]);
}

/** @param {Uint8Array} genesis @param {Uint8Array} print thumbprint of the key that greets */
export const mailboxId = (genesis, print) => place(['postern-mailbox', genesis, print]);

/**
 * What a verifier expects, never taken from the message.
 * @typedef {{genesis: Uint8Array, tenant: string, device: string, incarnation: Uint8Array}} Channel
 */

/** @param {bigint} kind @param {Uint8Array} genesis */
export const aadTrust = (kind, genesis) => encode(['postern/1', kind, genesis]);

/** @param {bigint} kind @param {Uint8Array} genesis @param {string} tenant */
export const aadTenant = (kind, genesis, tenant) => encode(['postern/1', kind, genesis, tenant]);

/** @param {bigint} kind @param {Channel} channel */
export const aadDevice = (kind, { genesis, tenant, device, incarnation }) =>
  encode(['postern/1', kind, genesis, tenant, device, incarnation]);

/** @param {bigint} kind @param {Channel} channel @param {bigint} plane */
export const aadPlane = (kind, { genesis, tenant, device, incarnation }, plane) =>
  encode(['postern/1', kind, genesis, tenant, device, incarnation, plane]);
