// Values of states in JSON, as interop-vectors/README.md#values-of-a-state writes them, and integers of any size.
import { fromHex } from '../bytes.js';

/** Parses JSON in which integers keep all their digits: they become bigint. @param {string} text */
export function parseExact(text) {
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?![\d.eE])/g, (token) => (token[0] === '"' ? token : `"\\u0001${token}"`));
  return JSON.parse(marked, (_key, value) => (typeof value === 'string' && value[0] === '\u0001' ? BigInt(value.slice(1)) : value));
}

/** Writes JSON with bigint as digits. @param {any} value */
export function writeExact(value) {
  const text = JSON.stringify(value, (_key, member) => (typeof member === 'bigint' ? `\u0001${member}` : member));
  return text.replace(/"\\u0001(-?\d+)"/g, '$1');
}

/** @param {any} value */
export function valueOf(value) {
  if (value === null || typeof value !== 'object') {
    if (typeof value === 'number') throw new TypeError('a number that is no integer');
    return value;
  }
  if ('int' in value) return BigInt(value.int);
  if ('float' in value) return new DataView(fromHex(value.float).buffer).getFloat64(0);
  if ('bytes' in value) return fromHex(value.bytes);
  if ('reference' in value) {
    const { digest, size, media_type } = value.reference;
    return [fromHex(digest), BigInt(typeof size === 'object' ? size.int : size), media_type];
  }
  return [];
}

/** The state of a request, `fill` included. @param {any} request @returns {Map<string, any>} */
export function stateOf({ state, fill }) {
  if (!fill) return new Map(Object.entries(state).map(([path, value]) => [path, valueOf(value)]));
  const filled = new Map();
  const value = new Uint8Array(Number(fill.bytes)).fill(0x5a);
  for (let section = 0; section < fill.sections; section++) {
    for (let key = 0; key < fill.keys; key++) {
      filled.set(`s${String(section).padStart(4, '0')}/k${String(key).padStart(4, '0')}`, value);
    }
  }
  return filled;
}

/** @param {any} request @returns {import('../channel.js').Channel} */
export const channelOf = (request) => ({
  genesis: fromHex(request.root), tenant: request.tenant, device: request.device,
  incarnation: request.incarnation === undefined ? new Uint8Array(16) : fromHex(request.incarnation),
});
