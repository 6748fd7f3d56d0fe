// Actions that are asked for once.
// Implements spec/planes.md #intents for a device: its marks, and which of them a revision moves.

import { h, isUint, toHex } from './bytes.js';
import { encode } from './cbor.js';
import { sectionOf } from './state.js';

const INTENT_SECTION = 'intent';

const RISE_MAX = 2n ** 20n;
const PATHS_MAX = 64;
const NOTED_MAX = 1024;

/** The numbers of spec/registry.md #intent-outcomes. */
export const OUTCOME = Object.freeze({
  recorded: 0n, fired: 1n, lower: 2n, jump: 3n, notUint: 4n, finished: 5n, tooManyVerbs: 6n, interrupted: 7n,
});

/** @typedef {[path: string, value: bigint, outcome: bigint, end?: [bigint, string]]} Note an entry of list 5 */

export class Intents {
  /** The highest value for which an action began. @type {Map<string, bigint>} */
  #taken;
  /** The value of the action that ended last. @type {Map<string, bigint>} */
  #done;
  /** What the same path of `actual` shows. @type {Map<string, bigint>} */
  #shown;
  /** Hashes of the entries that moved no mark: each is noted once. Oldest first. @type {Set<string>} */
  #noted;

  /** @param {any} [saved] what `save` gave */
  constructor([taken, done, shown, noted] = [new Map(), new Map(), new Map(), []]) {
    this.#taken = new Map(taken);
    this.#done = new Map(done);
    this.#shown = new Map(shown);
    this.#noted = new Set(noted);
  }

  /** For the store, as a value of CBOR. @returns {any[]} */
  save() {
    return [this.#taken, this.#done, this.#shown, [...this.#noted]];
  }

  /** The section `intent` of `actual`. @returns {ReadonlyMap<string, bigint>} */
  get shown() {
    return this.#shown;
  }

  /**
   * Judges the intents of a revision. What is taken has to be durable before an action begins.
   * @param {import('./state.js').State} state
   * @param {boolean} isFirst whether it is the first snapshot of the incarnation
   * @returns {{actions: [string, bigint][], notes: Note[]}} ascending by path
   */
  judge(state, isFirst) {
    /** @type {[string, bigint][]} */
    const actions = [];
    /** @type {Note[]} */
    const notes = [];
    const paths = [...state.keys()].filter((path) => path.includes('/') && sectionOf(path) === INTENT_SECTION).sort();
    for (const path of paths) {
      const value = state.get(path);
      const outcome = this.#outcome(path, value, isFirst);
      const shown = isUint(value) ? value : 0n;
      if (outcome === undefined || !this.#move(path, shown, outcome)) continue;
      notes.push([path, shown, outcome]);
      if (outcome === OUTCOME.fired) actions.push([path, value]);
    }
    return { actions, notes };
  }

  /** Undefined where nothing is new. @param {string} path @param {any} value @param {boolean} isFirst */
  #outcome(path, value, isFirst) {
    if (!this.#taken.has(path) && this.#taken.size >= PATHS_MAX) return OUTCOME.tooManyVerbs;
    if (!isUint(value)) return OUTCOME.notUint;
    if (isFirst) return OUTCOME.recorded;
    const taken = this.#taken.get(path) ?? 0n;
    if (value === taken) return undefined;
    if (value < taken) return OUTCOME.lower;
    return value - taken > RISE_MAX ? OUTCOME.jump : OUTCOME.fired;
  }

  /** Moves the marks; false where this was noted before. @param {string} path @param {bigint} value @param {bigint} outcome */
  #move(path, value, outcome) {
    if (outcome === OUTCOME.recorded) this.#done.set(path, value);
    if (outcome === OUTCOME.recorded || outcome === OUTCOME.fired) {
      this.#taken.set(path, value);
      return true;
    }
    const note = toHex(h(encode([path, value, outcome])).slice(0, 16));
    if (this.#noted.has(note)) return false;
    this.#noted.add(note);
    if (this.#noted.size > NOTED_MAX) this.#noted.delete(this.#noted.values().next().value ?? '');
    return true;
  }

  /**
   * An action has ended, however it did.
   * @param {string} path @param {bigint} value for which it began @param {bigint} status @param {string} output
   * @returns {Note}
   */
  ended(path, value, status, output) {
    this.#end(path, value);
    return [path, value, OUTCOME.finished, [status, output]];
  }

  /** Actions whose end nobody saw: after a restart they have ended. @returns {Note[]} */
  interrupted() {
    const open = [...this.#taken].filter(([path, value]) => this.#done.get(path) !== value).sort();
    return open.map(([path, value]) => {
      this.#end(path, value);
      return [path, value, OUTCOME.interrupted];
    });
  }

  /** @param {string} path @param {bigint} value */
  #end(path, value) {
    this.#done.set(path, value);
    this.#shown.set(path, value);
  }
}
