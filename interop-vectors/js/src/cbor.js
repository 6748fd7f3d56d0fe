// The strict reader and the writer of deterministic CBOR.
// Implements spec/postern.md #cbor-profile.
//
// Values: integers are bigint, floats number, text string, byte strings Uint8Array, arrays Array, maps Map, tags Tag,
// and true, false and null stand for themselves. Because one value has one encoding only, `encode(decode(x))` is x.

import { CBOR_DEPTH_MAX, CBOR_ITEM_BYTES_MAX, U64_MAX } from './limits.js';
import { compareBytes, concat, join, utf8 } from './bytes.js';
import { Reject, demand } from './reject.js';

const I64_MIN_ARGUMENT = 2n ** 63n - 1n; // -1 - x is -2^63
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A tagged item. The reader never makes one: a tag is a reject. */
export class Tag {
  /** @param {bigint} number @param {unknown} value */
  constructor(number, value) {
    this.number = number;
    this.value = value;
  }
}

/**
 * Reads one whole item of at most 65536 bytes.
 * @param {Uint8Array} bytes
 * @returns {any}
 */
export function decode(bytes) {
  demand(bytes.length <= CBOR_ITEM_BYTES_MAX, 'oversize');
  const [value, end] = decodeAt(bytes, 0);
  demand(end === bytes.length, 'cbor-trailing');
  return value;
}

/**
 * Reads the item that begins at an offset, of a CBOR sequence for example.
 * @param {Uint8Array} bytes
 * @param {number} offset
 * @returns {[any, number]} the value, and the offset behind it
 */
export function decodeAt(bytes, offset) {
  const reader = new Reader(bytes, offset);
  return [reader.item(1), reader.at];
}

class Reader {
  /** @param {Uint8Array} bytes @param {number} at */
  constructor(bytes, at) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = at;
  }

  /** Steps over some bytes and says where they begin. @param {number} count */
  take(count) {
    demand(count <= this.bytes.length - this.at, 'cbor-truncated');
    const start = this.at;
    this.at += count;
    return start;
  }

  /** @param {number} depth the depth that an array or map has here, 1 outside @returns {any} */
  item(depth) {
    const first = this.bytes[this.take(1)];
    const major = first >> 5;
    const info = first & 31;
    if (major === 6) throw new Reject('cbor-tag');
    if (major === 7) return this.simpleOrFloat(info);
    if (major >= 4) demand(depth <= CBOR_DEPTH_MAX, 'cbor-depth');
    const argument = this.argument(info);
    switch (major) {
      case 0:
        return argument;
      case 1:
        demand(argument <= I64_MIN_ARGUMENT, 'cbor-integer-range');
        return -1n - argument;
      case 2:
        return this.string(argument).slice();
      case 3:
        return this.text(argument);
      case 4:
        return this.array(this.count(argument, 1), depth);
      default:
        return this.map(this.count(argument, 2), depth);
    }
  }

  /** @param {number} info @returns {bigint} */
  argument(info) {
    if (info < 24) return BigInt(info);
    if (info === 31) throw new Reject('cbor-indefinite');
    if (info > 27) throw new Reject('cbor-reserved');
    const size = 1 << (info - 24);
    const start = this.take(size);
    let value = 0n;
    for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(this.bytes[start + i]);
    const least = size === 1 ? 24n : 1n << BigInt(size * 4);
    demand(value >= least, 'cbor-not-shortest');
    return value;
  }

  /** A count of members, each of at least so many bytes. @param {bigint} argument @param {number} bytes */
  count(argument, bytes) {
    demand(argument * BigInt(bytes) <= BigInt(this.bytes.length - this.at), 'cbor-truncated');
    return Number(argument);
  }

  /** @param {bigint} length */
  string(length) {
    const size = this.count(length, 1);
    const start = this.take(size);
    return this.bytes.subarray(start, start + size);
  }

  /** @param {bigint} length */
  text(length) {
    const bytes = this.string(length);
    try {
      return UTF8.decode(bytes);
    } catch {
      throw new Reject('cbor-utf8');
    }
  }

  /** @param {number} count @param {number} depth */
  array(count, depth) {
    const members = [];
    for (let i = 0; i < count; i++) members.push(this.item(depth + 1));
    return members;
  }

  /** @param {number} count @param {number} depth */
  map(count, depth) {
    const entries = new Map();
    /** @type {Uint8Array | undefined} */
    let before;
    for (let i = 0; i < count; i++) {
      const start = this.at;
      const key = this.key(depth + 1);
      const encoded = this.bytes.subarray(start, this.at);
      if (before) {
        const order = compareBytes(before, encoded);
        demand(order !== 0, 'cbor-duplicate-key');
        demand(order < 0, 'cbor-unsorted-key');
      }
      before = encoded;
      entries.set(key, this.item(depth + 1));
    }
    return entries;
  }

  /** Arrays, maps, simple values and floats are no keys, which their first byte tells. @param {number} depth */
  key(depth) {
    const major = this.bytes[this.at] >> 5;
    demand(this.at === this.bytes.length || major < 4 || major === 6, 'cbor-map-key');
    return this.item(depth);
  }

  /** @param {number} info */
  simpleOrFloat(info) {
    if (info === 20 || info === 21) return info === 21;
    if (info === 22) return null;
    if (info <= 24) throw new Reject('cbor-simple');
    if (info === 31) throw new Reject('cbor-indefinite');
    if (info > 27) throw new Reject('cbor-reserved');
    const size = 1 << (info - 24);
    const start = this.take(size);
    const value = size === 2 ? halfValue(this.view.getUint16(start))
      : size === 4 ? this.view.getFloat32(start) : this.view.getFloat64(start);
    demand(Number.isFinite(value) && floatSize(value) === size, 'cbor-float');
    return value;
  }
}

/** @param {number} bits */
function halfValue(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}

/** The 16 bits that hold a float exactly, or undefined. @param {number} value */
function halfBits(value) {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size === 0) return sign;
  if (size >= 65536) return undefined;
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const fraction = size * 2 ** (10 - exponent); // below 1024 for a subnormal
  if (!Number.isInteger(fraction) || fraction >= 2048) return undefined;
  return sign | (fraction < 1024 ? fraction : ((exponent + 15) << 10) | (fraction - 1024));
}

/** The bytes of the shortest form that holds a float exactly. @param {number} value @returns {2 | 4 | 8} */
function floatSize(value) {
  if (halfBits(value) !== undefined) return 2;
  return Math.fround(value) === value ? 4 : 8;
}

/**
 * The one encoding of a value.
 * @param {any} value
 * @returns {Uint8Array}
 */
export function encode(value) {
  if (typeof value === 'bigint') return value < 0n ? head(1, -1n - value) : head(0, value);
  if (typeof value === 'number') return encodeFloat(value);
  if (typeof value === 'string') {
    const bytes = utf8(value);
    return concat(head(3, BigInt(bytes.length)), bytes);
  }
  if (value instanceof Uint8Array) return concat(head(2, BigInt(value.length)), value);
  if (Array.isArray(value)) return join([head(4, BigInt(value.length)), ...value.map(encode)]);
  if (value instanceof Map) return encodeMap(value);
  if (value instanceof Tag) return concat(head(6, value.number), encode(value.value));
  if (value === null) return Uint8Array.of(0xf6);
  if (typeof value === 'boolean') return Uint8Array.of(value ? 0xf5 : 0xf4);
  throw new TypeError(`no CBOR for ${typeof value}`);
}

/** @param {Map<any, any>} map */
function encodeMap(map) {
  const entries = [...map].map(([key, value]) => ({ key: encode(key), value: encode(value) }));
  entries.sort((a, b) => compareBytes(a.key, b.key));
  return join([head(5, BigInt(entries.length)), ...entries.flatMap(({ key, value }) => [key, value])]);
}

/** @param {number} value */
function encodeFloat(value) {
  if (!Number.isFinite(value)) throw new TypeError('no CBOR for a float that is not finite');
  const size = floatSize(value);
  const bytes = new Uint8Array(1 + size);
  const view = new DataView(bytes.buffer);
  bytes[0] = { 2: 0xf9, 4: 0xfa, 8: 0xfb }[size];
  if (size === 2) view.setUint16(1, /** @type {number} */ (halfBits(value)));
  else if (size === 4) view.setFloat32(1, value);
  else view.setFloat64(1, value);
  return bytes;
}

/** @param {number} major @param {bigint} argument */
function head(major, argument) {
  if (argument > U64_MAX) throw new TypeError('no CBOR for an integer of more than 64 bits');
  if (argument < 24n) return Uint8Array.of((major << 5) | Number(argument));
  const size = argument < 0x100n ? 1 : argument < 0x1_0000n ? 2 : argument < 0x1_0000_0000n ? 4 : 8;
  const bytes = new Uint8Array(1 + size);
  bytes[0] = (major << 5) | (24 + Math.log2(size));
  for (let i = 0, rest = argument; i < size; i++, rest >>= 8n) bytes[size - i] = Number(rest & 255n);
  return bytes;
}
