// Values of a state as JSON for people and applications: the form of interop-vectors/README.md#values-of-a-state.
import { toHex } from './bytes.js';

/** @param {any} value @returns {any} */
export function writeValue(value) {
  if (typeof value === 'bigint') return value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : { int: String(value) };
  if (typeof value === 'number') {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value);
    return { float: toHex(bytes) };
  }
  if (value instanceof Uint8Array) return { bytes: toHex(value) };
  if (Array.isArray(value)) return { reference: { digest: toHex(value[0]), size: writeValue(value[1]), media_type: value[2] } };
  return value;
}
