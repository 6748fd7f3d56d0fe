// The intents of a device: what its desired state asks for once, and what became of it.
// Implements spec/planes.md #intents over the engine; the marks stand in intents.js.

import { Intents } from './intents.js';
import { LIST } from './engine-reports.js';

export class Actions {
  /** @param {import('./engine.js').Engine} engine */
  constructor(engine) {
    this.engine = engine;
    const { intents } = engine.durable;
    this.intents = new Intents(intents ?? undefined);
    if (!intents) return;
    // No action is repeated: what was under way when the process died has ended.
    this.#note(this.intents.interrupted());
  }

  /** An attempt to apply the newest head has ended, however it did. What is taken is durable before an action begins. */
  judge() {
    const { engine } = this;
    const isFirst = engine.durable.intents === null;
    const { actions, notes } = this.intents.judge(engine.desired.state(), isFirst);
    this.#note(notes);
    for (const [path, value] of actions) engine.wanted.push({ kind: 'act', path, value });
    if (isFirst) this.#save();
  }

  /** @param {string} path @param {bigint} value @param {number} status @param {string} output */
  ended(path, value, status, output) {
    this.#note([this.intents.ended(path, value, BigInt(status), output)]);
  }

  /** @param {import('./intents.js').Note[]} notes */
  #note(notes) {
    if (notes.length === 0) return;
    for (const note of notes) this.engine.reports.add(LIST.intents, note);
    this.engine.actual.write(new Map(this.intents.shown));
    this.#save();
  }

  #save() {
    this.engine.durable.intents = this.intents.save();
    this.engine.changed = true;
  }
}
