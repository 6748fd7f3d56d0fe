// What a device keeps, in one file that is replaced whole: after a kill it is the old record or the new one.
// Serves the persistence rules of spec/postern.md#acceptance, #reports-and-acks, #bundle and #enrolment.
//
// The record is one CBOR map, so that integers and bytes keep their types. It holds the device's secret key.
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { encode, Reader } from '../cbor.js';

/** @param {any} value @returns {any} */
function toItem(value) {
  if (Array.isArray(value)) return value.map(toItem);
  const isRecord = value !== null && typeof value === 'object' && !(value instanceof Uint8Array);
  return isRecord ? new Map(Object.entries(value).map(([name, member]) => [name, toItem(member)])) : value;
}

/** @param {any} item @returns {any} */
function fromItem(item) {
  if (Array.isArray(item)) return item.map(fromItem);
  return item instanceof Map ? Object.fromEntries([...item].map(([name, member]) => [name, fromItem(member)])) : item;
}

/** Replaces a file so that it is never half written. @param {string} path @param {Uint8Array | string} content */
export function replaceFile(path, content) {
  const fresh = `${path}.new`;
  const file = openSync(fresh, 'w', 0o600);
  try {
    let bytes = typeof content === 'string' ? Buffer.from(content) : content;
    while (bytes.length > 0) bytes = bytes.subarray(writeSync(file, bytes));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(fresh, path);
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** The record of one device. `record` is what is durable plus what was changed since the last commit. */
export class Store {
  /** @param {string} folder @param {any} record */
  constructor(folder, record) {
    this.folder = folder;
    this.record = record;
  }

  /** @param {string} folder */
  static path(folder) {
    return join(folder, 'device.cbor');
  }

  /** A new record; the caller commits it. @param {string} folder @param {any} record */
  static create(folder, record) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return new Store(folder, record);
  }

  /** @param {string} folder @returns {Store | null} null where nothing was ever committed */
  static open(folder) {
    try {
      return new Store(folder, fromItem(new Reader(new Uint8Array(readFileSync(Store.path(folder)))).item()));
    } catch (error) {
      if (/** @type {any} */ (error).code === 'ENOENT') return null;
      throw error;
    }
  }

  /** Makes the record durable. */
  commit() {
    replaceFile(Store.path(this.folder), encode(toItem(this.record)));
  }
}
