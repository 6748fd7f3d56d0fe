// A live conversation with the real controller and the real relay: join, changes, kill -9, changes again, a next key.
// Usage: POSTERN_BIN=<folder of postern and postern-relay> node test/live.js
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import assert from 'node:assert/strict';

const BIN = process.env.POSTERN_BIN ?? new URL('../../../target/release', import.meta.url).pathname;
const CLI = new URL('../cli.js', import.meta.url).pathname;
const WAIT_MS = 20000; // milliseconds until something that should happen has not
const folder = mkdtempSync(join(tmpdir(), 'postern-js-'));
/** @type {import('node:child_process').ChildProcess[]} */
const running = [];

/** Runs a program to its end and gives what it printed. @param {string} path @param {string[]} args @param {string} [input] */
async function run(path, args, input = '') {
  const child = spawn(path, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: 2 * WAIT_MS });
  child.stdin.on('error', () => {}); // a program that reads no input may be gone before it is written
  child.stdin.end(input);
  const [printed, errors, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  assert.equal(status, 0, `${path} ${args.join(' ')}: ${errors}`);
  return printed;
}

/** @param {string} program @param {string[]} args @param {string} [input] */
const command = (program, args, input) => run(join(BIN, program), args, input);

/** Starts a program and waits for a line that `ready` takes. @param {string} program @param {string[]} args @param {(line: string) => boolean} ready */
async function start(program, args, ready) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  running.push(child);
  const seen = new Promise((resolve, refuse) => {
    const timer = setTimeout(() => refuse(new Error(`${program} ${args[0]} said nothing of what was awaited`)), WAIT_MS);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => ready(line) && resolve(clearTimeout(timer)));
    }
  });
  await seen;
  return child;
}

/** @param {import('node:child_process').ChildProcess} child @param {NodeJS.Signals} signal */
async function stop(child, signal) {
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

/** A port that was free a moment ago. */
async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  server.close();
  return port;
}

/** A CONNECT proxy that counts its tunnels. */
async function startProxy() {
  const proxy = { tunnels: 0, url: '', close: () => {} };
  const server = http.createServer();
  server.on('connect', (request, socket) => {
    proxy.tunnels += 1;
    const [host, port] = String(request.url).split(':');
    const far = net.connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    far.pipe(socket).pipe(far);
    for (const end of [far, socket]) end.on('error', () => [far, socket].forEach((other) => other.destroy()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy.url = `http://127.0.0.1:${/** @type {net.AddressInfo} */ (server.address()).port}`;
  proxy.close = () => server.close();
  return proxy;
}

const startDevice = (/** @type {string} */ dir, /** @type {string[]} */ options) =>
  start(process.execPath, [CLI, 'run', '--dir', dir, ...options], (line) => line.includes('"session"'));

/** The story of one device, whatever carries it. @param {string} controller folder @param {string} name @param {string[]} options of the device */
async function tell(controller, name, options) {
  const dir = join(folder, name);
  const set = (/** @type {string[]} */ ...args) => command('postern', ['desired', 'set', name, ...args, '--dir', controller]);
  const values = () => JSON.parse(readFileSync(join(dir, 'desired.json'), 'utf8')).values;
  const line = await command('postern', ['controller', 'invite', name, '--dir', controller]);
  await run(process.execPath, [CLI, 'join', '--dir', dir, ...options], line);

  let device = await startDevice(dir, options);
  assert.match(await set('fan/speed', '3', '--wait', '20'), /applied/);
  assert.deepEqual(values(), { 'fan/speed': 3 });

  await stop(device, 'SIGKILL');
  await set('fan/speed', '4');
  assert.deepEqual(values(), { 'fan/speed': 3 }, 'a dead device applies nothing');
  device = await startDevice(dir, [...options, '--rotate']);
  assert.match(await set('net/name', 'hall', '--string', '--wait', '20'), /applied/);
  assert.deepEqual(values(), { 'fan/speed': 4, 'net/name': 'hall' });

  await stop(device, 'SIGKILL');
  device = await startDevice(dir, options);
  assert.match(await set('fan/speed', '5', '--wait', '20'), /applied/);
  const [status] = JSON.parse(await command('postern', ['status', name, '--dir', controller, '--json'])).devices;
  assert.equal(status.converged, true);
  assert.deepEqual(status.rejects, []);
  await stop(device, 'SIGTERM');
}

async function direct() {
  const dir = join(folder, 'controller');
  const port = await freePort();
  await command('postern', ['controller', 'init', '--dir', dir, '--listen', `127.0.0.1:${port}`, '--url', `https://127.0.0.1:${port}`]);
  await start(join(BIN, 'postern'), ['controller', 'run', '--dir', dir], (line) => line.includes('controller started'));
  await tell(dir, 'direct', []);
  const proxy = await startProxy();
  await tell(dir, 'tunnelled', ['--proxy', proxy.url]);
  assert.ok(proxy.tunnels >= 4, 'each start of the device went through the proxy');
  proxy.close();
}

async function relayed() {
  const [dir, relay] = [join(folder, 'far'), join(folder, 'relay')];
  const port = await freePort();
  const admin = await freePort();
  await command('postern', ['controller', 'init', '--no-listen', '--dir', dir]);
  const trust = await command('postern', ['controller', 'trust', '--dir', dir]);
  const line = await command('postern-relay', ['init', '--dir', relay, '--listen', `127.0.0.1:${port}`, '--url', `https://127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${admin}`], trust);
  await command('postern', ['controller', 'relay', 'add', '--dir', dir], line);
  await start(join(BIN, 'postern-relay'), ['run', '--dir', relay], (said) => said.includes('started'));
  await start(join(BIN, 'postern'), ['controller', 'run', '--dir', dir], (said) => said.includes('controller started'));
  await tell(dir, 'relayed', []);
}

try {
  for (const story of [direct, relayed]) {
    await story();
    process.stdout.write(`ok ${story.name}\n`);
  }
} finally {
  for (const child of running) if (child.exitCode === null && child.signalCode === null) await stop(child, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
