// The desired plane of a device: what it accepts, the bodies that it waits for, what it proves against its writer.
// Implements spec/postern.md #acceptance, #state, #snapshot and #bodies, and spec/lives.md #evidence and #recovery, from the
// side of the reader.

import { concat, toHex } from './bytes.js';
import { judge } from './acceptance.js';
import { applyDelta } from './delta.js';
import { evidencePayload } from './evidence.js';
import { KIND } from './kinds.js';
import { ENVELOPE_BYTES_MAX, FETCH_DIGESTS_MAX, SECTION_BYTES_MAX, STATE_BYTES_MAX } from './limits.js';
import { REJECTS, Reject, demand, isReported, rejectName } from './reject.js';
import { compareCursors } from './report.js';
import { LIST, moveCursors } from './engine-reports.js';
import { digestOfBytes, digestState, readBody } from './state.js';

/** The bytes around a payload in an envelope, at most. */
const ENVELOPE_OVERHEAD = 256;

export class Desired {
  /** @param {import('./engine-store.js').Durable} durable @param {import('./engine-reports.js').Reports} reports */
  constructor(durable, reports) {
    this.durable = durable;
    this.reports = reports;
    /** Digests of the sections that are held. */
    this.held = sectionsHeld(durable.bodies);
    /** A snapshot that waits for bodies. @type {Pending | null} */
    this.pending = null;
    /** Whether a snapshot has to be asked for. */
    this.needDue = false;
    /** Whether the application has news. */
    this.news = false;
    /** Whether evidence was made since it was last looked at. */
    this.evidenceIsNew = false;
  }

  /** The first poll of a session says what is held, as a need would. */
  sessionBegins() {
    this.needDue = false;
  }

  /**
   * A delta or snapshot that verified.
   * @param {any} verified @param {Uint8Array} envelope @param {bigint} generation of the writer that signed it
   */
  take(verified, envelope, generation) {
    this.#received(verified, generation);
    if (verified.payload.encrypted || verified.payload.generation !== undefined) return this.#need('plane-key-missing');
    const outcome = this.#judge(verified, generation);
    if (outcome.outcome === 'need' && this.#isBehindPending(verified, generation)) return;
    if (outcome.outcome === 'need') return this.#need(/** @type {string} */ (outcome.reject));
    if (outcome.outcome === 'refuse') return this.#refuse(verified, envelope, outcome);
    if (outcome.outcome === 'apply') return this.#apply(verified, envelope, generation);
    if (outcome.outcome === 'accept') this.#takeSnapshot(verified, envelope, generation);
  }

  /**
   * A snapshot that the head allows. One that waits counts as stored for it, where it is not above that one.
   * @param {any} verified @param {Uint8Array} envelope @param {bigint} generation
   */
  #takeSnapshot(verified, envelope, generation) {
    const { head, frozen } = this.durable;
    const isFrozen = frozen === verified.epoch && (head === null || head.generation === generation);
    if (isFrozen) return this.#refuse(verified, envelope, { row: 10, outcome: 'refuse', reject: 'epoch-frozen' });
    const { pending } = this;
    const rank = pending ? Number(generation - pending.generation) || compareCursors(verified, pending.verified) : 1;
    if (rank < 0) return;
    if (pending && rank === 0 && toHex(pending.verified.digest) !== toHex(verified.digest)) {
      this.pending = null;
      const first = { ...pending.verified, envelope: pending.envelope };
      return this.#refuse(verified, envelope, { row: 13, outcome: 'refuse', reject: 'equivocation', freezes: true }, first);
    }
    this.#collect(verified, envelope, generation);
  }

  /** @param {any} verified @param {bigint} generation */
  #judge({ kind, epoch, seq, base, digest, payload }, generation) {
    const { head, frozen } = this.durable;
    const isSnapshot = kind === KIND.snapshot;
    const isFrozen = head !== null && frozen === head.epoch;
    return judge(head, isFrozen, { isSnapshot, generation, epoch, seq, base, digest, lineage: payload.lineage ?? [] });
  }

  /**
   * Whether a delta continues the snapshot whose bodies are on their way. It waits for its turn: it comes again with the
   * poll that names the snapshot.
   * @param {any} verified @param {bigint} generation
   */
  #isBehindPending({ epoch, base }, generation) {
    const { pending } = this;
    return pending !== null && pending.generation === generation && pending.verified.epoch === epoch && base >= pending.verified.seq;
  }

  /** The payload of a delta was refused: where it was the next one, no way leads forward but a snapshot. @param {any} position @param {bigint} generation */
  contentRefused(position, generation) {
    if (this.#judge({ ...position, payload: {} }, generation).outcome === 'apply') this.needDue = true;
  }

  /** @param {any} verified @param {bigint} generation */
  #received({ epoch, seq }, generation) {
    const { head, received } = this.durable;
    if (head && generation !== head.generation) return;
    if (compareCursors(received, { epoch, seq }) < 0) {
      this.durable.received = { epoch, seq };
      this.reports.dirty = true;
    }
  }

  /** @param {string} reason @returns {never} */
  #need(reason) {
    this.needDue = true;
    throw new Reject(reason);
  }

  /** @param {any} verified @param {Uint8Array} envelope @param {import('./acceptance.js').Judgement} outcome @param {any} [first] what was there before, else the head @returns {never} */
  #refuse(verified, envelope, outcome, first = this.durable.head) {
    const reason = /** @type {string} */ (outcome.reject);
    const { kind, epoch, seq } = verified;
    this.reports.refuse(kind, epoch, seq, reason);
    if (outcome.freezes) this.durable.frozen = epoch;
    if (reason === 'equivocation' || reason === 'writer-behind') this.#prove(reason, verified, envelope, first);
    throw new Reject(reason);
  }

  /**
   * The reader's own head, its table where the writer is behind, and the messages that prove it.
   * @param {string} reason @param {any} refused @param {Uint8Array} envelope @param {any} head
   */
  #prove(reason, refused, envelope, head) {
    if (this.durable.evidence?.proofs.some(({ messageId }) => toHex(messageId) === toHex(refused.messageId))) return;
    const table = reason === 'writer-behind' ? this.held : null;
    const proofs = [
      { messageId: head.messageId, envelope: head.envelope },
      { messageId: refused.messageId, envelope: Uint8Array.from(envelope) },
    ];
    const { epoch, seq, digest } = head;
    this.durable.evidence = { epoch, seq, digest, code: BigInt(REJECTS[reason]), table, proofs };
    fitEvidence(this.durable.evidence);
    this.evidenceIsNew = true;
  }

  /** Row 14. @param {any} verified @param {Uint8Array} envelope @param {bigint} generation */
  #apply(verified, envelope, generation) {
    let after;
    try {
      after = applyDelta(this.state(), verified.payload, verified.digest);
    } catch (error) {
      // No way leads forward from here but a snapshot.
      if (error instanceof Reject) this.needDue = true;
      throw this.#listed(error, verified);
    }
    this.#commit(verified, envelope, generation, after.bodies, after.sections);
  }

  /** A snapshot that is accepted as soon as all of its bodies are held. @param {any} verified @param {Uint8Array} envelope @param {bigint} generation */
  #collect(verified, envelope, generation) {
    if (this.pending && toHex(this.pending.verified.messageId) === toHex(verified.messageId)) return;
    const pending = new Pending(verified, Uint8Array.from(envelope), generation, this.held, this.durable.bodies);
    this.pending = pending;
    if (pending.isWhole) this.#finish(pending);
  }

  /**
   * Chunks that came as the answer to a fetch; all of them were asked for, or none is taken.
   * @param {any[]} chunks @param {{digest: Uint8Array, offset: number}[]} wants
   * @returns {boolean} whether they brought anything
   */
  takeChunks(chunks, wants) {
    const { pending } = this;
    if (!pending) return false;
    try {
      pending.check(chunks, wants);
    } catch (error) {
      this.giveUp();
      throw this.#listed(error, pending.verified);
    }
    for (const chunk of chunks) this.takeChunk(chunk);
    return chunks.length > 0;
  }

  /** A chunk that continues what is held of its body; any other is passed over. @param {any} chunk */
  takeChunk(chunk) {
    const { pending } = this;
    if (!pending) return;
    try {
      pending.add(chunk);
    } catch (error) {
      this.giveUp();
      throw this.#listed(error, pending.verified);
    }
    if (pending.isWhole) this.#finish(pending);
  }

  /** Forgets a snapshot whose bodies are not to be had, and asks anew. */
  giveUp() {
    this.pending = null;
    this.needDue = true;
  }

  /** @param {Pending} pending */
  #finish(pending) {
    this.pending = null;
    const { verified, envelope, generation } = pending;
    const outcome = this.#judge(verified, generation);
    if (outcome.outcome === 'refuse') this.#refuse(verified, envelope, outcome);
    if (outcome.outcome !== 'accept') return;
    let after;
    try {
      after = digestState(pending.state());
    } catch (error) {
      throw this.#listed(error, verified);
    }
    this.#commit(verified, envelope, generation, after.bodies, after.sections);
    if (outcome.superseded) this.reports.add(LIST.superseded, [verified.epoch, ...outcome.superseded]);
  }

  /** @param {any} error @param {any} verified */
  #listed(error, { kind, epoch, seq }) {
    if (error instanceof Reject && isReported(error.reason)) this.reports.refuse(kind, epoch, seq, error.reason);
    return error;
  }

  /**
   * Head and state together; the engine makes them durable before anything else happens.
   * @param {any} verified @param {Uint8Array} envelope @param {bigint} generation
   * @param {Map<string, Uint8Array>} bodies @param {Map<string, Uint8Array>} sections
   */
  #commit({ epoch, seq, digest, messageId }, envelope, generation, bodies, sections) {
    const before = this.durable.head;
    this.durable.head = { generation, epoch, seq, digest, messageId, envelope: Uint8Array.from(envelope) };
    this.durable.bodies = bodies;
    this.held = sections;
    if (before && (before.generation !== generation || before.epoch !== epoch)) this.durable.frozen = null;
    this.durable.evidence = null;
    moveCursors(this.durable, before !== null && before.generation !== generation);
    this.needDue = false;
    this.news = true;
    this.reports.dirty = true;
    if (this.pending && this.#judge(this.pending.verified, this.pending.generation).outcome !== 'accept') this.pending = null;
  }

  /** The accepted state as one map. */
  state() {
    const state = new Map();
    for (const [section, body] of this.durable.bodies) {
      for (const [path, value] of readBody(section, /** @type {Uint8Array} */ (this.held.get(section)), body)) state.set(path, value);
    }
    return state;
  }

  /** A body that evidence names and a mailbox wants. @param {Uint8Array} digest */
  bodyOf(digest) {
    const name = toHex(digest);
    for (const [section, held] of this.held) if (toHex(held) === name) return this.durable.bodies.get(section);
    return undefined;
  }
}

/** @param {Map<string, Uint8Array>} bodies */
function sectionsHeld(bodies) {
  return new Map([...bodies].map(([section, body]) => [section, digestOfBytes(body)]));
}

/** A snapshot whose table verified, and what is held of its bodies. */
class Pending {
  /**
   * @param {any} verified @param {Uint8Array} envelope @param {bigint} generation
   * @param {Map<string, Uint8Array>} held @param {Map<string, Uint8Array>} bodies
   */
  constructor(verified, envelope, generation, held, bodies) {
    this.verified = verified;
    this.envelope = envelope;
    this.generation = generation;
    /** Whole bodies by their digest. @type {Map<string, Uint8Array>} */
    this.bodies = new Map();
    /**
     * What is missing, in the order of the table.
     * @type {Map<string, {section: string, digest: Uint8Array, size: number | null, parts: Uint8Array[], have: number}>}
     */
    this.missing = new Map();
    const own = new Map([...held].map(([section, digest]) => [toHex(digest), bodies.get(section)]));
    for (const [section, { digest, stored }] of verified.payload.table) {
      const name = toHex(stored);
      const body = own.get(name);
      if (body) this.bodies.set(name, body);
      else this.missing.set(name, { section, digest, size: null, parts: [], have: 0 });
    }
  }

  get isWhole() {
    return this.missing.size === 0;
  }

  /** What to fetch next. */
  wants() {
    return [...this.missing.values()].slice(0, FETCH_DIGESTS_MAX).map(({ digest, have }) => ({ digest, offset: have }));
  }

  /** A chunk that no fetch asked for spoils its answer. @param {any[]} chunks @param {{digest: Uint8Array, offset: number}[]} wants */
  check(chunks, wants) {
    const asked = new Map(wants.map(({ digest, offset }) => [toHex(digest), offset]));
    for (const { digest, offset, bytes } of chunks) {
      const name = toHex(digest);
      demand(asked.get(name) === offset && this.missing.has(name), 'body-mismatch');
      asked.set(name, offset + bytes.length);
    }
  }

  /** @param {{digest: Uint8Array, size: number, offset: number, bytes: Uint8Array}} chunk */
  add({ digest, size, offset, bytes }) {
    const name = toHex(digest);
    const body = this.missing.get(name);
    if (!body || body.have !== offset) return;
    demand(body.size === null || body.size === size, 'body-mismatch');
    demand(size <= SECTION_BYTES_MAX, 'section-oversize');
    body.size = size;
    demand(this.#bytesToHold() <= STATE_BYTES_MAX, 'state-oversize');
    body.parts.push(Uint8Array.from(bytes));
    body.have += bytes.length;
    if (body.have < size) return;
    const whole = concat(...body.parts);
    readBody(body.section, body.digest, whole);
    this.missing.delete(name);
    this.bodies.set(name, whole);
  }

  #bytesToHold() {
    let sum = 0;
    for (const { size } of this.missing.values()) sum += size ?? 0;
    for (const body of this.bodies.values()) sum += body.length;
    return sum;
  }

  /** The whole new state. */
  state() {
    const state = new Map();
    for (const [section, { digest, stored }] of this.verified.payload.table) {
      const body = /** @type {Uint8Array} */ (this.bodies.get(toHex(stored)));
      for (const [path, value] of readBody(section, digest, body)) state.set(path, value);
    }
    return state;
  }
}

/** The payload of evidence. @param {import('./engine-store.js').Evidence} evidence */
export function payloadOfEvidence({ code, table, proofs }) {
  const rows = table && new Map([...table].map(([section, digest]) => [section, { digest, stored: digest }]));
  return evidencePayload(/** @type {any} */ (rejectName(code)), rows, false, proofs);
}

/** An envelope that does not fit is left out, the refused one first. @param {import('./engine-store.js').Evidence} evidence */
function fitEvidence(evidence) {
  for (const proof of [...evidence.proofs].reverse()) {
    if (payloadOfEvidence(evidence).length + ENVELOPE_OVERHEAD <= ENVELOPE_BYTES_MAX) return;
    proof.envelope = null;
  }
}
