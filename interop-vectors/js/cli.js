#!/usr/bin/env node
// The command: a child of a conformance runner, or a device that joins and runs. README.md says how to use it.

import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runChild } from './src/child/child.js';
import { stringifyExact } from './src/json.js';
import { decodeDurable } from './src/engine-store.js';
import { JoinError, join, joinLine, storedAttempt } from './src/device/joining.js';
import { Loop } from './src/device/loop.js';
import { openStore } from './src/device/store.js';
import { Transport } from './src/device/transport.js';
import { HOLD_S_MAX } from './src/limits.js';

const USAGE = `usage:
  node cli.js child
  node cli.js join --dir DIR [--proxy URL] [--ca FILE] < LINE
  node cli.js run  --dir DIR [--proxy URL] [--ca FILE] [--hold SECONDS] [--rotate]`;
const LINE_BYTES_MAX = 65536;
const PATIENCE_MS = 120000;

class UsageError extends Error {}

/** Events are JSON lines on standard error. @param {any} event */
function tell(event) {
  process.stderr.write(`${stringifyExact(event)}\n`);
}

/** @param {string[]} args @param {Record<string, any>} more */
function options(args, more = {}) {
  const text = /** @type {const} */ ({ type: 'string' });
  try {
    const { values } = parseArgs({ args, options: { dir: text, proxy: text, ca: text, ...more }, strict: true });
    if (!values.dir) throw new UsageError('--dir is missing');
    return values;
  } catch (error) {
    throw new UsageError(/** @type {Error} */ (error).message);
  }
}

/** @param {any} values @param {Uint8Array | null | undefined} certificate of the join line */
function transportOf({ proxy, ca }, certificate) {
  const authorities = [];
  if (certificate) authorities.push(certificate);
  if (ca) authorities.push(readFileSync(ca, 'utf8'));
  return new Transport({ proxy, authorities });
}

/** Standard input, of which a line is at most a part. */
async function readLine() {
  let text = '';
  for await (const part of process.stdin.setEncoding('utf8')) {
    text += part;
    if (text.length > LINE_BYTES_MAX) throw new JoinError('standard input is longer than a join line');
  }
  return text;
}

/** @param {string[]} args */
async function joinCommand(args) {
  const values = options(args);
  const text = await readLine();
  const { certificate } = joinLine(text);
  const store = openStore(values.dir);
  await store.lock();
  const transport = transportOf(values, certificate);
  try {
    await join(store, text, transport, { event: tell, patienceMs: PATIENCE_MS });
  } finally {
    transport.close();
  }
}

/** @param {string[]} args */
async function runCommand(args) {
  const values = options(args, { hold: { type: 'string' }, rotate: { type: 'boolean' } });
  const holdS = Number(values.hold ?? 50);
  if (!Number.isInteger(holdS) || holdS < 0 || holdS > HOLD_S_MAX) throw new UsageError(`--hold is a number of seconds up to ${HOLD_S_MAX}`);
  const store = existsSync(values.dir) ? openStore(values.dir) : null;
  await store?.lock();
  const bytes = store?.load();
  if (!store || !bytes || storedAttempt(bytes)) throw new Error(`there is no device in ${values.dir}: run \`join\` with a join line first`);
  const certificate = decodeDurable(bytes).site?.[1];
  const loop = new Loop(store, transportOf(values, certificate), { event: tell, holdS, rotate: Boolean(values.rotate) });
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => loop.stop());
  await loop.run();
}

/** @param {string[]} args @returns {Promise<number>} the status */
async function main([command, ...args]) {
  try {
    if (command === 'child') await runChild();
    else if (command === 'join') await joinCommand(args);
    else if (command === 'run') await runCommand(args);
    else throw new UsageError(`there is no command ${command ?? ''}`);
    return 0;
  } catch (error) {
    process.stderr.write(`${/** @type {Error} */ (error).message}\n`);
    if (!(error instanceof UsageError)) return 1;
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
}

process.exitCode = await main(process.argv.slice(2));
if (process.argv[2] !== 'child') process.exit();
