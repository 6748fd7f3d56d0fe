// One exchange over HTTPS: a frame is posted, and what came back is given as it is.
// Implements spec/postern.md #http-binding for a client; frames are judged by who asked.
//
// TLS authenticates the hop only. A proxy is asked with CONNECT, so that it carries TLS from end to end.

import * as http from 'node:http';
import * as https from 'node:https';
import * as tls from 'node:tls';
import { FRAME_BYTES_MAX } from '../limits.js';

const CONNECT_TIMEOUT_MS = 20000;
const IDLE_TIMEOUT_MS = 60000;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** A way that did not carry an exchange. Nothing about a state follows from it, and it holds no secret. */
export class WayError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.name = 'WayError';
    this.code = code;
  }
}

export class Transport {
  /** For https URLs. @type {https.Agent} */
  #secure;
  /** For http URLs of this machine. */
  #plain = new http.Agent({ keepAlive: true, timeout: IDLE_TIMEOUT_MS });

  /** @param {{proxy?: string, authorities?: (string | Uint8Array)[]}} [options] authorities are PEM or DER, beside the usual ones */
  constructor({ proxy, authorities = [] } = {}) {
    const ca = [...tls.rootCertificates, ...authorities.map(pem)];
    const options = { keepAlive: true, timeout: IDLE_TIMEOUT_MS, ca, minVersion: /** @type {const} */ ('TLSv1.2') };
    this.#secure = proxy ? new ProxiedAgent(readProxy(proxy), options) : new https.Agent(options);
  }

  /**
   * Posts a frame. A request that was lost is not repeated: whoever asks knows whether it may be.
   * @param {string} baseUrl of a mailbox
   * @param {Uint8Array} frame
   * @param {{timeoutMs: number, signal?: AbortSignal}} limits
   * @returns {Promise<{status: number, contentType: string, body: Uint8Array}>} of a body that is too large the first
   *   49153 bytes
   */
  exchange(baseUrl, frame, { timeoutMs, signal }) {
    return new Promise((resolve, reject) => {
      const url = requestUrl(baseUrl);
      if (signal?.aborted) throw new WayError('aborted', 'the exchange was given up');
      const isSecure = url.protocol === 'https:';
      const request = (isSecure ? https : http).request(url, {
        method: 'POST',
        agent: isSecure ? this.#secure : this.#plain,
        headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': frame.length },
      });
      let isAnswered = false;
      // What is told must not depend on the request: one that was upgraded, or waits for a proxy, tells nothing any more.
      const end = (/** @type {WayError} */ error) => {
        settle();
        request.destroy(error);
        reject(error);
      };
      const timer = setTimeout(() => end(new WayError('timeout', 'no answer came in time')), timeoutMs);
      const abort = () => end(new WayError('aborted', 'the exchange was given up'));
      signal?.addEventListener('abort', abort, { once: true });
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      request.on('error', (error) => {
        settle();
        reject(wayError(error));
      });
      request.on('upgrade', (_, socket) => {
        socket.destroy();
        end(new WayError('upgrade', 'the answer was an upgrade'));
      });
      request.on('close', () => {
        if (!isAnswered) end(new WayError('closed', 'the way was closed without an answer'));
      });
      request.on('response', (response) => {
        isAnswered = true;
        readBody(response).then(resolve, (error) => reject(wayError(error))).finally(settle);
      });
      request.end(frame);
    });
  }

  /** Closes what is kept open. */
  close() {
    this.#secure.destroy();
    this.#plain.destroy();
  }
}

/** @param {string} baseUrl */
function requestUrl(baseUrl) {
  let url;
  try {
    url = new URL(`${baseUrl.replace(/\/$/, '')}/postern/1`);
  } catch {
    throw new WayError('url', 'this is no URL');
  }
  const isAllowed = url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname));
  if (!isAllowed) throw new WayError('url', 'a mailbox is reached by https');
  return url;
}

/** @param {string} text */
function readProxy(text) {
  let url;
  try {
    url = new URL(text.includes('://') ? text : `http://${text}`);
  } catch {
    throw new WayError('proxy', 'the proxy is no URL');
  }
  try {
    decodeURIComponent(url.username + url.password);
  } catch {
    throw new WayError('proxy', 'user and password are percent-encoded');
  }
  if (url.protocol !== 'http:') throw new WayError('proxy', 'a proxy is reached by http');
  return url;
}

/** @param {string | Uint8Array} certificate */
function pem(certificate) {
  if (typeof certificate === 'string') return certificate;
  const lines = Buffer.from(certificate).toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

/**
 * @param {http.IncomingMessage} response
 * @returns {Promise<{status: number, contentType: string, body: Uint8Array}>}
 */
async function readBody(response) {
  const most = FRAME_BYTES_MAX + 1;
  const parts = [];
  let length = 0;
  for await (const part of response) {
    parts.push(part);
    length += part.length;
    if (length >= most) break; // this closes the connection
  }
  if (!response.complete && length < most) throw new WayError('cut', 'the answer was cut off');
  const body = new Uint8Array(Buffer.concat(parts).subarray(0, most));
  return { status: response.statusCode ?? 0, contentType: response.headers['content-type'] ?? '', body };
}

/** @param {any} error @returns {WayError} */
function wayError(error) {
  if (error instanceof WayError) return error;
  const code = typeof error?.code === 'string' ? error.code : 'failed';
  return new WayError(code, `the way failed: ${code}`);
}

/** Opens its connections through a proxy. */
class ProxiedAgent extends https.Agent {
  #proxy;

  /** @param {URL} proxy @param {https.AgentOptions} options */
  constructor(proxy, options) {
    super(options);
    this.#proxy = proxy;
  }

  /**
   * @param {any} options of the connection that is wanted
   * @param {any} [callback] gets an error, or null and the socket
   * @returns {undefined}
   */
  createConnection(options, callback) {
    const request = this.#connectRequest(options);
    /** The tunnel, which the request does not own any more. @type {import('node:stream').Duplex | undefined} */
    let tunnel;
    const fail = (/** @type {Error} */ error) => {
      clearTimeout(timer);
      request.destroy();
      tunnel?.destroy();
      callback(error);
      callback = () => {}; // once is enough
    };
    const timer = setTimeout(() => fail(new WayError('proxy', 'the proxy did not connect in time')), CONNECT_TIMEOUT_MS);
    request.on('error', (error) => fail(new WayError('proxy', `the proxy failed: ${/** @type {any} */ (error).code ?? 'failed'}`)));
    request.on('connect', (response, socket) => {
      tunnel = socket;
      socket.on('error', () => {}); // told by the TLS above it, or by the status
      if (response.statusCode !== 200) {
        fail(proxyRefusal(response.statusCode));
        return;
      }
      const secure = tls.connect({ ...options, socket });
      tunnel = secure;
      secure.once('error', fail);
      secure.once('secureConnect', () => {
        clearTimeout(timer);
        secure.removeListener('error', fail);
        callback(null, secure);
      });
    });
    request.end();
  }

  /** @param {any} options */
  #connectRequest({ host, port }) {
    const { hostname, port: proxyPort, username, password } = this.#proxy;
    const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    /** @type {Record<string, string>} */
    const headers = { Host: authority };
    if (username) {
      const secret = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
      headers['Proxy-Authorization'] = `Basic ${Buffer.from(secret).toString('base64')}`;
    }
    const proxyHost = hostname.replace(/^\[|\]$/g, '');
    return http.request({ method: 'CONNECT', host: proxyHost, port: proxyPort || 80, path: authority, headers, agent: false });
  }
}

/** @param {number | undefined} status */
function proxyRefusal(status) {
  if (status === 407) return new WayError('proxy-407', 'the proxy wants a user and a password: put them into --proxy');
  return new WayError('proxy-refused', `the proxy answered ${status}`);
}
