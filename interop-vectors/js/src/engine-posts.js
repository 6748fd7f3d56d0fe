// What a device posts: its report, its heartbeats, its evidence, and the bodies that evidence needs.
// Implements spec/postern.md #post and #bodies, and spec/lives.md #recovery, from the side of the device.

import { externalAad } from './channel.js';
import { encode } from './cbor.js';
import { seal } from './cose.js';
import { payloadOfEvidence } from './engine-desired.js';
import { writeChunk, writeItem } from './frames.js';
import { ACTUAL, DESIRED, KIND } from './kinds.js';
import { BODY_CHUNK_BYTES_MAX, FRAME_BYTES_MAX } from './limits.js';
import { rejectName } from './reject.js';

const AGAIN_MS = 60000;
const RETRY_MS = 1000;
/** So many posts may follow one another at once, and then one in PACE_MS: answers to posts may bring what asks for posts. */
const BURST = 8;
const PACE_MS = 1000;
/** The bytes of a frame around its items, at most. */
const FRAME_OVERHEAD = 64;
/** What one session puts at most: four times all bodies of the largest state. */
const PUTS_MAX = 128;

export class Posts {
  /** @param {import('./engine.js').Engine} engine */
  constructor(engine) {
    this.engine = engine;
    this.reportIsPosted = false;
    this.evidenceAt = -Infinity;
    this.evidencePostedAt = -Infinity;
    /** Bodies to put. @type {{plane: bigint, digest: Uint8Array, offset: bigint}[]} */
    this.wanted = [];
    this.puts = 0;
    this.retryAt = -Infinity;
    this.failures = 0;
    /** When the burst is used up no more, as if each post took PACE_MS. */
    this.pacedTo = -Infinity;
  }

  /** When a post may go out for its pace; over all sessions, because a mailbox ends them as it likes. */
  get #pacedAt() {
    return this.pacedTo - BURST * PACE_MS;
  }

  /** When there may be something to post again. */
  get at() {
    const { now, durable, actual } = this.engine;
    return Math.min(this.#pacedAt > now ? this.#pacedAt : Infinity, this.retryAt > now ? this.retryAt : Infinity, durable.evidence ? this.evidenceAt : Infinity, actual.at);
  }

  sessionBegins() {
    this.reportIsPosted = false;
    this.evidenceAt = -Infinity;
    this.wanted = [];
    this.puts = 0;
    this.retryAt = -Infinity;
    this.failures = 0;
  }

  /** A receipt says that the controller did not read the evidence: post it again, once in a minute. */
  evidenceAgain() {
    this.evidenceAt = Math.max(this.engine.now, this.evidencePostedAt + AGAIN_MS);
  }

  /** Sends what there is to post, one request at a time. */
  flush() {
    const { link, now } = this.engine;
    if (link.underWay.has('post') || link.underWay.has('put') || now < this.retryAt) return;
    if (this.#put()) return;
    if (now < this.#pacedAt) return;
    /** @type {Uint8Array[]} */
    const items = [];
    /** @type {string[]} */
    const names = [];
    let room = FRAME_BYTES_MAX - FRAME_OVERHEAD;
    for (const [name, make] of this.#makers()) {
      const item = make();
      if (!item) continue;
      room -= item.length;
      if (room < 0 && items.length > 0) break;
      items.push(item);
      names.push(name);
    }
    if (items.length > 0) {
      this.pacedTo = Math.max(this.pacedTo, now) + PACE_MS;
      link.request('post', items, { details: names });
    }
    this.#mark(names);
  }

  /** @returns {[string, () => Uint8Array | undefined][]} the evidence first, because it may not leave room */
  #makers() {
    const { actual } = this.engine;
    return [
      ['evidence', () => this.#evidence()],
      ['actual', () => actual.item()],
      ['report', () => this.#report()],
      ['heartbeat', () => this.#heartbeat()],
    ];
  }

  /** @param {string[]} names */
  #mark(names) {
    if (names.includes('report')) this.reportIsPosted = true;
    if (names.includes('actual')) this.engine.actual.posted();
    if (names.includes('evidence')) {
      this.evidencePostedAt = this.engine.now;
      this.evidenceAt = Infinity;
    }
  }

  #report() {
    const { reports, place, signer } = this.engine;
    if (reports.dirty) {
      reports.number();
      reports.seal(place, signer);
      this.engine.changed = true;
      this.reportIsPosted = false;
    }
    if (!reports.outstanding || this.reportIsPosted || !reports.envelope) return undefined;
    return writeItem(ACTUAL, reports.envelope);
  }

  #heartbeat() {
    const { heartbeats, place, signer, bundle, durable, now, ports, actual } = this.engine;
    const asks = heartbeats.askAt <= now;
    if (!asks && !heartbeats.echo) return undefined;
    const nonce = asks ? ports.random('nonce', 16) : null;
    if (nonce) heartbeats.watch.asked(nonce, now);
    return writeItem(ACTUAL, heartbeats.seal(place, signer, bundle.number, { own: actual.head, other: durable.head }, nonce, now));
  }

  #evidence() {
    const { durable, place, signer, now, desired } = this.engine;
    const { evidence } = durable;
    if (desired.evidenceIsNew) this.evidenceAt = -Infinity;
    desired.evidenceIsNew = false;
    if (!evidence || now < this.evidenceAt) return undefined;
    const { epoch, seq, digest } = evidence;
    const position = { kind: KIND.evidence, epoch, seq, base: 0n, digest };
    const aad = externalAad('plane', KIND.evidence, place, DESIRED);
    return writeItem(DESIRED, seal(position, payloadOfEvidence(evidence), aad, signer).envelope);
  }

  /** @returns {boolean} whether a put was sent */
  #put() {
    if (this.wanted.length === 0 || this.puts >= PUTS_MAX) return false;
    /** @type {Uint8Array[]} */
    const chunks = [];
    const { plane } = this.wanted[0];
    let room = FRAME_BYTES_MAX - FRAME_OVERHEAD;
    for (const { digest, offset } of this.wanted.filter((want) => want.plane === plane)) {
      const body = this.#bodyOf(plane, digest);
      if (!body || offset >= BigInt(body.length)) continue;
      const from = Number(offset);
      const chunk = writeChunk({ digest, size: body.length, offset: from, bytes: body.subarray(from, from + BODY_CHUNK_BYTES_MAX) });
      if (chunk.length > room) break;
      room -= chunk.length;
      chunks.push(chunk);
    }
    this.wanted = this.wanted.filter((want) => want.plane !== plane);
    if (chunks.length === 0) return false;
    this.puts += 1;
    this.engine.link.request('put', [encode(plane), ...chunks]);
    return true;
  }

  /** A body of evidence, or of a snapshot that was posted. @param {bigint} plane @param {Uint8Array} digest */
  #bodyOf(plane, digest) {
    if (plane === ACTUAL) return this.engine.actual.bodyOf(digest);
    return this.engine.durable.evidence ? this.engine.desired.bodyOf(digest) : undefined;
  }

  /** A digest is wanted for each plane that has such a body: its hint does not name the plane. @param {{digest: Uint8Array, offset: bigint}[]} wants */
  #want(wants) {
    for (const plane of [DESIRED, ACTUAL]) {
      const here = wants.filter(({ digest }) => this.#bodyOf(plane, digest)).map((want) => ({ plane, ...want }));
      if (here.length > 0) this.wanted = [...this.wanted.filter((want) => want.plane !== plane), ...here];
    }
  }

  /**
   * What a mailbox said to a post or a put. What is not refused is stored, and is no acknowledgement.
   * @param {import('./engine-link.js').Request} request @param {any} hints
   */
  answered(request, hints) {
    this.failures = 0;
    this.#want(hints.wanted ?? []);
    if (request.name !== 'post') return;
    for (const { index, code } of hints.refused ?? []) {
      const name = request.details[Number(index)];
      this.engine.wanted.push({ kind: 'post-refused', name: name ?? 'unknown', reason: rejectName(code) ?? 'unknown' });
      if (name === 'report') this.#again(AGAIN_MS);
      if (name === 'actual') this.engine.actual.refused(code);
    }
  }

  /** A post without an answer is posted again, later and later. */
  failed() {
    this.failures += 1;
    this.evidenceAt = this.engine.durable.evidence ? this.engine.now : this.evidenceAt;
    this.#again(Math.min(RETRY_MS * 2 ** this.failures, AGAIN_MS));
    this.engine.actual.failed(this.retryAt);
  }

  /** @param {number} afterMs */
  #again(afterMs) {
    this.reportIsPosted = false;
    this.retryAt = this.engine.now + afterMs;
  }
}
