// What a device keeps on disk: its store, and the state for its application.
// A file is replaced whole and synced, so that a process that dies at any moment leaves the old one or the new one.

import { createHash } from 'node:crypto';
import {
  closeSync, fchmodSync, fsyncSync, mkdirSync, openSync, readFileSync, realpathSync, renameSync, writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { stringifyExact } from '../json.js';

const STORE = 'device.cbor';
const DESIRED = 'desired.json';

/**
 * Opens the folder of a device, and makes it where there is none.
 * @param {string} dir
 * @returns {Store}
 */
export function openStore(dir) {
  try {
    mkdirSync(dir, { mode: 0o700 });
    sync(dirname(resolve(dir)));
  } catch (error) {
    if (/** @type {any} */ (error).code !== 'EEXIST') throw error;
  }
  return new Store(realpathSync(dir));
}

/** Makes durable which names stand in a folder. @param {string} path */
function sync(path) {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

class Store {
  #dir;

  /** @param {string} dir */
  constructor(dir) {
    this.#dir = dir;
  }

  /** The store; null where the device has none yet. @returns {Uint8Array | null} */
  load() {
    try {
      return new Uint8Array(readFileSync(join(this.#dir, STORE)));
    } catch (error) {
      if (/** @type {any} */ (error).code === 'ENOENT') return null;
      throw error;
    }
  }

  /** Durable when it returns. @param {Uint8Array} bytes */
  save(bytes) {
    this.#replace(STORE, bytes);
  }

  /** @param {Record<string, any>} desired JSON, its integers as bigint */
  writeDesired(desired) {
    this.#replace(DESIRED, Buffer.from(`${stringifyExact(desired)}\n`));
  }

  /** @param {string} name @param {Uint8Array} bytes */
  #replace(name, bytes) {
    const path = join(this.#dir, name);
    const next = `${path}.new`;
    const file = openSync(next, 'w', 0o600);
    try {
      fchmodSync(file, 0o600); // a file of before may have another mode
      writeFileSync(file, bytes);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(next, path);
    sync(this.#dir);
  }

  /**
   * Refuses a second process on this folder, as long as this one lives. Two of them would sign one number twice. The
   * lock is a socket without a file, which ends with its process; only Linux has such.
   * @returns {Promise<void>}
   */
  lock() {
    if (process.platform !== 'linux') return Promise.resolve();
    const name = createHash('sha256').update(this.#dir).digest('hex');
    return new Promise((resolve, reject) => {
      const server = createServer((socket) => socket.destroy());
      server.once('error', () => reject(new Error('another process runs this device: end it first')));
      server.listen(`\0postern-device ${name}`, () => {
        server.unref();
        resolve();
      });
    });
  }
}
