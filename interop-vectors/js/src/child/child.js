// The child of a conformance runner: one request a line, one reply a line.
// Implements interop-vectors/CLIENT-CLI.md.

import { createInterface } from 'node:readline';
import { Reject } from '../reject.js';
import { operations as core } from './core.js';
import { operations as engine } from './engine.js';
import { operations as frames } from './frames.js';
import { operations as sessions } from './sessions.js';
import { operations as lives } from './lives.js';
import { operations as orders } from './orders.js';
import { operations as states } from './states.js';
import { parseExact, stringifyExact } from '../json.js';
import { BadRequest } from './request.js';

/** @type {Record<string, (request: any) => any>} */
export const OPERATIONS = { ...core, ...states, ...lives, ...orders, ...frames, ...engine, ...sessions };

/**
 * Answers one request. An operation gives the outputs of a valid answer, or throws a reject; one with `steps` in its
 * outputs is as invalid as the first of them that is.
 * @param {any} request
 * @returns {any}
 */
export function answer(request) {
  const id = request?.id ?? null;
  const operation = typeof request?.op === 'string' && Object.hasOwn(OPERATIONS, request.op) ? OPERATIONS[request.op] : undefined;
  if (!operation) return { id, result: 'unsupported' };
  try {
    const outputs = operation(request) ?? {};
    const error = outputs.error ?? outputs.steps?.find((/** @type {any} */ step) => step.error)?.error;
    return error ? { ...outputs, id, result: 'invalid', error } : { ...outputs, id, result: 'valid' };
  } catch (error) {
    if (error instanceof Reject) return { id, result: 'invalid', error: error.reason };
    if (!(error instanceof BadRequest)) process.stderr.write(`${request.op}: ${error instanceof Error ? error.stack : error}\n`);
    return { id, result: 'unsupported' };
  }
}

/** Answers standard input until it ends. */
export async function runChild() {
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  for await (const line of lines) {
    process.stdout.write(`${stringifyExact(answer(parseExact(line)))}\n`);
  }
}
