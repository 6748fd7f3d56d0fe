// engine.step: a whole conversation with one device engine.
// See interop-vectors/CLIENT-CLI.md #conversations.

import { randomBytes } from 'node:crypto';
import { equalBytes, toHex } from '../bytes.js';
import { decode, encode } from '../cbor.js';
import { openEnvelope, untag } from '../cose.js';
import { Engine } from '../engine.js';
import { decodeDurable, encodeDurable, newDurable } from '../engine-store.js';
import { FRAME, readPlainFrame, splitSessionFrame, writeSessionFrame } from '../frames.js';
import { Agreement } from '../keys.js';
import { Reject } from '../reject.js';
import { deriveKeys } from '../session.js';
import { BadRequest, hex, hexValue, integer, list, member, text } from './request.js';

/** What a step shows of the requests: posts and puts are in no step. */
const SILENT = new Set(['post', 'put']);
/** More moments than any conversation has, so that a mistake here ends. */
const MOMENTS_MAX = 100000;

class Conversation {
  /** @param {any} config @param {number} startMs */
  constructor(config, startMs) {
    this.config = config;
    this.secrets = list(config, 'mailbox_seeds').map((seed) => new Agreement(hexValue(seed)));
    const random = member(config, 'random');
    /** @type {Record<string, any[]>} */
    this.drawn = { ephemeral: [...list(random, 'ephemerals')], nonce: [...list(random, 'nonces')] };
    /** @type {Map<string, any>} */
    this.newest = new Map();
    /** The bytes that each step gave. @type {(Uint8Array | undefined)[]} */
    this.given = [];
    /** @type {any} */
    this.keys = null;
    /** @type {{challenge: any, secret: Agreement | undefined} | null} */
    this.challenge = null;
    this.stored = encodeDurable(newDurable({
      genesis: hex(config, 'root'),
      recovery: hex(config, 'recovery'),
      tenant: text(config, 'tenant'),
      device: text(config, 'device'),
      incarnation: hex(config, 'incarnation'),
      seed: hex(config, 'seed'),
      bundle: untag(hexValue(list(config, 'bundles').at(-1))),
    }));
    this.start(startMs);
    for (const frame of list(config, 'held')) this.engine.filed(startMs, hexValue(frame));
    this.engine.applied(startMs, 0);
    this.drain(startMs);
  }

  /** The process starts with what is durable. @param {number} now */
  start(now) {
    const unixS = this.config.unix_s;
    this.engine = new Engine(decodeDurable(this.stored), {
      persist: (bytes) => {
        this.stored = bytes;
      },
      random: (use, length) => this.random(use, length),
      unixS: () => (unixS === undefined ? 0n : unixS + BigInt(Math.floor(now / 1000))),
      maxAgeMs: Number(integer(this.config, 'max_age_ms')),
    }, now);
  }

  /** @param {string} use @param {number} length */
  random(use, length) {
    const next = this.drawn[use]?.shift();
    return next === undefined ? new Uint8Array(randomBytes(length)) : hexValue(next);
  }

  /** Takes what the engine wants; posts and puts are answered at once. @param {number} now */
  drain(now) {
    const seen = [];
    for (let effects = this.engine.effects(); effects.length > 0; effects = this.engine.effects()) {
      for (const effect of effects) {
        seen.push(effect);
        if (effect.kind !== 'send') continue;
        if (effect.name === 'hello') this.greeted(effect.frame);
        this.newest.set(effect.name, { ...effect, keys: this.keys });
        if (SILENT.has(effect.name)) this.engine.answer(now, effect.id, this.seal(effect.name, FRAME.answer, new Uint8Array(), {}));
      }
    }
    return seen;
  }

  /** The keys of the session that this hello may open, as the mailbox derives them. @param {Uint8Array} frame */
  greeted(frame) {
    const { channel, hello } = readPlainFrame(frame, 'up');
    const [, deviceEphemeral] = decode(openEnvelope(hello).payloadBytes);
    const { challenge, secret } = /** @type {any} */ (this.challenge);
    if (secret) this.keys = deriveKeys({ ...challenge, deviceEphemeral, channel }, secret, deviceEphemeral);
  }

  /** A challenge says whose secret counts. @param {Uint8Array} bytes */
  challenged(bytes) {
    try {
      const challenge = readPlainFrame(bytes, 'down');
      const secret = this.secrets.find(({ publicKey }) => equalBytes(publicKey, challenge.mailboxEphemeral));
      this.challenge = { challenge, secret };
    } catch (error) {
      if (!(error instanceof Reject)) throw error; // the device tells what is wrong with it
    }
  }

  /**
   * Seals as the mailbox, in answer to the newest request of a name.
   * @param {string} name @param {number} type @param {Uint8Array} body @param {any} change
   */
  seal(name, type, body, { earlier = 0n, later = 0n, session, flip = false }) {
    const request = this.newest.get(name);
    if (!request?.keys) throw new BadRequest(`no ${name} was sent`);
    const id = session === undefined ? splitSessionFrame(request.frame).session : hexValue(session);
    const counter = encode(BigInt(request.counter) - earlier + later);
    const frame = writeSessionFrame(type, id, request.keys.keyDown, counter, body);
    if (flip) frame[frame.length - 1] ^= 1;
    return frame;
  }

  /** The bytes of an answer. @param {any} input @returns {Uint8Array} */
  bytesOf(input) {
    if (input.frame !== undefined) return hex(input, 'frame');
    if (input.again !== undefined) return this.given[Number(integer(input, 'again'))] ?? new Uint8Array();
    return this.seal(text(input, 'to'), Number(integer(input, 'type')), hex(input, 'body'), input.change ?? {});
  }

  /** @param {any} step */
  play(step) {
    const now = Number(integer(step, 'at_ms'));
    const input = member(step, 'input');
    const effects = [];
    for (let moments = 0; this.engine.due() <= now && moments < MOMENTS_MAX; moments += 1) {
      const due = this.engine.due();
      this.engine.wake(due);
      effects.push(...this.drain(due));
    }
    const bytes = input.kind === 'answer' ? this.bytesOf(input) : undefined;
    this.given.push(bytes);
    this.happen(now, input, bytes);
    effects.push(...this.drain(now));
    return this.show(effects);
  }

  /** @param {number} now @param {any} input @param {Uint8Array} [bytes] */
  happen(now, input, bytes) {
    const { engine } = this;
    const request = this.newest.get(input.to);
    switch (text(input, 'kind')) {
      case 'connect':
        return engine.connect(now);
      case 'hold':
        return engine.hold(now, Number(integer(input, 'seconds')));
      case 'answer':
        if (input.to === 'ask') this.challenged(/** @type {Uint8Array} */ (bytes));
        return engine.answer(now, request?.id ?? 0, /** @type {Uint8Array} */ (bytes));
      case 'failed':
        return engine.failed(now, request?.id ?? 0);
      case 'applied':
        return engine.applied(now, Number(integer(input, 'status')));
      case 'filed':
        return engine.filed(now, hex(input, 'frame'));
      case 'restart':
        // Requests under way are forgotten: an answer to one of them is sealed, and taken by nobody.
        for (const [name, sent] of this.newest) this.newest.set(name, { ...sent, id: 0 });
        return this.start(now);
      case 'wait':
        return engine.wake(now);
      default:
        throw new BadRequest('no such input');
    }
  }

  /** What a step shows. @param {any[]} effects */
  show(effects) {
    const { engine } = this;
    const { head, applied, frozen } = engine.durable;
    const of = (/** @type {string} */ kind) => effects.filter((effect) => effect.kind === kind);
    const sent = of('send').filter(({ name }) => !SILENT.has(name));
    const rejects = of('reject').map(({ reason }) => reason);
    const poll = sent.findLast(({ name }) => name === 'poll')?.details;
    return {
      result: rejects.length > 0 ? 'invalid' : 'valid',
      error: rejects[0],
      head: head && [head.generation, head.epoch, head.seq, toHex(head.digest)],
      rejects,
      sent: sent.map(({ name }) => name),
      frames: sent.filter(({ name }) => name === 'ask' || name === 'hello').map(({ frame }) => toHex(frame)),
      poll: poll && [poll.bundle, poll.head?.epoch ?? 0n, poll.head?.seq ?? 0n],
      applied: applied && [applied.epoch, applied.seq, toHex(applied.digest)],
      applying: engine.applying && [engine.applying.epoch, engine.applying.seq],
      frozen,
      bundle: engine.bundle.number,
      session: engine.link.isOpen,
      stale: engine.stale,
      moves: of('move').map(({ url }) => url),
    };
  }
}

/** @param {any} request */
function engineStep(request) {
  const steps = list(request, 'steps');
  const conversation = new Conversation(member(request, 'config'), Number(integer(steps[0], 'at_ms')));
  return { steps: steps.map((step) => conversation.play(step)) };
}

/** @type {Record<string, (request: any) => any>} */
export const operations = { 'engine.step': engineStep };
