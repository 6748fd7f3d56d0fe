// Two devices under one key, as a controller notices them.
// Implements spec/lives.md #clones.

import { Reject } from './reject.js';
import { compareReports } from './report.js';

/** @typedef {{epoch: bigint, seq: bigint, messageId: Uint8Array}} ReportPlace */

/** The reports of one incarnation. */
export class Clones {
  /** @type {ReportPlace | null} */
  #stored = null;
  /** Shown until the name is enrolled anew. */
  cloned = false;

  /**
   * Takes a verified report; throws the reject of one that does not count.
   * @param {ReportPlace} report
   * @param {boolean} live whether it came inside a live session
   * @returns {'accept' | 'duplicate'}
   */
  take(report, live) {
    try {
      const outcome = compareReports(this.#stored, report);
      if (outcome === 'accept') this.#stored = report;
      return outcome;
    } catch (error) {
      // A lower number of the same epoch may have waited somewhere on its way.
      const isOther = error instanceof Reject
        && (error.reason === 'equivocation' || (this.#stored !== null && report.epoch < this.#stored.epoch));
      if (live && isOther) this.cloned = true;
      throw error;
    }
  }
}
