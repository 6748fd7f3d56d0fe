// The child of a conformance runner: JSON lines in, JSON lines out. Implements interop-vectors/CLIENT-CLI.md.
import { createInterface } from 'node:readline';
import { Reject } from '../reject.js';
import { CONVERSATIONS } from './conversation.js';
import { parseExact, writeExact } from './json.js';
import { KEEPING } from './keeping.js';
import { MAILBOX } from './mailbox.js';
import { MESSAGES } from './messages.js';
import { SCENARIOS } from './scenarios.js';

/** @type {Record<string, (request: any) => any>} */
const OPERATIONS = { ...MESSAGES, ...KEEPING, ...MAILBOX, ...SCENARIOS, ...CONVERSATIONS };

/** The reply to one request. @param {any} request */
export function answer(request) {
  const operation = Object.hasOwn(OPERATIONS, request.op) ? OPERATIONS[request.op] : null;
  if (!operation) return { result: 'unsupported' };
  try {
    return { result: 'valid', ...operation(request) };
  } catch (error) {
    if (error instanceof Reject) return { result: 'invalid', error: error.reject };
    if (error instanceof TypeError || error instanceof SyntaxError || error instanceof RangeError) {
      process.stderr.write(`${request.op}: ${error.stack}\n`);
      return { result: 'unsupported' };
    }
    throw error;
  }
}

/** @param {string} line */
function reply(line) {
  let request;
  try {
    request = parseExact(line);
  } catch {
    return { id: null, result: 'unsupported' };
  }
  if (request === null || typeof request !== 'object') return { id: null, result: 'unsupported' };
  return { id: request.id ?? null, ...answer(request) };
}

/** Answers until the input ends. */
export async function runChild() {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line.trim() !== '') process.stdout.write(`${writeExact(reply(line))}\n`);
  }
}
