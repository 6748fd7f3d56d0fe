// Operations on what is kept: states, heads, orders, encryption.
import { fromHex, toHex } from '../bytes.js';
import { decode } from '../cbor.js';
import { judge, judgeHighest } from '../acceptance.js';
import { readEnvelope, untag } from '../cose.js';
import { parseFrame } from '../frames.js';
import { openBody, openDelta, takePlaneKey } from '../planekeys.js';
import { ensure, Reject } from '../reject.js';
import * as state from '../state.js';
import { channelOf, stateOf } from './json.js';

/** @param {Map<string, Uint8Array>} table */
const sections = (table) => Object.fromEntries([...table].map(([name, digest]) => [name, toHex(digest)]));

/** @param {any} request @param {state.Digester} digester */
function digest(request, digester) {
  const whole = stateOf(request);
  state.checkState(whole);
  const { root, table } = state.digestOf(whole, digester);
  return { digest: toHex(root), sections: sections(table) };
}

/** @param {any} request */
function apply(request) {
  const base = stateOf(request);
  state.checkState(base);
  const before = toHex(state.digestOf(base).root);
  const delta = state.readDelta(decode(fromHex(request.delta)));
  const after = state.applyDelta(base, delta, fromHex(request.digest));
  return { before, digest: toHex(after.root), sections: sections(after.table) };
}

/** @param {{outcome: string, reject?: string}} judgement @param {object} [more] */
function judged({ outcome, reject }, more = {}) {
  return reject ? { result: 'invalid', error: reject, outcome, ...more } : { outcome, ...more };
}

/** @param {any} head */
const headOf = (head) => ({ ...head, digest: fromHex(head.digest) });

/** @param {any} request */
function acceptRevision(request) {
  const stored = request.stored && headOf(request.stored);
  const lineage = request.incoming.lineage.map((/** @type {any} */ entry) =>
    Array.isArray(entry) ? { epoch: entry[0], seq: entry[1], digest: fromHex(entry[2]) } : headOf(entry));
  const judgement = judge(stored, request.frozen, { ...headOf(request.incoming), lineage });
  return judged(judgement, { row: judgement.row, superseded: judgement.superseded ?? null, freezes: judgement.freezes ?? false });
}

/** @param {any} request */
function compareAdmissions({ stored, incoming }) {
  const numbers = (/** @type {any} */ { generation, epoch, number }) => [generation, epoch, number];
  const same = stored?.digest === incoming.digest;
  return judged(judgeHighest(stored && numbers(stored), numbers(incoming), same, 'admission-stale'));
}

/** @param {any} request */
function acceptReport({ stored, incoming }) {
  const numbers = (/** @type {any} */ { epoch, rseq }) => [epoch, rseq];
  const same = stored?.message_id === incoming.message_id;
  return judged(judgeHighest(stored && numbers(stored), numbers(incoming), same, 'report-stale'));
}

/** @param {any} request */
function openEncrypted(request) {
  const plane = request.plane;
  const keys = new Map(request.keys.map((/** @type {any} */ row) => [row.generation, fromHex(plane === 0n ? row.desired : row.actual)]));
  const place = channelOf(request);
  const input = fromHex(request.input);
  if (request.position === undefined) {
    return { plaintext: toHex(openBody(keys, place, plane, request.section, fromHex(request.digest), input, fromHex(request.digest_key))) };
  }
  const [kind, epoch, seq, base, root] = request.position;
  return { plaintext: toHex(openDelta(keys, place, plane, [kind, epoch, seq, base, fromHex(root)], decode(input))) };
}

/** @param {any} request */
function openPlaneKey(request) {
  const place = { writer: request.writer, epoch: request.epoch, generation: request.generation };
  const held = request.held && { ...request.held, payload: fromHex(request.held.payload), digestKey: fromHex(request.held.digest_key) };
  const { outcome, keys } = takePlaneKey(fromHex(request.secret), channelOf(request), place, held, fromHex(request.input));
  if (!keys) return { outcome };
  return { outcome, digest_key: toHex(keys.digestKey), desired: toHex(keys.desired), actual: toHex(keys.actual) };
}

/** @param {any} request */
function bytes(request) {
  const input = fromHex(request.input);
  if (request.form === 'envelope') readEnvelope(input[0] === 0xd2 ? untag(input) : input);
  else {
    const found = ['up', 'down', 'file'].some((direction) => parses(input, /** @type {any} */ (direction)));
    ensure(found, 'shape');
  }
  ensure(BigInt(input.length) === request.bytes && request.bytes <= request.budget, 'oversize');
}

/** @param {Uint8Array} input @param {import('../frames.js').Direction} direction */
function parses(input, direction) {
  try {
    return parseFrame(input, direction) !== null;
  } catch (error) {
    if (error instanceof Reject) return false;
    throw error;
  }
}

/** @type {Record<string, (request: any) => any>} */
export const KEEPING = {
  'state.digest': (request) => digest(request, state.READABLE),
  'encryption.digest': (request) => digest(request, state.keyed(fromHex(request.digest_key))),
  'state.apply': apply,
  'body.check': (request) => void state.readBody(request.section, fromHex(request.body), fromHex(request.digest)),
  'revision.accept': acceptRevision,
  'admission.compare': compareAdmissions,
  'report.accept': acceptReport,
  'encryption.open': openEncrypted,
  'plane-key.open': openPlaneKey,
  bytes,
};
