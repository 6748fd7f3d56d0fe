// The form of each kind's payload, steps 15 and 16 of spec/postern.md#verification-order. Nothing here needs stored state.
import { checkAgreementKey } from './agreement.js';
import { compare, equal, isBytes, sha256, utf8 } from './bytes.js';
import { decode } from './cbor.js';
import { checkName } from './channel.js';
import { isEncrypt0, readEncrypt0 } from './encrypt0.js';
import { ascends, checkKey, fromCoseKey, holds, thumbprint } from './keys.js';
import * as limits from './limits.js';
import { readReport } from './report.js';
import { ensure } from './reject.js';
import * as shape from './shape.js';
import { isSectionName, readDelta, rootOf } from './state.js';

/** @typedef {import('./cose.js').Position} Position */

/** Decodes and checks the payload of a verified signature. @param {{position: Position, payload: Uint8Array}} envelope @returns {any} */
export function readPayload({ position, payload }) {
  const value = decode(payload);
  const read = READERS[Number(position.kind)];
  return read(value, position, payload);
}

/** @type {((value: any, position: Position, payload: Uint8Array) => any)[]} */
const READERS = [
  (value) => (isEncrypt0(value) ? { encrypted: readEncrypt0(value) } : readDelta(value)),
  readSnapshot,
  readReport,
  (value) => shape.array(value, 0),
  readHeartbeat,
  readEnrolRequest,
  readEnrolAnswer,
  readBundle,
  readAdmission,
  readHello,
  readWelcome,
  readReceipt,
  readEvidence,
  readPlaneKey,
  (value) => ({ code: shape.uint(shape.array(value, 1)[0], 1n, 65535n) }),
];

/** @param {any} value @param {Position} position */
function readSnapshot(value, position) {
  const members = shape.array(value, 2, 3);
  const encrypted = members.length === 3;
  const table = readTable(members[0], encrypted);
  const entries = shape.array(members[1], 0, Infinity);
  const lineage = readLineage(entries, position.epoch);
  if (!encrypted) {
    ensure(equal(rootOf(table), position.digest), 'digest-mismatch');
    return { table, lineage, encrypted };
  }
  return { table, lineage, encrypted, keyGeneration: shape.uint(members[2], 1n) };
}

/** Rows of a section table, all of one form. @param {unknown} value @param {boolean} encrypted */
function readTable(value, encrypted) {
  const table = shape.map(value);
  for (const [name, row] of table) {
    shape.text(name);
    ensure(isSectionName(name), 'section-invalid');
    if (!encrypted) shape.bytes(row, 32);
    else for (const digest of shape.array(row, 2)) shape.bytes(digest, 32);
  }
  ensure(table.size <= limits.SECTIONS_MAX, 'state-oversize');
  return table;
}

/** @param {any[]} entries @param {bigint} epoch */
function readLineage(entries, epoch) {
  ensure(entries.length <= limits.LINEAGE_MAX, 'lineage-invalid');
  let before = 0n;
  return entries.map((entry) => {
    const [at, seq, digest] = shape.array(entry, 3);
    shape.uint(at);
    shape.uint(seq);
    shape.bytes(digest, 32);
    ensure(at > before && at < epoch && seq >= 1n, 'lineage-invalid');
    before = at;
    return { epoch: at, seq, digest };
  });
}

/** @param {any} value */
const nonceOrNull = (value) => (value === null ? null : shape.bytes(value, 16));

/** @param {any} value */
function readHeartbeat(value) {
  const [start, uptime, epoch, seq, echo, ask] = shape.array(value, 6);
  const content = {
    start: shape.bytes(start, 8), uptime: shape.uint(uptime), epoch: shape.uint(epoch), seq: shape.uint(seq),
    echo: nonceOrNull(echo), ask: nonceOrNull(ask),
  };
  ensure((epoch === 0n) === (seq === 0n), 'shape');
  return content;
}

/** @param {any} value @param {Position} position @param {Uint8Array} payload */
function readEnrolRequest(value, position, payload) {
  const [token, device, key, incarnation, nonce, agreement] = shape.array(value, 5, 6);
  shape.bytes(token, 8);
  shape.text(device);
  const publicKey = fromCoseKey(key);
  shape.bytes(incarnation, 16);
  shape.bytes(nonce, 16);
  if (agreement !== undefined) shape.bytes(agreement, 32);
  checkName(device);
  checkKey(publicKey);
  if (agreement) checkAgreementKey(agreement);
  ensure(equal(sha256(payload), position.digest), 'digest-mismatch');
  return { token, device, publicKey, incarnation, nonce, agreement };
}

/** @param {any} value */
function readEnrolAnswer(value) {
  const [bundle, print, time] = shape.array(value, 2, 3);
  shape.uint(bundle, 1n);
  shape.bytes(print, 32);
  if (time !== undefined) shape.uint(time, 1n, limits.UNIX_S_MAX);
  return { bundle, thumbprint: print, time };
}

/** The content of a bundle that stands on its own, in reading order; the chain is judged in trust.js. @param {any} value */
function readBundle(value) {
  const members = [...shape.map(value)];
  ensure(members.length === 5, 'shape');
  const member = (/** @type {number} */ label) => {
    ensure(members[label - 1][0] === BigInt(label), 'shape');
    return members[label - 1][1];
  };
  const root = readKey(member(1));
  const recovery = readKey(member(2));
  const writers = readWriters(shape.map(member(3), 1));
  const boxes = shape.array(member(4), 0, Infinity);
  ensure(boxes.length <= limits.BUNDLE_LIST_MAX, 'oversize');
  const mailboxes = boxes.map(readMailbox);
  const revoked = shape.array(member(5), 0, Infinity);
  ensure(revoked.length <= limits.BUNDLE_LIST_MAX, 'oversize');
  revoked.forEach((print) => shape.bytes(print, 32));
  ensure(ascends(revoked), 'shape');
  const keys = [root, recovery, ...[...writers.values()].map(({ key }) => key), ...mailboxes.map(({ key }) => key)];
  for (const key of keys) ensure(!holds(revoked, thumbprint(key)), 'key-revoked');
  return { root, recovery, writers, mailboxes, revoked };
}

/** A key that may count. @param {any} value */
function readKey(value) {
  const key = fromCoseKey(value);
  checkKey(key);
  return key;
}

/** @param {Map<any, any>} map */
function readWriters(map) {
  ensure(map.size <= limits.BUNDLE_LIST_MAX, 'oversize');
  const writers = new Map();
  for (const [tenant, row] of map) {
    shape.text(tenant);
    checkName(tenant);
    const [generation, key] = shape.array(row, 2);
    ensure(shape.uint(generation) >= 1n, 'bundle-generation');
    writers.set(tenant, { generation, key: readKey(key) });
  }
  return writers;
}

/** @param {any} row */
function readMailbox(row) {
  const [key, urls] = shape.array(row, 2);
  return { key: readKey(key), urls: readUrls(urls) };
}

/** @param {any} value @returns {string[]} */
export function readUrls(value) {
  const urls = shape.array(value, 1, Infinity);
  ensure(urls.length <= limits.URLS_MAX, 'oversize');
  for (const url of urls) {
    const size = utf8(shape.text(url)).length;
    ensure(size >= 1, 'shape');
    ensure(size <= limits.URL_BYTES_MAX, 'oversize');
  }
  return urls;
}

/** @param {any} value @param {Position} position @param {Uint8Array} payload */
function readAdmission(value, position, payload) {
  const [device, status, incarnation, keys, quota, bundle] = shape.array(value, 6);
  shape.text(device);
  shape.uint(status, 0n, 1n);
  shape.bytes(incarnation, 16);
  const publicKeys = shape.array(keys, 1, 2).map(fromCoseKey);
  shape.uint(quota);
  shape.uint(bundle, 1n);
  ensure(publicKeys.length < 2 || compare(publicKeys[0], publicKeys[1]) !== 0, 'shape');
  checkName(device);
  publicKeys.forEach(checkKey);
  ensure(equal(sha256(payload), position.digest), 'digest-mismatch');
  return { device, status, incarnation, publicKeys, quota, bundle };
}

/** @param {any} value */
function readHello(value) {
  const [challenge, ephemeral] = shape.array(value, 2);
  return { challenge: shape.bytes(challenge, 16), ephemeral: shape.bytes(ephemeral, 32) };
}

/** @param {any} value */
function readWelcome(value) {
  const [session, bundle, age, time] = shape.array(value, 3, 4);
  shape.bytes(session, 4);
  shape.uint(bundle);
  shape.uint(age, 0n, limits.SESSION_AGE_S_MAX);
  if (time !== undefined) shape.uint(time, 1n, limits.UNIX_S_MAX);
  return { session, bundle, ageMaxS: age, time };
}

/** @param {any} value */
function readReceipt(value) {
  const [channel, code] = shape.array(value, 2);
  return { channel: shape.bytes(channel, 16), code: shape.uint(code, 0n, 65535n) };
}

/** @param {any} value @param {Position} position */
function readEvidence(value, position) {
  const [code, table, proofs] = shape.array(value, 3);
  ensure(code === 64n || code === 66n, 'shape');
  ensure(table === null || code === 64n, 'shape');
  const messages = shape.array(proofs, 1, 2).map((proof) => {
    const [id, envelope] = shape.array(proof, 2);
    shape.bytes(id, 32);
    if (envelope !== null) shape.bytes(envelope);
    return { id, envelope };
  });
  if (table === null) return { code, table, messages };
  const encrypted = [...shape.map(table).values()].some((row) => !isBytes(row));
  const rows = readTable(table, encrypted);
  if (!encrypted) ensure(equal(rootOf(rows), position.digest), 'digest-mismatch');
  return { code, table: rows, messages };
}

/** @param {any} value @param {Position} position @param {Uint8Array} payload */
function readPlaneKey(value, position, payload) {
  const content = planeKeyForm(value);
  ensure(equal(sha256(payload), position.digest), 'digest-mismatch');
  return content;
}

/** @param {any} value */
export function planeKeyForm(value) {
  const [encapsulated, ciphertext] = shape.array(value, 2);
  return { encapsulated: shape.bytes(encapsulated, 32), ciphertext: shape.bytes(ciphertext, 119) };
}
