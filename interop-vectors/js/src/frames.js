// Frames: their forms, read item by item and written. Implements spec/postern.md#frames, #poll to #bodies, #stream, and the frames
// of spec/relays.md#writer-sessions. Tags of session frames are checked in session.js, envelopes only in their outer form.
import { compare, concat, utf8 } from './bytes.js';
import { encode, Reader } from './cbor.js';
import { outerMembers } from './cose.js';
import * as limits from './limits.js';
import { ensure } from './reject.js';
import * as shape from './shape.js';

export const TYPE = /** @type {const} */ ({
  poll: 0, answer: 1, post: 2, need: 3, fetch: 4, bodies: 5, put: 6, collect: 7, collected: 8, deliver: 9,
  deliverBodies: 10, fetchBodies: 11, deliverEnrolled: 12, stream: 13, filedBody: 14, streamAnswer: 15, enrol: 16, enrolled: 17, ask: 18,
  challenge: 19, hello: 20, welcome: 21, refused: 22, posted: 23,
});

const DIRECTION = new Map([
  ...[0, 2, 3, 4, 6, 7, 9, 10, 11, 12, 13, 16, 18, 20].map((type) => /** @type {[number, string]} */ ([type, 'up'])),
  ...[1, 5, 8, 15, 17, 19, 21, 22].map((type) => /** @type {[number, string]} */ ([type, 'down'])),
  ...[14, 23].map((type) => /** @type {[number, string]} */ ([type, 'file'])),
]);
/** Types that also stand in files. */
const IN_FILES = new Set([14, 16, 17, 23]);

/** @param {number} type */
export const isSessionType = (type) => type <= 13 || type === 15;

/** @typedef {'up' | 'down' | 'file'} Direction */

/** Type and body of a frame that travels in `direction`. @param {Uint8Array} frame @param {Direction} direction */
export function openFrame(frame, direction) {
  ensure(frame.length <= limits.FRAME_BYTES_MAX, 'oversize');
  ensure(frame.length > 0, 'shape');
  const type = frame[0];
  ensure(DIRECTION.has(type), 'frame-unknown');
  const fits = DIRECTION.get(type) === direction || (direction === 'file' && IN_FILES.has(type));
  ensure(fits, 'frame-direction');
  if (!isSessionType(type)) return { type, body: frame.subarray(1), session: null, tag: null };
  ensure(frame.length >= 13, 'shape');
  return { type, session: frame.slice(1, 5), body: frame.subarray(5, -8), tag: frame.slice(-8) };
}

/** Reads a whole frame. @param {Uint8Array} frame @param {Direction} direction */
export function parseFrame(frame, direction) {
  const { type, body, session } = openFrame(frame, direction);
  return { type, session, body: parseBody(type, body) };
}

/** @param {number} type @param {Uint8Array} body @returns {any} */
export function parseBody(type, body) {
  const reader = new Reader(body);
  // But for the counter, no item is judged before all of them are in the profile.
  if (isSessionType(type) && body[0] >> 5 === 0) counter(new Reader(body));
  if (type === TYPE.posted) checkPosted(new Reader(body));
  else reader.check();
  const content = BODIES[type](reader);
  ensure(reader.done, 'cbor-trailing');
  return content;
}

/** The third item alone carries a tag. @param {Reader} reader */
function checkPosted(reader) {
  for (let place = 0; !reader.done; place++) {
    if (place === 2 && reader.bytes[reader.at] === 0xd2) reader.at += 1;
    reader.item();
  }
}

/** @param {Reader} reader */
export function counter(reader) {
  const value = shape.uint(reader.item());
  ensure(value >= 1n && value <= limits.COUNTER_MAX, 'counter-exhausted');
  return value;
}

/** One or more, or any number of members until the end. @template T @param {Reader} reader @param {(value: any) => T} read @param {number} least @param {number} [most] */
function rest(reader, read, least, most = Infinity) {
  const list = [];
  while (!reader.done) {
    ensure(list.length < most, 'shape');
    list.push(read(reader.item()));
  }
  ensure(list.length >= least, 'shape');
  return list;
}

/** @param {any} value */
const hold = (value) => {
  ensure(shape.uint(value) <= limits.HOLD_S_MAX, 'hold-range');
  return value;
};

/** @param {any} value @returns {bigint} */
const plane = (value) => shape.uint(value, 0n, 1n);

/** @param {any} value @returns {bigint | null} */
const planeOrNull = (value) => (value === null ? null : plane(value));

/** Its size is judged with the envelope, so that one above its limit spoils no other of the frame. @param {any} value */
const envelope = (value) => {
  outerMembers(value);
  return encode(value);
};

/** @param {Reader} reader */
function head(reader) {
  const epoch = shape.uint(reader.item());
  const seq = shape.uint(reader.item());
  ensure((epoch === 0n) === (seq === 0n), 'shape');
  return { epoch, seq };
}

/** @param {any} value */
function item(value) {
  const [at, inner] = shape.array(value, 2);
  return { plane: planeOrNull(at), envelope: envelope(inner) };
}

/** @param {any} value */
function want(value) {
  const [digest, offset] = shape.array(value, 2);
  return { digest: shape.bytes(digest, 32), offset: shape.uint(offset) };
}

/** @param {any} value */
function chunk(value) {
  const [digest, size, offset, bytes] = shape.array(value, 4);
  shape.bytes(digest, 32);
  shape.uint(size);
  shape.uint(offset);
  shape.bytes(bytes);
  ensure(bytes.length >= 1 && bytes.length <= limits.BODY_CHUNK_BYTES_MAX, 'shape');
  ensure(size <= BigInt(limits.SECTION_BYTES_MAX), 'section-oversize');
  ensure(offset + BigInt(bytes.length) <= size, 'shape');
  return { digest, size: Number(size), offset: Number(offset), bytes };
}

/** @type {Record<string, (value: any) => any>} */
const HINTS = {
  1: (value) => shape.uint(value),
  2: (value) => shape.uint(value),
  3: (value) => {
    const size = utf8(shape.text(value)).length;
    ensure(size >= 1 && size <= limits.URL_BYTES_MAX, 'shape');
    return value;
  },
  4: (value) => shape.array(value, 1, Infinity).map((entry) => {
    const [index, code] = shape.array(entry, 2);
    return { index: shape.uint(index), code: shape.uint(code, 1n, 65535n) };
  }),
  5: (value) => shape.array(value, 1, limits.FETCH_DIGESTS_MAX).map(want),
  6: (value) => ascending(shape.array(value, 1, 2).map(plane)),
  7: (value) => {
    const places = shape.array(value, 1, limits.SNAPSHOTS_WANTED_MAX);
    places.forEach((entry) => {
      const [channel, at] = shape.array(entry, 2);
      shape.bytes(channel, 16);
      plane(at);
    });
    const keys = places.map(([channel, at]) => concat(channel, Uint8Array.of(Number(at))));
    ensure(keys.every((key, at) => at === 0 || compare(keys[at - 1], key) < 0), 'shape');
    return places;
  },
  8: (value) => shape.array(value, 1, limits.FETCH_DIGESTS_MAX).map((entry) => {
    const [channel, at, digest, offset] = shape.array(entry, 4);
    shape.bytes(channel, 16);
    plane(at);
    shape.bytes(digest, 32);
    shape.uint(offset);
    return entry;
  }),
};

/** @param {bigint[]} list */
function ascending(list) {
  ensure(list.every((value, at) => at === 0 || list[at - 1] < value), 'shape');
  return list;
}

/** @param {Map<any, any>} map */
function hints(map) {
  ensure(map.size > 0, 'shape');
  /** @type {Record<string, any>} */
  const read = {};
  for (const [key, value] of map) {
    ensure(typeof key === 'bigint' && key >= 1n && key <= 8n, 'shape');
    read[String(key)] = HINTS[String(key)](value);
  }
  return read;
}

/** Hints if there are any, then members. @template T @param {Reader} reader @param {(value: any) => T} read */
function hintsAndRest(reader, read) {
  if (reader.done) return { hints: {}, members: [] };
  const isMap = reader.bytes[reader.at] >> 5 === 5;
  const found = isMap ? hints(reader.item()) : {};
  return { hints: found, members: rest(reader, read, 0) };
}

/** @param {Reader} reader */
function poll(reader) {
  return { counter: counter(reader), holdS: hold(reader.item()), ...news(reader) };
}

/** What a poll and a stream say of their sender: bundle, acked rseq, heads, receipt. @param {Reader} reader */
function news(reader) {
  const body = {
    bundle: shape.uint(reader.item()), acked: reader.item(),
    desired: { epoch: 0n, seq: 0n }, actual: /** @type {any} */ (null), receipt: /** @type {any} */ (null),
  };
  if (body.acked !== null) shape.uint(body.acked);
  body.desired = head(reader);
  const isArray = () => reader.bytes[reader.at] >> 5 === 4;
  if (!reader.done && !isArray()) body.actual = head(reader);
  if (!reader.done && isArray()) {
    const members = shape.array(reader.item(), 2);
    body.receipt = members.map((member) => shape.uint(member, 1n));
  }
  return body;
}

/** @param {Reader} reader */
function stream(reader) {
  const at = counter(reader);
  const [least, most] = limits.STREAM_INTERVAL_MS;
  const intervalMs = shape.uint(reader.item(), least, most);
  const frames = shape.uint(reader.item(), 1n, limits.STREAM_FRAMES_MAX);
  const pad = shape.uint(reader.item(), 0n, limits.STREAM_PROBE_PAD_BYTES_MAX);
  const probe = frames <= limits.STREAM_PROBE_FRAMES_MAX;
  ensure(probe || (intervalMs >= limits.STREAM_LASTING_INTERVAL_MS_MIN && pad <= limits.STREAM_PAD_BYTES_MAX), 'shape');
  return { counter: at, intervalMs, frames, pad, ...news(reader) };
}

/** @param {Reader} reader */
function streamAnswer(reader) {
  const body = { counter: counter(reader), index: shape.uint(reader.item(), 0n, limits.STREAM_FRAMES_MAX - 1n), ageMs: shape.uint(reader.item()) };
  ensure(shape.bytes(reader.item()).length <= limits.STREAM_PROBE_PAD_BYTES_MAX, 'shape');
  return { ...body, ...hintsAndRest(reader, item) };
}

/** @param {Reader} reader */
function collect(reader) {
  const body = { counter: counter(reader), holdS: hold(reader.item()), store: shape.uint(reader.item()), cursor: shape.uint(reader.item()) };
  ensure(body.store > 0n || body.cursor === 0n, 'shape');
  return body;
}

/** @param {Reader} reader */
function collected(reader) {
  const at = counter(reader);
  const isMap = !reader.done && reader.bytes[reader.at] >> 5 === 5;
  const found = isMap ? hints(reader.item()) : {};
  const store = shape.uint(reader.item(), 1n);
  let before = 0n;
  const entries = rest(reader, (value) => {
    const read = entry(value);
    ensure(read.arrival > before, 'shape');
    before = read.arrival;
    return read;
  }, 0);
  return { counter: at, hints: found, store, entries };
}

/** @param {any} value */
function entry(value) {
  const members = shape.array(value, 3, 4);
  const arrival = shape.uint(members[0], 1n);
  if (members.length === 3) return { arrival, knock: shape.uint(members[1]), frame: shape.bytes(members[2]) };
  return { arrival, ...addressed(members.slice(1)) };
}

/** @param {any[]} members channel or null, plane or null, envelope */
function addressed([channel, at, inner]) {
  if (channel !== null) shape.bytes(channel, 16);
  const planeOf = planeOrNull(at);
  ensure(channel !== null || planeOf === null, 'shape');
  return { channel, plane: planeOf, envelope: envelope(inner) };
}

/** What is inside is judged by the relay that takes it. @param {Reader} reader */
function deliverEnrolled(reader) {
  return { counter: counter(reader), knock: shape.uint(reader.item()), frame: shape.bytes(reader.item()) };
}

/** @param {Reader} reader */
function posted(reader) {
  const channel = shape.bytes(reader.item(), 16);
  const at = planeOrNull(reader.item());
  const tagged = reader.bytes[reader.at] === 0xd2;
  if (tagged) reader.at += 1;
  const inner = reader.item();
  ensure(tagged, 'shape');
  return { channel, plane: at, envelope: envelope(inner) };
}

/** @type {Record<number, (reader: Reader) => any>} */
const BODIES = {
  0: poll,
  1: (reader) => ({ counter: counter(reader), ...hintsAndRest(reader, item) }),
  2: (reader) => ({ counter: counter(reader), items: rest(reader, item, 1) }),
  3: (reader) => ({ counter: counter(reader), plane: plane(reader.item()), head: head(reader) }),
  4: (reader) => ({ counter: counter(reader), plane: plane(reader.item()), wants: rest(reader, want, 1, limits.FETCH_DIGESTS_MAX) }),
  5: (reader) => ({ counter: counter(reader), chunks: rest(reader, chunk, 0) }),
  6: (reader) => ({ counter: counter(reader), plane: plane(reader.item()), chunks: rest(reader, chunk, 1) }),
  7: collect,
  8: collected,
  9: (reader) => ({ counter: counter(reader), letters: rest(reader, (value) => addressed(shape.array(value, 3)), 1) }),
  10: (reader) => ({
    counter: counter(reader), channel: shape.bytes(reader.item(), 16), plane: plane(reader.item()), chunks: rest(reader, chunk, 1),
  }),
  11: (reader) => ({
    counter: counter(reader), channel: shape.bytes(reader.item(), 16), plane: plane(reader.item()),
    wants: rest(reader, want, 1, limits.FETCH_DIGESTS_MAX),
  }),
  12: deliverEnrolled,
  13: stream,
  14: (reader) => ({ channel: shape.bytes(reader.item(), 16), plane: plane(reader.item()), chunk: chunk(reader.item()) }),
  15: streamAnswer,
  16: (reader) => ({ token: shape.bytes(reader.item(), 8), mac: shape.bytes(reader.item(), 32), request: envelope(reader.item()) }),
  17: (reader) => ({ bundles: shape.array(reader.item(), 1, Infinity).map(envelope), answer: envelope(reader.item()) }),
  18: (reader) => ({ version: shape.uint(reader.item(), 1n, 1n), bundle: reader.done ? null : shape.uint(reader.item(), 1n) }),
  19: (reader) => ({
    challenge: shape.bytes(reader.item(), 16), ephemeral: shape.bytes(reader.item(), 32), mailbox: shape.bytes(reader.item(), 32),
  }),
  20: (reader) => ({ channel: shape.bytes(reader.item(), 16), hello: envelope(reader.item()) }),
  21: (reader) => ({ welcome: envelope(reader.item()) }),
  22: (reader) => ({ code: shape.uint(reader.item(), 1n, 65535n), retryMs: reader.done ? null : shape.uint(reader.item()) }),
  23: posted,
};

/** A CBOR sequence of decoded items; a byte string of kind `Raw` is taken as it is. @param {any[]} items */
export const sequence = (items) => concat(...items.map((member) => (member instanceof Raw ? member.bytes : encode(member))));

/** Bytes that are an encoded item already. */
export class Raw {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
  }
}

/** A plain frame. @param {number} type @param {any[]} items */
export const plainFrame = (type, items) => concat(Uint8Array.of(type), sequence(items));

/** An item of a post: plane and envelope. @param {bigint | null} at @param {Uint8Array} bytes */
export const writeItem = (at, bytes) => new Raw(concat(Uint8Array.of(0x82), encode(at), bytes));

/** How many items end a frame of a file. @type {Record<number, number>} */
const FILED_ITEMS = { 14: 3, 16: 3, 17: 2, 23: 3 };

/** The length of the first frame of a file. @param {Uint8Array} bytes */
export function readFiled(bytes) {
  ensure(DIRECTION.has(bytes[0]), 'frame-unknown');
  ensure(IN_FILES.has(bytes[0]), 'frame-direction');
  const reader = new Reader(bytes.subarray(1));
  for (let place = 0; place < FILED_ITEMS[bytes[0]]; place++) {
    const isTagged = bytes[0] === TYPE.posted && place === 2 && !reader.done;
    const tagged = isTagged && reader.bytes[reader.at] === 0xd2;
    if (tagged) reader.at += 1;
    reader.item();
    ensure(tagged || !isTagged, 'shape');
  }
  const length = 1 + reader.at;
  ensure(length <= limits.FRAME_BYTES_MAX, 'oversize');
  return { type: bytes[0], body: parseBody(bytes[0], bytes.subarray(1, length)), length };
}

