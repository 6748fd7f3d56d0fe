// Operations about what is newer, how old it is, and what is done once.
// See interop-vectors/README.md #operations.

import { h, utf8 } from '../bytes.js';
import { judge } from '../acceptance.js';
import { compareAdmissions } from '../admission.js';
import { Clones } from '../clones.js';
import { untag, verifyEnvelope } from '../cose.js';
import { Watch } from '../freshness.js';
import { Intents, OUTCOME } from '../intents.js';
import { ACTUAL, DESIRED, KIND } from '../kinds.js';
import { Reject } from '../reject.js';
import { compareReports } from '../report.js';
import { channelOf, hex, integer, list, member, object, text } from './request.js';
import { readState, typedState } from '../typed.js';

/** @param {any} head */
function headOf(head) {
  return {
    generation: integer(head, 'generation'), epoch: integer(head, 'epoch'), seq: integer(head, 'seq'), digest: hex(head, 'digest'),
  };
}

/** @param {any} request */
function revisionAccept(request) {
  const stored = member(request, 'stored');
  const incoming = member(request, 'incoming');
  const lineage = list(incoming, 'lineage').map((entry) => lineageEntry(entry));
  const { row, outcome, reject, freezes, superseded } = judge(stored && headOf(stored), member(request, 'frozen'), {
    ...headOf(incoming), base: integer(incoming, 'base'), isSnapshot: text(incoming, 'kind') === 'snapshot', lineage,
  });
  return { row: BigInt(row), outcome, error: reject, freezes, superseded };
}

/** @param {any} entry */
function lineageEntry(entry) {
  const [epoch, seq, digest] = Array.isArray(entry) ? entry : [entry.epoch, entry.seq, entry.digest];
  return { epoch, seq, digest: hex({ digest }, 'digest') };
}

/** The outcome of a comparison that refuses by a reject. @param {() => string} compare */
function outcomeOf(compare) {
  try {
    return { outcome: compare() };
  } catch (error) {
    if (error instanceof Reject) return { outcome: 'refuse', error: error.reason };
    throw error;
  }
}

/** @param {any} request */
function admissionCompare(request) {
  const read = (/** @type {any} */ admission) => ({
    generation: integer(admission, 'generation'), epoch: integer(admission, 'epoch'), number: integer(admission, 'number'),
    digest: hex(admission, 'digest'),
  });
  const stored = member(request, 'stored');
  const incoming = read(member(request, 'incoming'));
  return outcomeOf(() => compareAdmissions(stored && read(stored), incoming));
}

/** @param {any} request */
function reportAccept(request) {
  const read = (/** @type {any} */ report) => (
    { epoch: integer(report, 'epoch'), seq: integer(report, 'rseq'), messageId: hex(report, 'message_id') });
  const stored = member(request, 'stored');
  const incoming = read(member(request, 'incoming'));
  return outcomeOf(() => compareReports(stored && read(stored), incoming));
}

/** @param {any} request */
function cloneShow(request) {
  const clones = new Clones();
  const steps = list(request, 'steps').map((step) => {
    const messageId = h(utf8(integer(step, 'content').toString()));
    const report = { epoch: integer(step, 'epoch'), seq: integer(step, 'rseq'), messageId };
    const shown = outcomeOf(() => clones.take(report, member(step, 'live')));
    return stepOf({ ...shown, cloned: clones.cloned });
  });
  return { steps };
}

/** @param {any} shown */
function stepOf(shown) {
  return { ...shown, result: shown.error ? 'invalid' : 'valid' };
}

/** @param {any} request */
function freshnessWatch(request) {
  const role = /** @type {any} */ (text(request, 'role'));
  const expected = {
    role, plane: role === 'device' ? ACTUAL : DESIRED, kind: KIND.heartbeat, place: channelOf(request), keys: [hex(request, 'public_key')],
  };
  const watch = new Watch(Number(integer(request, 'max_age_ms')));
  const steps = list(request, 'steps').map((step) => {
    const atMs = Number(integer(step, 'at_ms'));
    const shown = step.heartbeat === undefined ? {} : hear(watch, step, expected, atMs);
    if (step.ask !== undefined) watch.asked(hex(step, 'ask'), atMs);
    return stepOf({ ...shown, stale: watch.isStale(atMs) });
  });
  return { steps };
}

/** @param {Watch} watch @param {any} step @param {import('../cose.js').Expected} expected @param {number} atMs */
function hear(watch, step, expected, atMs) {
  try {
    const { payload } = verifyEnvelope(untag(hex(step, 'heartbeat')), expected);
    return { hearing: watch.hear(payload, atMs) };
  } catch (error) {
    if (error instanceof Reject) return { error: error.reason };
    throw error;
  }
}

/** @param {any} request */
function intentTake(request) {
  const intents = { now: new Intents() };
  const steps = list(request, 'steps').map((step, at) => {
    /** @type {import('../intents.js').Note[]} */
    let notes = [];
    if (step.restart === true) {
      intents.now = new Intents(intents.now.save());
      notes = intents.now.interrupted();
    }
    const judged = intents.now.judge(readState(object(step, 'intents')), at === 0);
    notes = [...notes, ...judged.notes].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    if (step.ends !== false) for (const [path, value] of judged.actions) intents.now.ended(path, value, 0n, '');
    return stepOf({
      actions: judged.actions,
      notes: notes.filter(([, , outcome]) => outcome !== OUTCOME.finished),
      shown: typedState(new Map(intents.now.shown)),
    });
  });
  return { steps };
}

/** @type {Record<string, (request: any) => any>} */
export const operations = {
  'revision.accept': revisionAccept,
  'admission.compare': admissionCompare,
  'report.accept': reportAccept,
  'clone.show': cloneShow,
  'freshness.watch': freshnessWatch,
  'intent.take': intentTake,
};
