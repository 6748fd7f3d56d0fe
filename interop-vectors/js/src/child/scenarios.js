// Operations of several steps; a refused step changes nothing, and later steps go on.
import { equal, fromHex } from '../bytes.js';
import { judgeHighest } from '../acceptance.js';
import { Reader } from '../cbor.js';
import { aadPlane } from '../channel.js';
import { untag, verifyEnvelope } from '../cose.js';
import { counter, openFrame, parseBody, isSessionType } from '../frames.js';
import { Freshness } from '../freshness.js';
import { Intents } from '../intents.js';
import { KIND } from '../kinds.js';
import { NEED_INTERVAL_MS, REPLAY_WINDOW } from '../limits.js';
import { ensure, Reject } from '../reject.js';
import { checkTag, Session, Stream } from '../session.js';
import { channelOf, valueOf } from './json.js';

/** Runs every step; the error is the first reject that occurs. @param {any[]} steps @param {(step: any) => any} run */
function scenario(steps, run) {
  /** @type {string | null} */
  let failed = null;
  const results = steps.map((step) => {
    try {
      const found = { result: 'valid', ...run(step) };
      failed ??= found.error ?? null;
      return found;
    } catch (error) {
      if (!(error instanceof Reject)) throw error;
      failed ??= error.reject;
      return { result: 'invalid', error: error.reject };
    }
  });
  return failed ? { result: 'invalid', error: failed, steps: results } : { steps: results };
}

/** @param {any} row */
const openSession = (row) => ({ id: fromHex(row.session_id), keyUp: fromHex(row.key_up), keyDown: fromHex(row.key_down), seen: new Set(), highest: 0n });

/** A session frame as a mailbox judges it: id, tag, counter, window. @param {ReturnType<typeof openSession>[]} sessions @param {Uint8Array} frame */
function receiveUp(sessions, frame) {
  const { type, session, body } = openFrame(frame, 'up');
  ensure(isSessionType(type), 'frame-direction');
  const found = sessions.find(({ id }) => session && equal(id, session));
  if (!found) throw new Reject('session-unknown');
  checkTag(frame, found.keyUp);
  const number = counter(new Reader(body));
  ensure(!found.seen.has(number) && number + REPLAY_WINDOW > found.highest, 'session-replay');
  found.seen.add(number);
  if (number > found.highest) found.highest = number;
  parseBody(type, body);
  return found;
}

/** @param {any} request */
function up(request) {
  const sessions = [openSession(request)];
  return scenario(request.steps, (step) => void receiveUp(sessions, fromHex(step.frame)));
}

/** @param {any} request */
function switchSessions(request) {
  const newer = openSession(request.newer);
  let sessions = [openSession(request.older), newer];
  return scenario(request.steps, (step) => {
    if (receiveUp(sessions, fromHex(step.frame)) === newer) sessions = [newer];
  });
}

/** @param {any} request */
function down(request) {
  const { id, keyUp, keyDown } = openSession(request);
  const session = new Session({ id, keyUp, keyDown });
  return scenario(request.steps, (step) => void session.accept(fromHex(step.frame), step.request));
}

/** @param {any} request */
function streamOf(request) {
  const { id, keyUp, keyDown } = openSession(request);
  const stream = new Stream(new Session({ id, keyUp, keyDown }), BigInt(request.request), BigInt(request.frames));
  return scenario(request.steps, (step) => void stream.accept(fromHex(step.frame)));
}

/** @param {any} request */
function needLimit(request) {
  const served = new Map();
  return scenario(request.steps, ({ at_ms: atMs, plane }) => {
    ensure(!served.has(plane) || Number(atMs) - served.get(plane) >= NEED_INTERVAL_MS, 'need-limited');
    served.set(plane, Number(atMs));
  });
}

/** @param {any} request */
function watch(request) {
  const freshness = new Freshness(Number(request.max_age_ms));
  const place = channelOf(request);
  const plane = request.role === 'writer' ? 0n : 1n;
  const aad = (/** @type {bigint} */ kind) => aadPlane(kind, place, plane);
  const expected = { role: request.role, plane, keys: [fromHex(request.public_key)], aad };
  return scenario(request.steps, (step) => {
    const atMs = Number(step.at_ms);
    if (step.ask) freshness.asked(atMs, fromHex(step.ask));
    if (!step.heartbeat) return { stale: freshness.stale(atMs) };
    const beat = verifyEnvelope(untag(fromHex(step.heartbeat)), expected);
    ensure(beat.position.kind === KIND.heartbeat, 'signer-role');
    return { hearing: freshness.heard(atMs, beat.content), stale: freshness.stale(atMs) };
  });
}

/** @param {any} request */
function takeIntents(request) {
  let intents = new Intents();
  return scenario(request.steps, (step) => {
    if (step.restart) intents = new Intents(intents.marks, intents.begun);
    const before = step.restart ? intents.interrupted() : [];
    const state = new Map(Object.entries(step.intents).map(([path, value]) => [path, valueOf(value)]));
    const { actions, notes } = intents.take(state);
    if (step.ends ?? true) for (const [path, value] of actions) intents.finish(path, value);
    const told = [...before, ...notes].map(({ path, value, outcome }) => [path, value, outcome]);
    return { actions, notes: told, shown: Object.fromEntries(intents.shown()) };
  });
}

/** @param {any} request */
function showClones(request) {
  /** @type {any} */
  let stored = null;
  let cloned = false;
  return scenario(request.steps, ({ epoch, rseq, content, live }) => {
    const same = stored?.content === content;
    const { outcome, reject } = judgeHighest(stored && [stored.epoch, stored.rseq], [epoch, rseq], same, 'report-stale');
    if (outcome === 'accept') stored = { epoch, rseq, content };
    if (live && reject && (reject === 'equivocation' || epoch < stored.epoch)) cloned = true;
    return reject ? { result: 'invalid', error: reject, outcome, cloned } : { outcome, cloned };
  });
}

/** @type {Record<string, (request: any) => any>} */
export const SCENARIOS = {
  'session.up': up,
  'session.down': down,
  'session.stream': streamOf,
  'session.switch': switchSessions,
  'need.limit': needLimit,
  'freshness.watch': watch,
  'intent.take': takeIntents,
  'clone.show': showClones,
};

