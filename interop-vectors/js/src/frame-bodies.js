// What stands in the body of each frame, item by item.
// Implements spec/postern.md #frames (the column body), #poll, #answer, #stream, #bodies and #hello, spec/relays.md
// #collect and #deliver, and spec/files.md #file-binding, as far as a body can be judged without what its reader holds.

import {
  BODY_CHUNK_BYTES_MAX, COUNTER_MAX, FETCH_DIGESTS_MAX, HOLD_S_MAX, SECTION_BYTES_MAX, SNAPSHOTS_WANTED_MAX,
  STREAM_FRAMES_MAX, STREAM_INTERVAL_MS_MAX, STREAM_INTERVAL_MS_MIN, STREAM_INTERVAL_MS_MIN_LONG, STREAM_PAD_BYTES_MAX,
  STREAM_PAD_BYTES_MAX_LONG, STREAM_PROBE_FRAMES_MAX, URL_BYTES_MAX,
} from './limits.js';
import { compareBytes, isBytes, isUint, utf8 } from './bytes.js';
import { demand } from './reject.js';

/** The items of one body, judged in reading order. Each item keeps the bytes that it was read from. */
export class Items {
  /** @param {{value: any, bytes: Uint8Array}[]} items */
  constructor(items) {
    this.items = items;
    this.at = 0;
  }

  get left() {
    return this.items.length - this.at;
  }

  /** The next item without taking it; undefined behind the last. */
  peek() {
    return this.items[this.at]?.value;
  }

  /** Takes an item that the body has to have. */
  take() {
    demand(this.left > 0, 'cbor-truncated');
    return this.items[this.at++];
  }

  /** @param {bigint} [least] @param {bigint} [most] @returns {bigint} */
  uint(least, most) {
    const { value } = this.take();
    demand(isUint(value, least, most), 'shape');
    return value;
  }

  /** @param {number} length @returns {Uint8Array} */
  bytes(length) {
    const { value } = this.take();
    demand(isBytes(value, length), 'shape');
    return value;
  }

  /** @returns {bigint} */
  plane() {
    return planeOf(this.take().value);
  }

  /** The bytes of an untagged envelope. */
  envelope() {
    const { value, bytes } = this.take();
    outerForm(value);
    return bytes;
  }

  /** Takes one or more members of a list until the body ends. @template T @param {(item: {value: any, bytes: Uint8Array}) => T} read */
  many(read) {
    demand(this.left > 0, 'shape');
    return this.rest(read);
  }

  /** Takes any number of members until the body ends. @template T @param {(item: {value: any, bytes: Uint8Array}) => T} read @returns {T[]} */
  rest(read) {
    const members = [];
    while (this.left > 0) members.push(read(this.take()));
    return members;
  }

  end() {
    demand(this.left === 0, 'cbor-trailing');
  }
}

/** The outer form of an envelope; all else is judged by who verifies it. @param {any} value */
export function outerForm(value) {
  demand(Array.isArray(value) && value.length === 4, 'shape');
  demand(isBytes(value[0]) && value[1] instanceof Map && isBytes(value[2]) && isBytes(value[3]), 'shape');
}

/** @param {any} value @returns {bigint} */
function planeOf(value) {
  demand(value === 0n || value === 1n, 'shape');
  return value;
}

/** @param {any} value @returns {bigint | null} */
function planeOrNull(value) {
  return value === null ? null : planeOf(value);
}

/** An array of so many members. @param {any} value @param {number} least @param {number} [most] @returns {any[]} */
function list(value, least, most = least) {
  demand(Array.isArray(value) && value.length >= least && value.length <= most, 'shape');
  return value;
}

/** @param {any} value @param {number} length @returns {Uint8Array} */
function bytesOf(value, length) {
  demand(isBytes(value, length), 'shape');
  return value;
}

/** @param {any} value @param {bigint} [least] @param {bigint} [most] @returns {bigint} */
function uintOf(value, least, most) {
  demand(isUint(value, least, most), 'shape');
  return value;
}

/** Two numbers of a head: both 0, or neither. @param {Items} body */
function head(body) {
  const epoch = body.uint();
  const seq = body.uint();
  demand((epoch === 0n) === (seq === 0n), 'shape');
  return { epoch, seq };
}

/** `[plane or null, envelope]`: the array and the plane take one byte each. @param {{value: any, bytes: Uint8Array}} item */
function planeAndEnvelope({ value, bytes }) {
  list(value, 2);
  const plane = planeOrNull(value[0]);
  outerForm(value[1]);
  return { plane, envelope: bytes.subarray(2) };
}

/** `[digest, offset]` @param {any} value */
function want(value) {
  list(value, 2);
  return { digest: bytesOf(value[0], 32), offset: uintOf(value[1]) };
}

/** `[digest, size, offset, bytes]` @param {{value: any}} item */
function chunk({ value }) {
  list(value, 4);
  const digest = bytesOf(value[0], 32);
  const size = uintOf(value[1]);
  demand(size <= BigInt(SECTION_BYTES_MAX), 'section-oversize');
  const offset = uintOf(value[2]);
  const bytes = value[3];
  demand(isBytes(bytes) && bytes.length >= 1 && bytes.length <= BODY_CHUNK_BYTES_MAX, 'shape');
  demand(offset + BigInt(bytes.length) <= size, 'shape');
  return { digest, size: Number(size), offset: Number(offset), bytes };
}

/** What a poll and a stream have in common. @param {Items} body */
function news(body) {
  const bundle = body.uint();
  const ackedItem = body.take().value;
  const acked = ackedItem === null ? null : uintOf(ackedItem);
  const desired = head(body);
  const actual = body.left > 0 && !Array.isArray(body.peek()) ? head(body) : undefined;
  let receipt;
  if (Array.isArray(body.peek())) {
    const [store, number] = list(body.take().value, 2);
    receipt = { store: uintOf(store, 1n), number: uintOf(number, 1n) };
  }
  body.end();
  return { bundle, acked, desired, actual, receipt };
}

/** @param {bigint} seconds */
function judgeHold(seconds) {
  demand(seconds <= BigInt(HOLD_S_MAX), 'hold-range');
  return Number(seconds);
}

/** @param {Items} body */
function poll(body) {
  return { holdS: judgeHold(body.uint()), ...news(body) };
}

/** @param {Items} body */
function stream(body) {
  const intervalMs = body.uint(BigInt(STREAM_INTERVAL_MS_MIN), BigInt(STREAM_INTERVAL_MS_MAX));
  const frames = body.uint(1n, BigInt(STREAM_FRAMES_MAX));
  const pad = body.uint(0n, BigInt(STREAM_PAD_BYTES_MAX));
  const probe = frames <= BigInt(STREAM_PROBE_FRAMES_MAX);
  demand(probe || intervalMs >= BigInt(STREAM_INTERVAL_MS_MIN_LONG), 'shape');
  demand(probe || pad <= BigInt(STREAM_PAD_BYTES_MAX_LONG), 'shape');
  return { intervalMs: Number(intervalMs), frames: Number(frames), pad: Number(pad), ...news(body) };
}

/** How each hint is read, by its key. @type {Map<any, [string, (value: any) => any]>} */
const HINTS = new Map([
  [1n, ['retryMs', (value) => uintOf(value)]],
  [2n, ['holdSMax', (value) => uintOf(value)]],
  [3n, ['move', (value) => {
    demand(typeof value === 'string', 'shape');
    const size = utf8(value).length;
    demand(size >= 1 && size <= URL_BYTES_MAX, 'shape');
    return value;
  }]],
  [4n, ['refused', (value) => list(value, 1, Infinity).map((entry) => {
    const [index, code] = list(entry, 2);
    return { index: uintOf(index), code: uintOf(code, 1n, 65535n) };
  })]],
  [5n, ['wanted', (value) => list(value, 1, FETCH_DIGESTS_MAX).map(want)]],
  [6n, ['need', (value) => {
    const planes = list(value, 1, 2).map(planeOf);
    demand(planes.length === 1 || planes[0] < planes[1], 'shape');
    return planes;
  }]],
  [7n, ['snapshotsWanted', snapshotsWanted]],
  [8n, ['bodiesWanted', (value) => list(value, 1, FETCH_DIGESTS_MAX).map((entry) => {
    const [channel, plane, digest, offset] = list(entry, 4);
    return { channel: bytesOf(channel, 16), plane: planeOf(plane), ...want([digest, offset]) };
  })]],
]);

/** Places, ascending and each once. @param {any} value */
function snapshotsWanted(value) {
  /** @type {{channel: Uint8Array, plane: bigint}[]} */
  const places = [];
  for (const entry of list(value, 1, SNAPSHOTS_WANTED_MAX)) {
    const [channelItem, planeItem] = list(entry, 2);
    const place = { channel: bytesOf(channelItem, 16), plane: planeOf(planeItem) };
    const before = places.at(-1);
    if (before) {
      const order = compareBytes(before.channel, place.channel) || Number(before.plane - place.plane);
      demand(order < 0, 'shape');
    }
    places.push(place);
  }
  return places;
}

/** The map of hints where there is one. @param {Items} body @returns {Record<string, any>} */
function hints(body) {
  /** @type {Record<string, any>} */
  const read = {};
  if (!(body.peek() instanceof Map)) return read;
  const map = body.take().value;
  demand(map.size > 0, 'shape');
  for (const [key, value] of map) {
    const hint = HINTS.get(key);
    demand(hint, 'shape');
    read[hint[0]] = hint[1](value);
  }
  return read;
}

/** @param {Items} body */
function streamAnswer(body) {
  const index = body.uint(0n, BigInt(STREAM_FRAMES_MAX - 1));
  const ageMs = body.uint();
  const padding = body.take().value;
  demand(isBytes(padding) && padding.length <= STREAM_PAD_BYTES_MAX, 'shape');
  return { index: Number(index), ageMs, hints: hints(body), items: body.rest(planeAndEnvelope) };
}

/** @param {Items} body */
function wants(body) {
  const members = body.many(({ value }) => want(value));
  demand(members.length <= FETCH_DIGESTS_MAX, 'shape');
  return members;
}

/** @param {Items} body */
function collect(body) {
  const holdS = judgeHold(body.uint());
  const store = body.uint();
  const cursor = body.uint();
  demand(store > 0n || cursor === 0n, 'shape');
  body.end();
  return { holdS, store, cursor };
}

/** `[channel id or null, plane or null]`: without a channel there is no plane. @param {any} channelItem @param {any} planeItem */
function placeOf(channelItem, planeItem) {
  const channel = channelItem === null ? null : bytesOf(channelItem, 16);
  const plane = planeOrNull(planeItem);
  demand(channel !== null || plane === null, 'shape');
  return { channel, plane };
}

/** The bytes of an envelope that is the last member of an array. @param {any} value */
function innerEnvelope(value) {
  outerForm(value);
  return value;
}

/** @param {{value: any}} item */
function letter({ value }) {
  list(value, 3);
  return { ...placeOf(value[0], value[1]), envelope: innerEnvelope(value[2]) };
}

/** @param {Items} body */
function collected(body) {
  const given = hints(body);
  const store = body.uint(1n);
  let last = 0n;
  const entries = body.rest(({ value }) => {
    list(value, 3, 4);
    const arrival = uintOf(value[0], last + 1n);
    last = arrival;
    if (value.length === 3) {
      demand(isBytes(value[2]), 'shape');
      return { arrival, knock: uintOf(value[1]), frame: value[2] };
    }
    return { arrival, ...placeOf(value[1], value[2]), envelope: innerEnvelope(value[3]) };
  });
  return { hints: given, store, entries };
}

/** @param {Items} body */
function deliverEnrolled(body) {
  const knock = body.uint();
  const frame = body.take().value;
  demand(isBytes(frame), 'shape');
  body.end();
  return { knock, frame };
}

/** A body of a known number of items. @template T @param {(body: Items) => T} read @returns {(body: Items) => T} */
function whole(read) {
  return (body) => {
    const fields = read(body);
    body.end();
    return fields;
  };
}

/** The bundles of frame 17, each with its own bytes. @param {Items} body */
function enrolled(body) {
  const { value, bytes } = body.take();
  demand(Array.isArray(value) && value.length > 0, 'shape');
  value.forEach(outerForm);
  return { bundles: value, bundleBytes: bytes, answer: body.envelope() };
}

/** @param {Items} body */
function ask(body) {
  demand(body.uint() === 1n, 'shape');
  const bundle = body.left > 0 ? body.uint(1n) : undefined;
  return { version: 1, bundle };
}

/** @param {Items} body */
function refused(body) {
  const code = Number(body.uint(1n, 65535n));
  return { code, retryMs: body.left > 0 ? body.uint() : undefined };
}

/** What follows the counter of a session frame. @type {Record<number, (body: Items) => any>} */
export const SESSION_BODIES = {
  0: poll,
  1: (body) => ({ hints: hints(body), items: body.rest(planeAndEnvelope) }),
  2: (body) => ({ items: body.many(planeAndEnvelope) }),
  3: whole((body) => ({ plane: body.plane(), ...head(body) })),
  4: (body) => ({ plane: body.plane(), wants: wants(body) }),
  5: (body) => ({ chunks: body.rest(chunk) }),
  6: (body) => ({ plane: body.plane(), chunks: body.many(chunk) }),
  7: collect,
  8: collected,
  9: (body) => ({ letters: body.many(letter) }),
  10: (body) => ({ channel: body.bytes(16), plane: body.plane(), chunks: body.many(chunk) }),
  11: (body) => ({ channel: body.bytes(16), plane: body.plane(), wants: wants(body) }),
  12: deliverEnrolled,
  13: stream,
  15: streamAnswer,
};

/** The bodies of plain frames. @type {Record<number, (body: Items) => any>} */
export const PLAIN_BODIES = {
  14: (body) => ({ channel: body.bytes(16), plane: body.plane(), chunk: chunk(body.take()) }),
  16: (body) => ({ token: body.bytes(8), mac: body.bytes(32), request: body.envelope() }),
  17: enrolled,
  18: ask,
  19: (body) => ({ challenge: body.bytes(16), mailboxEphemeral: body.bytes(32), mailboxThumbprint: body.bytes(32) }),
  20: (body) => ({ channel: body.bytes(16), hello: body.envelope() }),
  21: (body) => ({ welcome: body.envelope() }),
  22: refused,
  23: (body) => ({ channel: body.bytes(16), plane: planeOrNull(body.take().value), envelope: body.envelope() }),
};

/** The range of a counter is judged before what stands behind it is read. @param {any} first */
export function judgeCounter(first) {
  if (isUint(first)) demand(isUint(first, 1n, BigInt(COUNTER_MAX)), 'counter-exhausted');
}
