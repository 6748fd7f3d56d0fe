#!/usr/bin/env node
import { runChild } from './src/child/child.js';
await runChild();
