#!/usr/bin/env node
// The command: child (answers a conformance runner), join (line on standard input), run. Events go to standard error as
// JSON lines; the desired state stands in desired.json of the device's folder.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runChild } from './src/child/child.js';
import { Device } from './src/device/device.js';
import { join } from './src/device/join.js';

const USAGE = `Usage: node cli.js child
       node cli.js join --dir DIR [--proxy URL] [--ca FILE] < JOIN_LINE
       node cli.js run  --dir DIR [--proxy URL] [--ca FILE] [--hold SECONDS] [--rotate]

  --proxy   an HTTP proxy for CONNECT, such as http://proxy.example:3128; user and password may stand in it
  --ca      a PEM file of further certificate authorities, such as that of a TLS-inspecting proxy
  --rotate  ask for a next device key at this start`;

/** @param {object} event */
const tell = (event) => void process.stderr.write(`${JSON.stringify(event)}\n`);

const OPTIONS = /** @type {const} */ ({
  dir: { type: 'string' }, proxy: { type: 'string' }, ca: { type: 'string' }, hold: { type: 'string' },
  rotate: { type: 'boolean' }, help: { type: 'boolean', short: 'h' },
});

async function main() {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [command] = positionals;
  if (values.help) return void process.stdout.write(`${USAGE}\n`);
  if (command === 'child') return runChild();
  if (!values.dir || !['join', 'run'].includes(command)) throw new TypeError(USAGE);
  if (command === 'join') return join(values.dir, readFileSync(0, 'utf8'), values, tell);
  if (values.hold && !/^\d{1,3}$/.test(values.hold)) throw new TypeError(USAGE);
  const device = new Device(values.dir, { ...values, holdS: values.hold ? Number(values.hold) : undefined }, tell);
  if (values.rotate) device.rotate();
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(0));
  return device.run();
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof TypeError ? error.message : /** @type {Error} */ (error).stack}\n`);
  process.exitCode = error instanceof TypeError ? 2 : 1;
}
