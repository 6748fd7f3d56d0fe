// Frames: their types, the ways that they travel, how they are read and written.
// Implements spec/postern.md #frames and spec/files.md #file-binding; the bodies stand in frame-bodies.js.

import { concat, hmac } from './bytes.js';
import { decodeAt, encode } from './cbor.js';
import { FRAME_BYTES_MAX } from './limits.js';
import { Items, PLAIN_BODIES, SESSION_BODIES, judgeCounter } from './frame-bodies.js';
import { Reject, demand } from './reject.js';

/** The number of each frame type. */
export const FRAME = Object.freeze({
  poll: 0, answer: 1, post: 2, need: 3, fetch: 4, bodies: 5, put: 6, collect: 7, collected: 8, deliver: 9,
  deliverBodies: 10, fetchBodies: 11, deliverEnrolled: 12, stream: 13, filedBody: 14, streamAnswer: 15, enrol: 16,
  enrolled: 17, ask: 18, challenge: 19, hello: 20, welcome: 21, refused: 22, posted: 23,
});

/** @typedef {'up' | 'down' | 'file'} Direction */

/** @type {Record<Direction, Set<number>>} */
const TRAVELS = {
  up: new Set([0, 2, 3, 4, 6, 7, 9, 10, 11, 12, 13, 16, 18, 20]),
  down: new Set([1, 5, 8, 15, 17, 19, 21, 22]),
  file: new Set([14, 16, 17, 23]),
};

const SESSION_ID_BYTES = 4;
const TAG_BYTES = 8;
const TAG_18 = 0xd2;

/**
 * The type of a frame that came this way. All of #frames that can be judged without looking at a body.
 * @param {Uint8Array} bytes @param {Direction} direction @returns {number}
 */
export function frameType(bytes, direction) {
  demand(bytes.length <= FRAME_BYTES_MAX, 'oversize');
  demand(bytes.length > 0, 'shape');
  judgeType(bytes[0], direction);
  if (isSessionType(bytes[0])) demand(bytes.length >= 1 + SESSION_ID_BYTES + TAG_BYTES, 'shape');
  return bytes[0];
}

/** @param {number} type */
export function isFrameType(type) {
  return type in SESSION_BODIES || type in PLAIN_BODIES;
}

/** @param {number} type */
export function travelsDown(type) {
  return TRAVELS.down.has(type);
}

/** @param {number} type @param {Direction} direction */
function judgeType(type, direction) {
  demand(isFrameType(type), 'frame-unknown');
  demand(TRAVELS[direction].has(type), 'frame-direction');
}

/** @param {number} type */
export function isSessionType(type) {
  return type in SESSION_BODIES;
}

/**
 * The parts of a session frame. Nothing of the body counts before the tag was checked (session.js).
 * @param {Uint8Array} bytes
 */
export function splitSessionFrame(bytes) {
  const tagAt = bytes.length - TAG_BYTES;
  return {
    session: bytes.subarray(1, 1 + SESSION_ID_BYTES),
    body: bytes.subarray(1 + SESSION_ID_BYTES, tagAt),
    signed: bytes.subarray(0, tagAt),
    tag: bytes.subarray(tagAt),
  };
}

/**
 * The body of a session frame whose tag verified.
 * @param {number} type @param {Uint8Array} body
 * @param {(counter: number) => void} [compare] what its reader expects of the counter
 * @returns {any} the counter and the fields of this type
 */
export function readSessionBody(type, body, compare = () => {}) {
  const [first] = decodeAt(body, 0);
  judgeCounter(first);
  if (typeof first === 'bigint' && first > 0n) compare(Number(first));
  const items = new Items(sequence(body, 0));
  const counter = Number(items.uint());
  return { counter, ...SESSION_BODIES[type](items) };
}

/**
 * A plain frame.
 * @param {Uint8Array} bytes @param {Direction} direction @returns {any} its type and fields
 */
export function readPlainFrame(bytes, direction) {
  const type = frameType(bytes, direction);
  demand(!isSessionType(type), 'frame-unknown');
  const items = new Items(type === FRAME.posted ? postedItems(bytes, 1).items : sequence(bytes, 1));
  const fields = PLAIN_BODIES[type](items);
  items.end();
  return { type, ...fields };
}

/**
 * Any frame, for its form alone: the tag of a session frame is not checked.
 * @param {Uint8Array} bytes @param {Direction} direction @returns {any}
 */
export function parseFrame(bytes, direction) {
  const type = frameType(bytes, direction);
  if (!isSessionType(type)) return readPlainFrame(bytes, direction);
  const { session, body } = splitSessionFrame(bytes);
  return { type, session, ...readSessionBody(type, body) };
}

/**
 * Reads a file frame by frame. The frames before the first that is refused count.
 * @param {Uint8Array} file
 * @param {(frame: any, bytes: Uint8Array) => void} take
 */
export function readFile(file, take) {
  let at = 0;
  while (at < file.length) {
    const end = filedFrameEnd(file, at);
    const bytes = file.subarray(at, end);
    take(readPlainFrame(bytes, 'file'), bytes);
    at = end;
  }
}

/** How many items a frame in a file has behind its type. @type {Record<number, number>} */
const FILED_ITEMS = { 14: 3, 16: 3, 17: 2, 23: 3 };

/** Where the frame ends that begins at an offset of a file. @param {Uint8Array} file @param {number} start */
function filedFrameEnd(file, start) {
  const type = file[start];
  judgeType(type, 'file');
  // One byte more than a frame may have tells a frame that is too large from one that the file cuts off.
  const room = file.subarray(start, start + FRAME_BYTES_MAX + 1);
  try {
    const end = type === FRAME.posted ? postedItems(room, 1, FILED_ITEMS[type]).end : skip(room, 1, FILED_ITEMS[type]);
    demand(end <= FRAME_BYTES_MAX, 'oversize');
    return start + end;
  } catch (error) {
    if (error instanceof Reject && error.reason === 'cbor-truncated') demand(room.length <= FRAME_BYTES_MAX, 'oversize');
    throw error;
  }
}

/** @param {Uint8Array} bytes @param {number} at @param {number} count */
function skip(bytes, at, count) {
  for (let i = 0; i < count; i++) [, at] = decodeAt(bytes, at);
  return at;
}

/** All items from an offset to the end. @param {Uint8Array} bytes @param {number} at */
function sequence(bytes, at) {
  const items = [];
  while (at < bytes.length) {
    const [value, end] = decodeAt(bytes, at);
    items.push({ value, bytes: bytes.subarray(at, end) });
    at = end;
  }
  return items;
}

/**
 * The items of a posted frame from an offset to the end, or so many of them. The third is an envelope with tag 18, which
 * is stripped before the strict reader runs; without its tag it has another form than its place asks for.
 * @param {Uint8Array} bytes @param {number} at @param {number} [count]
 */
function postedItems(bytes, at, count = Infinity) {
  const items = [];
  while (items.length < count && (at < bytes.length || count !== Infinity)) {
    const third = items.length === 2;
    const tagged = third && bytes[at] === TAG_18;
    const start = tagged ? at + 1 : at;
    const [value, end] = decodeAt(bytes, start);
    items.push({ value: third && !tagged ? null : value, bytes: bytes.subarray(start, end) });
    at = end;
  }
  return { items, end: at };
}

/**
 * A plain frame.
 * @param {number} type @param {...Uint8Array} items encoded items
 */
export function writePlainFrame(type, ...items) {
  return concat(Uint8Array.of(type), ...items);
}

/**
 * A session frame with its tag.
 * @param {number} type @param {Uint8Array} session @param {Uint8Array} key @param {...Uint8Array} items encoded items, the counter first
 */
export function writeSessionFrame(type, session, key, ...items) {
  const signed = concat(Uint8Array.of(type), session, ...items);
  return concat(signed, tagOf(key, signed));
}

/** @param {Uint8Array} key @param {Uint8Array} signed all bytes of the frame before the tag */
export function tagOf(key, signed) {
  return hmac(key, signed).subarray(0, TAG_BYTES);
}

/** `[plane or null, envelope]` of an untagged envelope. @param {bigint | null} plane @param {Uint8Array} envelope */
export function writeItem(plane, envelope) {
  return concat(Uint8Array.of(0x82), encode(plane), envelope);
}

/** `[digest, offset]` @param {{digest: Uint8Array, offset: number}} want */
export function writeWant({ digest, offset }) {
  return encode([digest, BigInt(offset)]);
}

/** `[digest, size, offset, bytes]` @param {{digest: Uint8Array, size: number, offset: number, bytes: Uint8Array}} chunk */
export function writeChunk({ digest, size, offset, bytes }) {
  return encode([digest, BigInt(size), BigInt(offset), bytes]);
}
