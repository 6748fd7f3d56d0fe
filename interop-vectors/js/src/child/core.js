// Operations about CBOR, keys, channels and single envelopes.
// See interop-vectors/README.md #operations.

import { toHex, h } from '../bytes.js';
import { decode, encode } from '../cbor.js';
import { channelPreimage, mailboxPreimage, tenantPreimage } from '../channel.js';
import { untag, verifyEnvelope } from '../cose.js';
import { checkKey, coseKey, keyId, thumbprint, verifies } from '../keys.js';
import { demand } from '../reject.js';
import { hex, hexValue, list, member, text } from './request.js';

/** @param {any} request */
function cborCheck(request) {
  decode(hex(request, 'input'));
}

/** @param {any} request */
function keyThumbprint(request) {
  const key = hex(request, 'public_key');
  checkKey(key);
  return { cose_key: toHex(encode(coseKey(key))), thumbprint: toHex(thumbprint(key)), kid: toHex(keyId(key)) };
}

/** @param {number} length @returns {(request: any) => void} */
function signatureVerify(length) {
  return (request) => {
    const key = hex(request, 'public_key');
    const message = hex(request, 'message');
    const signature = hex(request, 'signature');
    demand(key.length === length, 'key-refused');
    checkKey(key);
    demand(signature.length === 64, 'signature-length');
    demand(verifies(key, message, signature), 'signature-invalid');
  };
}

/** @param {any} request */
function channelIdOf(request) {
  const preimage = channelPreimage(hex(request, 'root'), text(request, 'tenant'), text(request, 'device'));
  return { preimage: toHex(preimage), channel_id: toHex(h(preimage).slice(0, 16)) };
}

/** @param {any} request */
function greeterId(request) {
  const root = hex(request, 'root');
  const preimage = request.mailbox === undefined
    ? tenantPreimage(root, text(request, 'tenant')) : mailboxPreimage(root, hex(request, 'mailbox'));
  return { preimage: toHex(preimage), greeter_id: toHex(h(preimage).slice(0, 16)) };
}

/** @param {any} request */
function sign1Verify(request) {
  const verified = verifyEnvelope(untag(hex(request, 'cose')), {
    role: /** @type {any} */ (text(request, 'role')),
    plane: member(request, 'plane'),
    aad: hex(request, 'aad'),
    keys: [hex(request, 'public_key')],
    revoked: new Set(request.revoked === undefined ? [] : list(request, 'revoked').map((print) => toHex(hexValue(print)))),
  });
  return {
    message_id: toHex(verified.messageId),
    protected: toHex(verified.protected),
    payload: toHex(verified.payloadBytes),
    tbs: toHex(verified.tbs),
    signature: toHex(verified.signature),
  };
}

/** @type {Record<string, (request: any) => any>} */
export const operations = {
  'cbor.check': cborCheck,
  'key.thumbprint': keyThumbprint,
  'key.check': keyThumbprint,
  'ed25519.verify': signatureVerify(32),
  'esp256.verify': signatureVerify(65),
  'channel.id': channelIdOf,
  'greeter.id': greeterId,
  'sign1.verify': sign1Verify,
};
