// Deterministic CBOR with less freedom than RFC 8949 4.2.1 leaves. Implements spec/postern.md#cbor-profile.
//
// The types of JavaScript keep those of CBOR apart without loss:
//   integer -> bigint   float -> number   text -> string   bytes -> Uint8Array
//   array -> Array      map -> Map        false, true, null -> themselves
// Writing takes the same types, so `1n` is the integer and `1` the float 1.0.
import { CBOR_DEPTH_MAX, CBOR_ITEM_BYTES_MAX } from './limits.js';
import { Reject, ensure } from './reject.js';
import { compare, concat, utf8 } from './bytes.js';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads items one after another out of `bytes`. */
export class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Whether every byte was read. */
  get done() {
    return this.at >= this.bytes.length;
  }

  /** The next item, checked against the profile. @returns {any} */
  item() {
    return this.value(0);
  }

  /** Checks what is left as a sequence, without reading on. */
  check() {
    const ahead = new Reader(this.bytes.subarray(this.at));
    while (!ahead.done) ahead.item();
  }

  /** @param {number} count */
  take(count) {
    ensure(count <= this.bytes.length - this.at, 'cbor-truncated');
    this.at += count;
    return this.at - count;
  }

  /** The head of an item: its major type and argument. @param {number} depth of what is around it @returns {{major: number, info: number, argument: bigint}} */
  head(depth) {
    const first = this.bytes[this.take(1)];
    const [major, info] = [first >> 5, first & 31];
    // Wrong whatever the head says further.
    ensure(major !== 6, 'cbor-tag');
    ensure(depth < CBOR_DEPTH_MAX || (major !== 4 && major !== 5), 'cbor-depth');
    ensure(major !== 7 || info > 24 || (info >= 20 && info <= 22), 'cbor-simple');
    if (info < 24) return { major, info, argument: BigInt(info) };
    ensure(info < 28 || info === 31, 'cbor-reserved');
    if (info === 31) throw new Reject('cbor-indefinite');
    const size = 1 << (info - 24);
    const at = this.take(size);
    const argument =
      size === 1 ? BigInt(this.view.getUint8(at))
      : size === 2 ? BigInt(this.view.getUint16(at))
      : size === 4 ? BigInt(this.view.getUint32(at))
      : this.view.getBigUint64(at);
    if (major !== 7) ensure(argument >= (size === 1 ? 24n : 1n << BigInt(size * 4)), 'cbor-not-shortest');
    return { major, info, argument };
  }

  /** @param {number} depth @returns {any} */
  value(depth) {
    const { major, info, argument } = this.head(depth);
    switch (major) {
      case 0:
        return argument;
      case 1:
        ensure(argument < 1n << 63n, 'cbor-integer-range');
        return -1n - argument;
      case 2:
        return this.string(argument);
      case 3:
        return this.text(argument);
      case 4:
        return this.array(argument, depth + 1);
      case 5:
        return this.map(argument, depth + 1);
      default:
        return simpleOrFloat(info, argument);
    }
  }

  /** @param {bigint} length */
  string(length) {
    ensure(length <= BigInt(this.bytes.length - this.at), 'cbor-truncated');
    const at = this.take(Number(length));
    return this.bytes.slice(at, this.at);
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

  /** @param {bigint} length @param {number} depth */
  array(length, depth) {
    ensure(length <= BigInt(this.bytes.length - this.at), 'cbor-truncated');
    const items = [];
    for (let left = length; left > 0n; left--) items.push(this.value(depth));
    return items;
  }

  /** @param {bigint} length @param {number} depth */
  map(length, depth) {
    ensure(2n * length <= BigInt(this.bytes.length - this.at), 'cbor-truncated');
    const map = new Map();
    let before = null;
    for (let left = length; left > 0n; left--) {
      const start = this.at;
      ensure(this.done || [0, 1, 2, 3, 6].includes(this.bytes[start] >> 5), 'cbor-map-key');
      const key = this.value(depth);
      const encoded = this.bytes.subarray(start, this.at);
      if (before) {
        const order = compare(before, encoded);
        ensure(order !== 0, 'cbor-duplicate-key');
        ensure(order < 0, 'cbor-unsorted-key');
      }
      before = encoded;
      map.set(key, this.value(depth));
    }
    return map;
  }
}

/** @param {number} info @param {bigint} argument */
function simpleOrFloat(info, argument) {
  if (info === 20) return false;
  if (info === 21) return true;
  if (info === 22) return null;
  const width = 1 << (info - 24);
  const value = width === 2 ? fromHalf(Number(argument)) : fromBits(width, argument);
  ensure(Number.isFinite(value), 'cbor-float');
  ensure(encodeFloat(value).length === width + 1, 'cbor-float');
  return value;
}

/** @param {number} width @param {bigint} bits */
function fromBits(width, bits) {
  const view = new DataView(new ArrayBuffer(8));
  if (width === 8) {
    view.setBigUint64(0, bits);
    return view.getFloat64(0);
  }
  view.setUint32(0, Number(bits));
  return view.getFloat32(0);
}

/** @param {number} half */
function fromHalf(half) {
  const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The 16 bits that hold `value` exactly, or null. @param {number} value */
function toHalf(value) {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size === 0) return sign;
  if (size < 2 ** -14) {
    const fraction = size * 2 ** 24;
    return Number.isInteger(fraction) ? sign | fraction : null;
  }
  const exponent = Math.floor(Math.log2(size));
  for (const guess of [exponent - 1, exponent, exponent + 1]) {
    const fraction = (size / 2 ** guess - 1) * 1024;
    if (guess >= -14 && guess <= 15 && Number.isInteger(fraction) && fraction >= 0 && fraction < 1024) {
      return sign | ((guess + 15) << 10) | fraction;
    }
  }
  return null;
}

/** @param {number} value */
function encodeFloat(value) {
  const half = toHalf(value);
  if (half !== null) return Uint8Array.of(0xf9, half >> 8, half & 255);
  const single = Math.fround(value) === value;
  const bytes = new Uint8Array(single ? 5 : 9);
  const view = new DataView(bytes.buffer);
  bytes[0] = single ? 0xfa : 0xfb;
  if (single) view.setFloat32(1, value);
  else view.setFloat64(1, value);
  return bytes;
}

/** @param {number} major @param {bigint} argument */
function encodeHead(major, argument) {
  if (argument < 24n) return Uint8Array.of((major << 5) | Number(argument));
  const size = argument < 1n << 8n ? 1 : argument < 1n << 16n ? 2 : argument < 1n << 32n ? 4 : 8;
  const bytes = new Uint8Array(9);
  new DataView(bytes.buffer).setBigUint64(1, argument);
  bytes[8 - size] = (major << 5) | (24 + Math.log2(size));
  return bytes.slice(8 - size);
}

/** The one encoding of `value`. @param {any} value @returns {Uint8Array} */
export function encode(value) {
  if (typeof value === 'bigint') return value >= 0n ? encodeHead(0, value) : encodeHead(1, -1n - value);
  if (typeof value === 'number') return encodeFloat(value);
  if (value === false) return Uint8Array.of(0xf4);
  if (value === true) return Uint8Array.of(0xf5);
  if (value === null) return Uint8Array.of(0xf6);
  if (typeof value === 'string') {
    const bytes = utf8(value);
    return concat(encodeHead(3, BigInt(bytes.length)), bytes);
  }
  if (value instanceof Uint8Array) return concat(encodeHead(2, BigInt(value.length)), value);
  if (Array.isArray(value)) return concat(encodeHead(4, BigInt(value.length)), ...value.map(encode));
  if (value instanceof Map) {
    const rows = [...value].map(([key, member]) => [encode(key), encode(member)]);
    rows.sort((a, b) => compare(a[0], b[0]));
    return concat(encodeHead(5, BigInt(rows.length)), ...rows.flat());
  }
  throw new TypeError('no CBOR for this value');
}

/** One item and nothing behind it. @param {Uint8Array} bytes @returns {any} */
export function decode(bytes) {
  ensure(bytes.length <= CBOR_ITEM_BYTES_MAX, 'oversize');
  const reader = new Reader(bytes);
  const value = reader.item();
  ensure(reader.done, 'cbor-trailing');
  return value;
}
