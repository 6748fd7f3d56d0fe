// What a way may do to an exchange: each ends by itself, with a reason, and leaves nothing open.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { Transport } from '../src/device/transport.js';

const LIMIT_MS = 300;
const FRAME = Uint8Array.of(18, 1);

/**
 * A server that says `words` to the first bytes of each connection, and nothing else; `end` closes behind them.
 * @param {string} words @param {boolean} [end]
 */
async function speaker(words, end = false) {
  /** @type {Set<import('node:net').Socket>} */
  const open = new Set();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    socket.once('data', () => (end ? socket.end(words) : socket.write(words)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const close = () => {
    for (const socket of open) socket.destroy();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}`, open, close };
}

/** @param {Transport} transport @param {string} url @returns {Promise<string>} the code of its failure */
const failure = (transport, url) => transport.exchange(url, FRAME, { timeoutMs: LIMIT_MS }).then(() => 'none', (error) => error.code);

for (const [what, words, end, code] of /** @type {[string, string, boolean, string][]} */ ([
  ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n', false, 'upgrade'],
  ['silence', '', false, 'timeout'],
  ['half an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour', false, 'timeout'],
])) {
  test(`${what} ends an exchange`, async () => {
    const server = await speaker(words, end);
    const transport = new Transport();
    assert.equal(await failure(transport, server.url), code);
    transport.close();
    server.close();
  });
}

test('a proxy that connects and is silent then holds no exchange and keeps no connection', async () => {
  const proxy = await speaker('HTTP/1.1 200 OK\r\n\r\n');
  const transport = new Transport({ proxy: proxy.url });
  const ended = Promise.all([1, 2, 3].map(() => failure(transport, 'https://127.0.0.1:1')));
  assert.deepEqual(await ended, ['timeout', 'timeout', 'timeout']);
  transport.close();
  proxy.close();
});

test('a proxy that is no http is refused before anything is sent', () => {
  for (const proxy of ['socks5://127.0.0.1:1', 'http://u:%zz@127.0.0.1:1', 'http://']) {
    assert.throws(() => new Transport({ proxy }), { code: 'proxy' });
  }
});
