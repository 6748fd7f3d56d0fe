// What operators carry: join, trust and relay lines. Implements spec/lives.md#join-line and spec/relays.md#trust-line.
import { decode, encode } from './cbor.js';
import { checkName } from './channel.js';
import { checkKey, fromCoseKey } from './keys.js';
import { JOIN_LINE_CHARS_MAX, TRUST_LINE_CHARS_MAX } from './limits.js';
import { readUrls } from './payload.js';
import { ensure } from './reject.js';
import * as shape from './shape.js';
import { acceptBundles } from './trust.js';
import { outerMembers } from './cose.js';

/** The map behind a prefix. @param {string} text @param {string} prefix @param {number} charsMax */
function openLine(text, prefix, charsMax) {
  const line = text.trim();
  ensure(line.length <= charsMax, 'oversize');
  ensure(line.startsWith(prefix), 'shape');
  const digits = line.slice(prefix.length);
  ensure(/^[A-Za-z0-9_-]*$/.test(digits), 'shape');
  const bytes = Buffer.from(digits, 'base64url');
  ensure(bytes.toString('base64url') === digits, 'shape');
  return decode(new Uint8Array(bytes));
}

/** @param {string} text */
export function readJoinLine(text) {
  const map = shape.fields(openLine(text, 'postern1:', JOIN_LINE_CHARS_MAX), [1n, 2n, 3n, 4n, 5n, 6n, 7n], [8n, 9n]);
  const [tenant, device] = [shape.text(map.get(4n)), shape.text(map.get(5n))];
  checkName(tenant);
  checkName(device);
  return {
    urls: shape.array(map.get(1n), 1, Infinity).map(shape.text),
    pins: { genesis: shape.bytes(map.get(2n), 32), recovery: shape.bytes(map.get(3n), 32) },
    tenant, device,
    token: shape.bytes(map.get(6n), 8), secret: shape.bytes(map.get(7n), 32),
    certificate: map.has(8n) ? shape.bytes(map.get(8n)) : null,
    mailbox: map.has(9n) ? shape.bytes(map.get(9n), 32) : null,
  };
}

/** Bundles of a trust line, verified. @param {string} text */
export function readTrustLine(text) {
  const map = shape.fields(openLine(text, 'postern-trust1:', TRUST_LINE_CHARS_MAX), [1n, 2n, 3n]);
  const pins = { genesis: shape.bytes(map.get(1n), 32), recovery: shape.bytes(map.get(2n), 32) };
  const bundles = shape.array(map.get(3n), 1, Infinity);
  bundles.forEach(outerMembers);
  const newest = acceptBundles(pins, null, bundles.map(encode));
  return { pins, bundles: Number(newest?.number ?? 0n) };
}


/** A relay's key and URLs. @param {string} text */
export function readRelayLine(text) {
  const map = shape.fields(openLine(text, 'postern-relay1:', JOIN_LINE_CHARS_MAX), [1n, 2n], [3n]);
  const key = fromCoseKey(map.get(1n));
  const urls = readUrls(map.get(2n));
  if (map.has(3n)) shape.bytes(map.get(3n));
  checkKey(key);
  return { key, urls };
}
