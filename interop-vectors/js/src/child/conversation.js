// The operation engine.step: a whole conversation with one engine. Implements ../CLIENT-CLI.md#conversations.
//
// The mailbox is played from its own secrets alone: keys of a session come out of the hello that was sent, never from
// the engine. Time passes from one moment at which something is due to the next.
import { randomBytes } from 'node:crypto';
import { agree, agreementPublic } from '../agreement.js';
import { concat, equal, fromHex, toHex } from '../bytes.js';
import { encode, Reader } from '../cbor.js';
import { channelId } from '../channel.js';
import { readEnvelope, untag } from '../cose.js';
import { Engine, newRecord } from '../engine.js';
import { parseFrame, TYPE } from '../frames.js';
import { signingKey } from '../keys.js';
import { readPayload } from '../payload.js';
import { deriveKeys, frameTag } from '../session.js';
import { channelOf } from './json.js';

/** Requests that no step answers, and that no step shows. */
const ANSWERED_AT_ONCE = new Set(['post', 'put']);

/** @typedef {import('../engine.js').Request} Request */

/** The mailbox: secrets behind its challenges, keys of its sessions. */
class Peer {
  /** @param {Uint8Array[]} seeds @param {Uint8Array} place channel id */
  constructor(seeds, place) {
    this.seeds = seeds;
    this.place = place;
    /** @type {any} the newest challenge */
    this.challenge = null;
    /** @type {Uint8Array | null} key of the newest hello, until a request shows the id of its session */
    this.greeted = null;
    /** @type {Map<string, Uint8Array>} */
    this.keys = new Map();
  }

  /** @param {Uint8Array} frame */
  seeAnswer(frame) {
    if (frame[0] === TYPE.challenge) this.challenge = parseFrame(frame, 'down').body;
  }

  /** @param {Request} request */
  seeRequest({ name, frame }) {
    if (name === 'hello') this.greeted = this.agree(frame);
    else if (name !== 'ask' && this.greeted) {
      this.keys.set(toHex(frame.slice(1, 5)), this.greeted);
      this.greeted = null;
    }
  }

  /** The key of answers in the session that a hello opens. @param {Uint8Array} frame */
  agree(frame) {
    const { challenge, ephemeral, mailbox } = this.challenge;
    const seed = this.seeds.find((secret) => equal(agreementPublic(secret), ephemeral));
    if (!seed) throw new TypeError('a challenge shows the public key of none of mailbox_seeds');
    const deviceEphemeral = readPayload(readEnvelope(parseFrame(frame, 'up').body.hello)).ephemeral;
    const meeting = { mailbox, challenge, deviceEphemeral, mailboxEphemeral: ephemeral, place: this.place };
    return deriveKeys(meeting, agree(seed, deviceEphemeral)).keyDown;
  }

  /** Seals an answer, or what is wrong with it. @param {Request} request @param {number} type @param {Uint8Array} body @param {any} change */
  seal({ frame }, type, body, change) {
    const session = frame.slice(1, 5);
    const key = this.keys.get(toHex(session));
    if (!key) throw new TypeError('the keys of a session are not known');
    const counter = new Reader(frame.subarray(5)).item() + (change.later ?? 0n) - (change.earlier ?? 0n);
    const named = change.session === undefined ? session : fromHex(change.session);
    const untagged = concat(Uint8Array.of(type), named, encode(counter), body);
    const sealed = concat(untagged, frameTag(key, untagged));
    if (change.flip) sealed[sealed.length - 1] ^= 1;
    return sealed;
  }
}

/** A device, what it keeps, and what was given to it. */
class Conversation {
  /** @param {any} config */
  constructor(config) {
    const channel = channelOf(config);
    const place = channelId(channel.genesis, channel.tenant, channel.device).id;
    const pins = { genesis: channel.genesis, recovery: fromHex(config.recovery) };
    this.who = { pins, channel, place, key: signingKey(fromHex(config.seed)), maxAgeMs: Number(config.max_age_ms) };
    this.peer = new Peer(config.mailbox_seeds.map(fromHex), place);
    this.held = config.held.map(fromHex);
    this.drawn = { ephemerals: config.random.ephemerals.map(fromHex), nonces: config.random.nonces.map(fromHex) };
    this.kept = newRecord(config.bundles.map((/** @type {string} */ hex) => untag(fromHex(hex))));
    this.nowMs = 0;
    /** @type {Map<string, Request>} */
    this.newest = new Map();
    /** @type {(Uint8Array | null)[]} the answer that each step gave */
    this.given = [];
    /** @type {Request[]} */
    this.posts = [];
    this.shown = nothing();
    /** @type {any} */
    this.engine = null;
  }

  /** A process begins with what is durable. */
  restart() {
    const outside = {
      nowMs: () => this.nowMs,
      ephemeral: () => this.drawn.ephemerals.shift() ?? new Uint8Array(randomBytes(32)),
      nonce: () => this.drawn.nonces.shift() ?? new Uint8Array(randomBytes(16)),
      start: () => new Uint8Array(randomBytes(8)),
      commit: (/** @type {any} */ record) => void (this.kept = structuredClone(record)),
      send: (/** @type {Request} */ request) => this.send(request),
      reject: (/** @type {string} */ name) => void this.shown.rejects.push(name),
      move: (/** @type {string} */ url) => void this.shown.moves.push(url),
      apply: () => {},
    };
    this.newest.clear();
    this.engine = new Engine(this.who, structuredClone(this.kept), outside);
  }

  /** Starts the device and gives it what it holds; nothing of this is shown. @param {number} atMs */
  begin(atMs) {
    this.nowMs = atMs;
    this.restart();
    for (const frame of this.held) this.engine.file(frame);
    this.engine.applied(0n);
    if (this.shown.rejects.length > 0) throw new TypeError(`what is held is refused: ${this.shown.rejects}`);
  }

  /** @param {Request} request */
  send(request) {
    this.peer.seeRequest(request);
    if (ANSWERED_AT_ONCE.has(request.name)) return void this.posts.push(request);
    this.newest.set(request.name, request);
    this.shown.sent.push(request.name);
    if (request.name === 'ask' || request.name === 'hello') this.shown.frames.push(toHex(request.frame));
    if (request.name !== 'poll') return;
    const { bundle, desired } = parseFrame(request.frame, 'up').body;
    this.shown.poll = [bundle, desired.epoch, desired.seq];
  }

  /** Takes posts until none is left. */
  settle() {
    for (let post = this.posts.shift(); post; post = this.posts.shift()) {
      this.engine.answer(post, this.peer.seal(post, TYPE.answer, new Uint8Array(0), {}));
    }
  }

  /** @param {number} atMs */
  advance(atMs) {
    for (let due = this.engine.dueMs; due <= atMs; due = this.engine.dueMs) {
      this.nowMs = due;
      this.engine.wake();
      this.settle();
    }
    this.nowMs = atMs;
    this.engine.wake();
    this.settle();
  }

  /** One step, and what it showed. @param {any} step */
  step({ at_ms: atMs, input }) {
    this.shown = nothing();
    this.advance(Number(atMs));
    this.given.push(null);
    this.take(input);
    this.settle();
    return this.show();
  }

  /** @param {any} input */
  take(input) {
    switch (input.kind) {
      case 'connect': return this.engine.connect();
      case 'hold': return this.engine.hold(input.seconds);
      case 'answer': return this.answer(input);
      case 'failed': return this.engine.fail(this.request(input.to));
      case 'applied': return this.engine.applied(input.status);
      case 'filed': return this.engine.file(fromHex(input.frame));
      case 'restart': return this.restart();
      case 'wait': return undefined;
      default: throw new TypeError('the kind of an input is not known');
    }
  }

  /** @param {string} name */
  request(name) {
    const request = this.newest.get(name);
    // What a device need not have sent waits for no answer.
    return request ?? { name, counter: 0n, frame: new Uint8Array(0) };
  }

  /** @param {any} input */
  answer(input) {
    const request = this.request(input.to);
    const frame = input.frame !== undefined ? fromHex(input.frame)
      : input.again !== undefined ? this.given[Number(input.again)]
      : this.peer.seal(request, Number(input.type), fromHex(input.body), input.change ?? {});
    if (!frame) throw new TypeError('again names no step that gave an answer');
    this.given[this.given.length - 1] = frame;
    this.peer.seeAnswer(frame);
    this.engine.answer(request, frame);
  }

  show() {
    const { record, applying, bundle, open, freshness } = this.engine;
    const { head, applied, frozen } = record;
    const [error] = this.shown.rejects;
    return {
      result: error ? 'invalid' : 'valid', ...(error && { error }), ...this.shown,
      head: head && [head.generation, head.epoch, head.seq, toHex(head.digest)],
      applied: applied && [applied.epoch, applied.seq, toHex(applied.digest)],
      applying: applying && [applying.epoch, applying.seq],
      frozen: frozen ? head.epoch : null, bundle: bundle.number, session: open, stale: freshness.stale(this.nowMs),
    };
  }
}

/** What a step shows before anything happened. @returns {{sent: string[], frames: string[], poll: bigint[] | null, rejects: string[], moves: string[]}} */
const nothing = () => ({ sent: [], frames: [], poll: null, rejects: [], moves: [] });

/** @param {any} request */
function converse({ config, steps }) {
  const conversation = new Conversation(config);
  conversation.begin(Number(steps[0].at_ms));
  const shown = steps.map((/** @type {any} */ step) => conversation.step(step));
  const first = shown.find((/** @type {any} */ step) => step.error);
  return first ? { result: 'invalid', error: first.error, steps: shown } : { steps: shown };
}

/** @type {Record<string, (request: any) => any>} */
export const CONVERSATIONS = { 'engine.step': converse };
