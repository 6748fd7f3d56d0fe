// X25519 (RFC 7748): ephemerals of sessions and agreement keys. Implements spec/encryption.md#agreement-key and the
// key agreement of spec/postern.md#hello.
import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import { concat, fromHex } from './bytes.js';
import { ensure, Reject } from './reject.js';

const X25519_PKCS8 = fromHex('302e020100300506032b656e04220420');
const X25519_SPKI = fromHex('302a300506032b656e032100');

/** @param {Uint8Array} secret */
const secretKey = (secret) => createPrivateKey({ key: Buffer.from(concat(X25519_PKCS8, secret)), format: 'der', type: 'pkcs8' });

/** The public half of an X25519 secret. @param {Uint8Array} secret */
export function agreementPublic(secret) {
  const der = createPublicKey(secretKey(secret)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(der.subarray(-32));
}

/** X25519; an all-zero result is refused with `reject`. @param {Uint8Array} secret @param {Uint8Array} other @param {'ephemeral-invalid' | 'decryption-failed' | 'key-refused'} [reject] */
export function agree(secret, other, reject = 'ephemeral-invalid') {
  const publicKey = createPublicKey({ key: Buffer.from(concat(X25519_SPKI, other)), format: 'der', type: 'spki' });
  let shared;
  try {
    shared = new Uint8Array(diffieHellman({ privateKey: secretKey(secret), publicKey }));
  } catch {
    throw new Reject(reject);
  }
  ensure(shared.some((byte) => byte !== 0), reject);
  return shared;
}

/** Refuses an agreement key that gives an all-zero secret; any scalar shows it. @param {Uint8Array} key */
export function checkAgreementKey(key) {
  agree(new Uint8Array(32).fill(1), key, 'key-refused');
}
