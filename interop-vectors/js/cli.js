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
import { Transport, WayError } from './src/device/transport.js';
import { HOLD_S_MAX } from './src/limits.js';

const USAGE = `usage:
  node cli.js child
  node cli.js join --dir DIR [--proxy URL] [--ca FILE] < LINE
  node cli.js run  --dir DIR [--proxy URL] [--ca FILE] [--hold SECONDS] [--rotate]`;
const LINE_BYTES_MAX = 65536;
const PATIENCE_MS = 120000;

const HELP = `${USAGE}

join   reads the join line of \`postern controller invite\` on standard input and leaves a store in DIR
run    runs the device of DIR until SIGTERM or SIGINT; events are JSON lines on standard error
child  answers a conformance runner on standard input

--dir DIR       the folder of the device
--proxy URL     an HTTP proxy for CONNECT: http://user:password@proxy:3128
--ca FILE       PEM, further authorities for TLS
--hold SECONDS  how long a mailbox may hold a poll, up to ${HOLD_S_MAX}; 50 unless set
--rotate        asks for a next device key at this start
status: 0 done, 1 failed with the next step, 2 wrong command line`;

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
    const { code, message } = /** @type {any} */ (error);
    // What stands there may be a join line, which holds a secret.
    if (code === 'ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL') throw new UsageError('there are options only; a join line comes on standard input');
    throw new UsageError(message);
  }
}

/** @param {any} values @param {Uint8Array | null | undefined} certificate of the join line */
function transportOf({ proxy, ca }, certificate) {
  const authorities = [];
  if (certificate) authorities.push(certificate);
  if (ca) authorities.push(authoritiesOf(ca));
  try {
    return new Transport({ proxy, authorities });
  } catch (error) {
    throw error instanceof WayError ? new UsageError(`--proxy: ${error.message}`) : error;
  }
}

/** @param {string} file */
function authoritiesOf(file) {
  let text = '';
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--ca: ${file} cannot be read (${/** @type {any} */ (error).code})`);
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new UsageError(`--ca: ${file} holds no certificate in PEM`);
  return text;
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

/** @template T @param {string} dir @param {() => T} read @returns {T} */
function readStore(dir, read) {
  try {
    return read();
  } catch {
    throw new Error(`the store ${dir}/device.cbor is damaged: keep it aside, and join in another folder with a new line of \`postern controller invite\``);
  }
}

const attemptOf = (/** @type {Uint8Array} */ bytes, /** @type {string} */ dir) => readStore(dir, () => storedAttempt(bytes));
const durableOf = (/** @type {Uint8Array} */ bytes, /** @type {string} */ dir) => readStore(dir, () => decodeDurable(bytes));

/** @param {string[]} args */
async function runCommand(args) {
  const values = options(args, { hold: { type: 'string' }, rotate: { type: 'boolean' } });
  const holdS = Number(values.hold ?? 50);
  if (!Number.isInteger(holdS) || holdS < 0 || holdS > HOLD_S_MAX) throw new UsageError(`--hold is a number of seconds up to ${HOLD_S_MAX}`);
  const store = existsSync(values.dir) ? openStore(values.dir) : null;
  await store?.lock();
  const bytes = store?.load();
  if (!store || !bytes || attemptOf(bytes, values.dir)) throw new Error(`there is no device in ${values.dir}: run \`join\` with a join line first`);
  const certificate = durableOf(bytes, values.dir).site?.[1];
  const loop = new Loop(store, transportOf(values, certificate), { event: tell, holdS, rotate: Boolean(values.rotate) });
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => loop.stop());
  await loop.run();
}

/** @param {string[]} args @returns {Promise<number>} the status */
async function main([command, ...args]) {
  try {
    if (command === 'help' || [command, ...args].some((word) => word === '--help' || word === '-h')) process.stdout.write(`${HELP}\n`);
    else if (command === 'child' && args.length > 0) throw new UsageError('child takes no arguments');
    else if (command === 'child') await runChild();
    else if (command === 'join') await joinCommand(args);
    else if (command === 'run') await runCommand(args);
    else throw new UsageError(`${command === undefined ? 'a command is missing' : `there is no command ${command}`}`);
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
