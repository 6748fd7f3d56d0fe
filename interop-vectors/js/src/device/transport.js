// One frame out, one frame back: HTTPS POST, by an HTTP CONNECT proxy where one is named.
// Implements spec/postern.md#http-binding, and #answer where an answer is no frame.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import tls from 'node:tls';
import { FRAME_BYTES_MAX } from '../limits.js';
import { Reject } from '../reject.js';

const CONNECT_MS = 15000; // milliseconds until a proxy that does not answer counts as failed; arbitrary

/** The way failed: nothing was learnt. */
export class WayFailed extends Error {}

/** An agent whose connections go through a CONNECT tunnel. */
class TunnelAgent extends https.Agent {
  /** @param {https.AgentOptions} options @param {URL} proxy */
  constructor(options, proxy) {
    super(options);
    this.proxy = proxy;
  }

  /** @param {any} options @param {(error: Error | null, socket?: any) => void} done @returns {any} */
  createConnection(options, done) {
    const target = `${options.host}:${options.port}`;
    const headers = { host: target, ...authorization(this.proxy) };
    const { hostname, port } = this.proxy;
    const request = http.request({ host: hostname, port: port || 80, method: 'CONNECT', path: target, headers, timeout: CONNECT_MS });
    request.once('connect', (answer, socket) => {
      if (answer.statusCode !== 200) {
        socket.destroy();
        return done(new WayFailed(`the proxy answered ${answer.statusCode}`));
      }
      done(null, tls.connect({ ...options, path: undefined, socket }));
    });
    request.once('timeout', () => request.destroy(new WayFailed('the proxy did not answer')));
    request.once('error', (error) => done(error));
    request.end();
  }
}

/** @param {URL} proxy */
function authorization({ username, password }) {
  if (!username) return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** Carries frames to mailboxes. */
export class Transport {
  /** @param {{proxy?: string, ca?: string, certificate?: Uint8Array | null}} options `ca` is a PEM file, `certificate` field 8 of the join line */
  constructor({ proxy, ca, certificate }) {
    const anchors = [...tls.rootCertificates];
    if (ca) anchors.push(readFileSync(ca, 'utf8'));
    if (certificate) anchors.push(new X509Certificate(certificate).toString());
    const options = { keepAlive: true, maxSockets: 1, ca: anchors };
    this.agent = proxy ? new TunnelAgent(options, new URL(proxy)) : new https.Agent(options);
  }

  /** @param {string} base @param {Uint8Array} frame @param {number} timeoutMs @returns {Promise<Uint8Array>} */
  exchange(base, frame, timeoutMs) {
    const url = `${base.replace(/\/$/, '')}/postern/1`;
    const headers = { 'content-type': 'application/octet-stream', 'content-length': frame.length };
    return new Promise((resolve, refuse) => {
      const fail = (/** @type {Error} */ error) => refuse(error instanceof Reject ? error : new WayFailed(error.message));
      const request = https.request(url, { method: 'POST', headers, agent: this.agent });
      const timer = setTimeout(() => request.destroy(new WayFailed('no answer in time')), timeoutMs);
      request.once('error', fail);
      request.once('close', () => clearTimeout(timer));
      request.once('response', (answer) => collect(answer).then(resolve, (error) => {
        request.destroy();
        fail(error);
      }));
      request.end(frame);
    });
  }

  close() {
    this.agent.destroy();
  }
}

/** The body of an answer with status 200. @param {http.IncomingMessage} answer */
async function collect(answer) {
  const chunks = [];
  let size = 0;
  for await (const chunk of answer) {
    size += chunk.length;
    if (size > FRAME_BYTES_MAX) throw new Reject('not-postern');
    chunks.push(chunk);
  }
  if (answer.statusCode !== 200) throw new Reject('not-postern');
  return new Uint8Array(Buffer.concat(chunks));
}
