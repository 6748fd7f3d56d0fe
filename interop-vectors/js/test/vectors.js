// Runs the child's operations over the vectors, without a process between. Usage: node test/vectors.js ../v1 [operation]
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { answer } from '../src/child/child.js';
import { parseExact, writeExact } from '../src/child/json.js';

const [root = '../v1', only] = process.argv.slice(2);
let passed = 0;
const failures = [];

/** The outputs of a reply that the vector names, but for those of the base of a change. @param {any} test @param {any} reply @returns {string | null} */
function differs(test, reply) {
  if (test.result !== reply.result || test.error !== reply.error) return `${reply.result} ${reply.error ?? ''}`;
  for (const [name, value] of Object.entries(reply)) {
    if (name === 'steps') {
      const at = value.findIndex((/** @type {any} */ step, /** @type {number} */ index) => differs(test.steps[index], step));
      if (at >= 0) return `step ${at}: ${differs(test.steps[at], value[at])}`;
    } else if (name === 'greeter_id') {
      if (value !== test.id) return `id ${value}`;
    } else if (test.expect && name in test.expect) {
      if (!isDeepStrictEqual(test.expect[name], value)) return `${name} ${writeExact(value)}`;
    } else if (name in test && !isDeepStrictEqual(test[name], value)) return `${name} ${value}`;
  }
  return null;
}

for (const folder of readdirSync(root).filter((name) => /^\d\d-/.test(name)).sort()) {
  for (const file of readdirSync(join(root, folder)).sort()) {
    const { operation, tests } = parseExact(readFileSync(join(root, folder, file), 'utf8'));
    if (only && operation !== only) continue;
    for (const test of tests) {
      const reply = parseExact(writeExact(answer({ ...test, op: operation })));
      const difference = differs(test, reply);
      if (difference === null) passed += 1;
      else failures.push(`${folder}/${file} ${test.name}: wanted ${test.result} ${test.error ?? ''}, got ${difference}`);
    }
  }
}
for (const failure of failures) process.stdout.write(`${failure}\n`);
process.stdout.write(`${passed} passed, ${failures.length} failed\n`);
process.exitCode = failures.length ? 1 : 0;
