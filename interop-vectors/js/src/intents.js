// Actions that are asked for once. Implements spec/planes.md#intents.
import { compare } from './bytes.js';
import { encode } from './cbor.js';
import { INTENT_JUMP_MAX, INTENT_PATHS_MAX } from './limits.js';

export const OUTCOME = /** @type {const} */ ({
  recorded: 0n, fired: 1n, lower: 2n, jump: 3n, notUint: 4n, finished: 5n, tooManyVerbs: 6n, interrupted: 7n,
});

/** @typedef {{taken: bigint, done: bigint, noted: string | null, shown: bigint | null}} Mark */
/** @typedef {{path: string, value: bigint, outcome: bigint}} Note */

/** The intents of a state, ascending by path. @param {Map<string, any>} state @returns {[string, any][]} */
const intentsOf = (state) =>
  [...state].filter(([path]) => path.startsWith('intent/')).sort((a, b) => compare(encode(a[0]), encode(b[0])));

/** The marks of one incarnation. */
export class Intents {
  /** @param {Map<string, Mark>} [marks] @param {boolean} [begun] whether a first snapshot was judged */
  constructor(marks = new Map(), begun = false) {
    this.marks = marks;
    this.begun = begun;
    /** Paths beyond the bound that were noted already. @type {Set<string>} */
    this.beyond = new Set();
  }

  /** The action for a value has ended. @param {string} path @param {bigint} value */
  finish(path, value) {
    const mark = this.marks.get(path);
    if (mark) Object.assign(mark, { done: value, shown: value });
  }

  /** Actions that began before a restart and are not repeated: they have ended. @returns {Note[]} */
  interrupted() {
    const open = [...this.marks].filter(([, mark]) => mark.taken > mark.done);
    return open.map(([path, { taken: value }]) => {
      this.finish(path, value);
      return { path, value, outcome: OUTCOME.interrupted };
    });
  }

  /** What `actual` shows: values whose action ended. @returns {[string, bigint][]} */
  shown() {
    return [...this.marks].flatMap(([path, { shown }]) => (shown === null ? [] : [/** @type {[string, bigint]} */ ([path, shown])]));
  }

  /** Judges a state whose attempt to apply has ended. @param {Map<string, any>} state @returns {{actions: [string, bigint][], notes: Note[]}} */
  take(state) {
    /** @type {{actions: [string, bigint][], notes: Note[]}} */
    const result = { actions: [], notes: [] };
    for (const [path, value] of intentsOf(state)) {
      const note = this.judge(path, value);
      if (!note) continue;
      result.notes.push(note);
      if (note.outcome === OUTCOME.fired) result.actions.push([path, note.value]);
    }
    this.begun = true;
    return result;
  }

  /** @param {string} path @param {any} value @returns {Note | null} */
  judge(path, value) {
    const isUint = typeof value === 'bigint' && value >= 0n;
    const number = isUint ? value : 0n;
    const known = this.marks.get(path);
    if (!known && this.marks.size >= INTENT_PATHS_MAX) return this.once(this.beyond, path, number, OUTCOME.tooManyVerbs);
    const mark = known ?? { taken: 0n, done: 0n, noted: null, shown: null };
    if (isUint && value === mark.taken && known) {
      mark.noted = null;
      return null;
    }
    const outcome = this.outcome(mark, value, isUint);
    const noted = `${outcome}:${encode(value ?? null)}`;
    if (outcome !== OUTCOME.recorded && outcome !== OUTCOME.fired) {
      if (mark.noted === noted) return null;
      mark.noted = noted;
    } else {
      mark.taken = number;
      if (outcome === OUTCOME.recorded) mark.done = number;
      mark.noted = null;
    }
    this.marks.set(path, mark);
    return { path, value: number, outcome };
  }

  /** @param {Set<string>} seen @param {string} path @param {bigint} value @param {bigint} outcome @returns {Note | null} */
  once(seen, path, value, outcome) {
    const key = `${path}:${value}`;
    if (seen.has(key)) return null;
    if (seen.size < 4 * INTENT_PATHS_MAX) seen.add(key);
    return { path, value, outcome };
  }

  /** @param {Mark} mark @param {any} value @param {boolean} isUint */
  outcome(mark, value, isUint) {
    if (!isUint) return OUTCOME.notUint;
    if (!this.begun) return OUTCOME.recorded;
    if (value < mark.taken) return OUTCOME.lower;
    return value - mark.taken <= INTENT_JUMP_MAX ? OUTCOME.fired : OUTCOME.jump;
  }
}
