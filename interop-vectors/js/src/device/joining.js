// Joining: from the join line of an operator to a store that a device can run from.
// Implements spec/postern.md #enrolment and spec/lives.md #join-line, from the side of the device.
//
// Key, incarnation and request are durable before the request goes out: a device that dies in between asks again with the
// same ones, and the controller answers it with the same enrolment.

import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { equalBytes } from '../bytes.js';
import { decodeAt, encode } from '../cbor.js';
import { acceptAnswer, enrolMac, makeRequest, requestId } from '../enrolment.js';
import { encodeDurable, newDurable } from '../engine-store.js';
import { frameOfAnswer } from '../exchange.js';
import { FRAME, writePlainFrame } from '../frames.js';
import { Signer } from '../keys.js';
import { RETRY_MS_MAX } from '../limits.js';
import { readJoinLine } from '../lines.js';
import { Reject, demand } from '../reject.js';
import { Refused, expectPlain } from '../session.js';

const FORM = 'postern-device-joining-1';
const EXCHANGE_MS = 15000;
const PAUSE_MS = 1000;
const PAUSE_MS_MAX = 30000;
/** Refusals that pass by themselves. */
const PASSING = new Set(['enrol-pending', 'overloaded', 'quota', 'unknown']);

/** What an operator is told when joining does not work, with the next step. */
export class JoinError extends Error {}

/** @typedef {{token: Uint8Array, incarnation: Uint8Array, seed: Uint8Array, request: Uint8Array}} Attempt */

/** @param {number} length */
function random(length) {
  return new Uint8Array(randomBytes(length));
}

/** Whether a store holds an attempt, and no device yet. @param {Uint8Array} bytes @returns {Attempt | null} */
export function storedAttempt(bytes) {
  const [store] = decodeAt(bytes, 0);
  if (!Array.isArray(store) || store[0] !== FORM) return null;
  const [, token, incarnation, seed, request] = store;
  return { token, incarnation, seed, request };
}

/** The attempt of this line: the one that is stored, or a new one. @param {any} store @param {import('../lines.js').JoinLine} line */
function attemptFor(store, line) {
  const bytes = store.load();
  const stored = bytes ? storedAttempt(bytes) : null;
  if (bytes && !stored) throw new JoinError('this folder holds a device already: run it, or name another folder with --dir');
  if (stored && equalBytes(stored.token, line.token)) return stored;
  const attempt = { token: line.token, incarnation: random(16), seed: random(32), request: new Uint8Array() };
  const place = { genesis: line.genesis, tenant: line.tenant, device: line.device, incarnation: attempt.incarnation };
  attempt.request = makeRequest(place, new Signer(attempt.seed), line.token, random(16)).envelope;
  store.save(encode([FORM, attempt.token, attempt.incarnation, attempt.seed, attempt.request]));
  return attempt;
}

/** @param {string} text @returns {import('../lines.js').JoinLine} */
export function joinLine(text) {
  try {
    return readJoinLine(text);
  } catch (error) {
    const why = error instanceof Reject ? `it is refused as ${error.reason}` : /** @type {Error} */ (error).message;
    throw new JoinError(`this is no join line, ${why}: give the whole line that \`postern controller invite\` printed`);
  }
}

/**
 * Enrols with the controller of a join line, and leaves a store to run from.
 * @param {any} store @param {string} text of the line
 * @param {{exchange: (url: string, frame: Uint8Array, options: any) => Promise<{status: number, body: Uint8Array}>}} transport
 * @param {{event: (event: any) => void, patienceMs: number, signal?: AbortSignal}} more
 */
export async function join(store, text, transport, { event, patienceMs, signal }) {
  const line = joinLine(text);
  const attempt = attemptFor(store, line);
  const place = { genesis: line.genesis, tenant: line.tenant, device: line.device, incarnation: attempt.incarnation };
  const messageId = requestId(attempt.request, place);
  const frame = writePlainFrame(FRAME.enrol, encode(line.token), encode(enrolMac(line.secret, messageId)), attempt.request);
  const bundle = await askAll(line, frame, transport, { event, patienceMs, signal }, (enrolled) => {
    const pins = { genesis: line.genesis, recovery: line.recovery };
    const answer = acceptAnswer(enrolled, pins, place, new Signer(attempt.seed).publicKey, messageId);
    const { mailbox } = line;
    demand(!mailbox || answer.bundle.mailboxes.some(({ thumbprint }) => equalBytes(thumbprint, mailbox)), 'mailbox-mismatch');
    return answer.bundle;
  });
  store.save(encodeDurable(newDurable({
    ...place, recovery: line.recovery, seed: attempt.seed, bundle: bundle.envelope, site: [line.urls, line.certificate ?? null],
  })));
  event({ event: 'joined', tenant: line.tenant, device: line.device, bundle: bundle.number });
}

/**
 * Asks each URL of the line in turn until one answers, or patience ends.
 * @template T @param {import('../lines.js').JoinLine} line @param {Uint8Array} frame @param {any} transport @param {any} more
 * @param {(enrolled: any) => T} accept @returns {Promise<T>}
 */
async function askAll(line, frame, transport, { event, patienceMs, signal }, accept) {
  const until = performance.now() + patienceMs;
  let waitMs = PAUSE_MS;
  let last = 'nobody answered';
  for (let at = 0; ; at += 1) {
    const url = line.urls[at % line.urls.length];
    let nextMs = at % line.urls.length === line.urls.length - 1 ? waitMs : 0;
    try {
      const { status, body } = await transport.exchange(url, frame, { timeoutMs: EXCHANGE_MS, signal });
      return accept(expectPlain(frameOfAnswer(status, body), FRAME.enrolled));
    } catch (error) {
      if (signal?.aborted) throw error;
      last = explain(error, event, url);
      if (error instanceof Refused && error.retryMs !== undefined) nextMs = Math.max(nextMs, PAUSE_MS, Math.min(Number(error.retryMs), RETRY_MS_MAX));
    }
    if (performance.now() + nextMs > until) {
      throw new JoinError(`not joined, ${last}: look at the network and the controller, then run join again with the same line`);
    }
    if (nextMs > 0) waitMs = Math.min(waitMs * 2, PAUSE_MS_MAX);
    await pause(nextMs, undefined, { signal });
  }
}

/** Why an exchange did not enrol; a refusal that stays ends it all. @param {unknown} error @param {(event: any) => void} event @param {string} url */
function explain(error, event, url) {
  if (error instanceof Refused) {
    event({ event: 'refused', reason: error.reason, url });
    if (!PASSING.has(error.reason)) throw new JoinError(`the controller refused with ${error.reason}: make a new line with \`postern controller invite\``);
    return `the controller refused with ${error.reason}`;
  }
  if (error instanceof Reject) {
    event({ event: 'reject', reason: error.reason, url });
    return `what answered was refused as ${error.reason}`;
  }
  const { code, message } = /** @type {any} */ (error);
  event({ event: 'unreachable', url, why: code ?? message });
  return `${url} was not reached (${code ?? message})`;
}
