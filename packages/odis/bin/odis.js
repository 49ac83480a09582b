#!/usr/bin/env node
// npm links this file when it installs, before anything is compiled.
import { existsSync } from "node:fs";

const program = new URL("../dist/cli/main.js", import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  console.error("odis: not compiled yet. Run `npm run setup` in the repository first.");
  process.exitCode = 5;
}
