// The live story with the real programs: node test/live.js. POSTERN_BIN names their folder.
// A device joins, applies, is killed, rotates its key, is killed again and converges: directly, through a proxy, by a relay.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, watch } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const BIN = process.env.POSTERN_BIN ?? join(HERE, '../../../target/release');
const CLI = join(HERE, '../cli.js');
const WAIT_MS = 60000;
const NAME = 'hall-1';

/** Processes that run, to be ended by their id. @type {Set<Running>} */
const running = new Set();

/** Waits for something, and not for ever. @template T @param {string} what @param {Promise<T>} promise @returns {Promise<T>} */
function bounded(what, promise) {
  let timer;
  const bound = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited too long for ${what}`)), WAIT_MS);
  });
  return Promise.race([promise, bound]).finally(() => clearTimeout(timer));
}

/** A process and the lines that it wrote. */
class Running {
  /** @param {string} program @param {string[]} args */
  constructor(program, args) {
    this.name = `${program.split('/').at(-1)} ${args.join(' ')}`;
    /** @type {string[]} */
    this.lines = [];
    /** @type {Set<() => void>} */
    this.waiting = new Set();
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    running.add(this);
    this.child.stdin.on('error', () => {}); // a program may end without reading its input
    this.output = '';
    this.child.stdout.setEncoding('utf8').on('data', (part) => {
      this.output += part;
    });
    for (const stream of [this.child.stdout, this.child.stderr]) this.collect(stream);
    this.ended = new Promise((resolve) => this.child.once('close', (status) => {
      running.delete(this);
      resolve(status);
      this.wake();
    }));
  }

  /** @param {any} stream */
  collect(stream) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (/** @type {string} */ part) => {
      const lines = (rest + part).split('\n');
      rest = /** @type {string} */ (lines.pop());
      this.lines.push(...lines);
      this.wake();
    });
  }

  wake() {
    for (const look of [...this.waiting]) look();
  }

  /** The first line that fits. @param {(line: string) => boolean} fits @param {string} what */
  line(fits, what) {
    return bounded(`${what} of ${this.name}`, new Promise((resolve) => {
      const look = () => {
        const found = this.lines.find(fits);
        if (found === undefined) return;
        this.waiting.delete(look);
        resolve(found);
      };
      this.waiting.add(look);
      look();
    }));
  }

  /** @param {NodeJS.Signals} signal */
  async kill(signal) {
    this.child.kill(signal);
    return bounded(`the end of ${this.name}`, this.ended);
  }
}

/** Runs a program to its end and gives what it wrote on standard output. @param {string} program @param {string[]} args @param {string} [input] */
async function finish(program, args, input = '') {
  const run = new Running(program, args);
  run.child.stdin.end(input);
  const status = await bounded(run.name, run.ended);
  if (status !== 0) throw new Error(`${run.name} ended with ${status}:\n${run.lines.join('\n')}`);
  return run.output;
}

const postern = (/** @type {string[]} */ args, /** @type {string} */ input = '') => finish(join(BIN, 'postern'), args, input);
const relay = (/** @type {string[]} */ args, /** @type {string} */ input = '') => finish(join(BIN, 'postern-relay'), args, input);

/** A port that nobody listens on now. @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = /** @type {any} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/** An HTTP proxy for CONNECT that wants a user and a password. */
async function startProxy() {
  const counts = { tunnels: 0, refused: 0 };
  const wanted = `Basic ${Buffer.from('press:s3cret/7').toString('base64')}`;
  const sockets = new Set();
  const server = createServer((_, response) => response.writeHead(403).end());
  server.on('connect', (request, socket, head) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    if (request.headers['proxy-authorization'] !== wanted) {
      counts.refused += 1;
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    counts.tunnels += 1;
    const [host, port] = /** @type {string} */ (request.url).split(':');
    const way = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      way.write(head);
      way.pipe(socket).pipe(way);
    });
    sockets.add(way);
    way.on('error', () => socket.destroy());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const url = `http://press:${encodeURIComponent('s3cret/7')}@127.0.0.1:${/** @type {any} */ (server.address()).port}`;
  const close = () => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  };
  return { url, counts, close };
}

/** Waits until a file holds what is looked for. @param {string} dir @param {string} file @param {(text: string) => boolean} fits */
function fileHolds(dir, file, fits) {
  return bounded(`${file} in ${dir}`, new Promise((resolve) => {
    const look = () => {
      try {
        const text = readFileSync(join(dir, file), 'utf8');
        if (!fits(text)) return;
        watcher.close();
        resolve(text);
      } catch (error) {
        if (/** @type {any} */ (error).code !== 'ENOENT') throw error;
      }
    };
    const watcher = watch(dir, look);
    look();
  }));
}

/** @param {string} dir @param {string[]} args */
function startDevice(dir, args) {
  return new Running(process.execPath, [CLI, 'run', '--dir', dir, ...args]);
}

/** @param {Running} device @param {string} event */
function event(device, event) {
  return device.line((line) => line.startsWith('{') && JSON.parse(line).event === event, `the event ${event}`);
}

/** @param {string} dir of the device @param {number} speed */
function shows(dir, speed) {
  return fileHolds(dir, 'desired.json', (text) => JSON.parse(text).values['fan/speed'] === speed);
}

/** The status of the device at its controller. @param {string} controller */
async function statusOf(controller) {
  const [status] = JSON.parse(await postern(['status', NAME, '--dir', controller, '--json'])).devices;
  return status;
}

/** The story that each way tells. @param {string} controller @param {string} device folders @param {string[]} args of the device */
async function story(controller, device, args) {
  const line = await postern(['controller', 'invite', NAME, '--dir', controller]);
  await finish(process.execPath, [CLI, 'join', '--dir', device, ...args], line);
  const set = (/** @type {number} */ speed) => postern(['desired', 'set', NAME, 'fan/speed', String(speed), '--dir', controller]);
  const first = startDevice(device, args);
  await event(first, 'session');
  await postern(['desired', 'set', NAME, 'fan/speed', '3', '--wait', '20', '--dir', controller]);
  await shows(device, 3);
  const { key } = await statusOf(controller);
  await first.kill('SIGKILL');
  await set(4);
  const second = startDevice(device, [...args, '--rotate']);
  await Promise.all([shows(device, 4), event(second, 'rotated')]);
  await second.kill('SIGKILL');
  await set(5);
  const third = startDevice(device, args);
  await shows(device, 5);
  await postern(['desired', 'set', NAME, 'fan/speed', '6', '--wait', '20', '--dir', controller]);
  await shows(device, 6);
  await event(third, 'freshness');
  check(await third.kill('SIGTERM') === 0, 'SIGTERM ends a device with status 0');
  for (const one of [first, second, third]) check(!one.lines.some((text) => text.includes('"event":"reject"')), 'nothing was refused');
  const status = await statusOf(controller);
  check(status.converged === true, 'the controller says converged');
  check(status.rejects.length === 0, 'the controller knows of no rejects');
  check(status.key !== key, 'the device has another key');
}

/** @param {boolean} holds @param {string} what */
function check(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

/** A controller that listens itself. @param {string} dir */
async function listeningController(dir) {
  const port = await freePort();
  const controller = join(dir, 'controller');
  await postern(['controller', 'init', '--dir', controller, '--listen', `127.0.0.1:${port}`, '--url', `https://127.0.0.1:${port}`]);
  const run = new Running(join(BIN, 'postern'), ['controller', 'run', '--dir', controller]);
  await run.line((line) => line.startsWith('controller ready'), 'the line that it is ready');
  return controller;
}

/** @param {string} dir */
async function direct(dir) {
  await story(await listeningController(dir), join(dir, 'device'), []);
}

/** @param {string} dir */
async function throughProxy(dir) {
  const proxy = await startProxy();
  try {
    await story(await listeningController(dir), join(dir, 'device'), ['--proxy', proxy.url]);
    check(proxy.counts.tunnels >= 4 && proxy.counts.refused === 0, 'every run went through the proxy');
  } finally {
    proxy.close();
  }
}

/** @param {string} dir */
async function byRelay(dir) {
  const controller = join(dir, 'controller');
  const home = join(dir, 'relay');
  const [port, admin] = [await freePort(), await freePort()];
  await postern(['controller', 'init', '--no-listen', '--dir', controller]);
  const trust = await postern(['controller', 'trust', '--dir', controller]);
  const line = await relay(['init', '--dir', home, '--listen', `127.0.0.1:${port}`, '--url', `https://127.0.0.1:${port}`,
    '--admin-listen', `127.0.0.1:${admin}`], trust);
  await postern(['controller', 'relay', 'add', '--dir', controller], line);
  const serves = new Running(join(BIN, 'postern-relay'), ['run', '--dir', home]);
  await serves.line((line) => line.startsWith('relay ready'), 'the line that it is ready');
  const run = new Running(join(BIN, 'postern'), ['controller', 'run', '--dir', controller]);
  await run.line((line) => line.startsWith('controller ready'), 'the line that it is ready');
  await story(controller, join(dir, 'device'), []);
}

/** @param {string} name @param {(dir: string) => Promise<void>} tell */
async function told(name, tell) {
  const dir = mkdtempSync(join(tmpdir(), 'postern-live-'));
  const began = performance.now();
  try {
    await tell(dir);
    console.log(`passed ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
    return true;
  } catch (error) {
    console.log(`FAILED ${name}: ${/** @type {Error} */ (error).message}`);
    for (const one of running) console.log(`--- ${one.name}\n${one.lines.slice(-15).join('\n')}`);
    return false;
  } finally {
    await Promise.all([...running].map((one) => one.kill('SIGKILL')));
    rmSync(dir, { recursive: true, force: true });
  }
}

const only = process.argv[2];
let failed = 0;
for (const [name, tell] of /** @type {[string, any][]} */ ([['direct', direct], ['proxy', throughProxy], ['relay', byRelay]])) {
  if (!only || only === name) failed += await told(name, tell) ? 0 : 1;
}
process.exitCode = failed === 0 ? 0 : 1;
