import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { scratchFolder } from "./scratch.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const depcruise = join(root, "node_modules", "dependency-cruiser", "bin", "dependency-cruise.mjs");

/** What `npm run check:imports` says of a tree with these files. */
function check(files: Readonly<Record<string, string>>): { status: number | null; said: string } {
  const tree = scratch();
  const all = { "tsconfig.base.json": "{}", ...files };
  for (const [name, text] of Object.entries(all)) {
    mkdirSync(dirname(join(tree, name)), { recursive: true });
    writeFileSync(join(tree, name), text);
  }
  const config = join(root, ".dependency-cruiser.cjs");
  const roots = [...new Set(Object.keys(files).map((name) => name.split("/")[0]!))];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [depcruise, "--config", config, ...roots],
    { cwd: tree, encoding: "utf8" },
  );
  return { status, said: stdout + stderr };
}

const src = "packages/odis/src";
const scratch = scratchFolder();

describe("the import check", () => {
  test("lets a folder use the door of one before it", () => {
    const { status, said } = check({
      [`${src}/core/index.ts`]: `export { a } from "./a.js";`,
      [`${src}/core/a.ts`]: `export const a = 1;`,
      [`${src}/data/b.ts`]: `import { a } from "../core/index.js"; export const b = a;`,
    });
    expect(said).toContain("no dependency violations found (3 modules");
    expect(status).toBe(0);
  });

  test.each([
    [
      "a window, for a type, too",
      "through-the-door",
      {
        [`${src}/core/a.ts`]: `export type A = 1;`,
        [`${src}/data/b.ts`]: `import type { A } from "../core/a.js"; export const b: A = 1;`,
      },
    ],
    [
      "a folder that comes later",
      "core-comes-before",
      {
        [`${src}/core/a.ts`]: `export { b } from "../data/index.js";`,
        [`${src}/data/index.ts`]: `export const b = 1;`,
      },
    ],
    [
      "a circle",
      "no-circle",
      {
        [`${src}/core/a.ts`]: `import { b } from "./b.js"; export const a = () => b;`,
        [`${src}/core/b.ts`]: `import { a } from "./a.js"; export const b = () => a;`,
      },
    ],
    [
      "a folder that has no place",
      "listed-folder",
      {
        [`${src}/core/index.ts`]: `export const a = 1;`,
        [`${src}/attic/b.ts`]: `export { a } from "../core/index.js";`,
      },
    ],
    [
      "a page that needs what browsers have not",
      "page-from-portable",
      {
        [`${src}/core/index.ts`]: `export const a = 1;`,
        [`${src}/explorer/b.ts`]: `export { a } from "../core/index.js";`,
      },
    ],
    [
      "what browsers run and needs Node",
      "portable-stands-alone",
      {
        [`${src}/portable/a.ts`]: `import { readFileSync } from "node:fs"; export const a = readFileSync;`,
      },
    ],
    [
      "a bench that climbs in",
      "bench-through-the-door",
      {
        [`${src}/core/a.ts`]: `export const a = 1;`,
        "bench/src/b.ts": `export { a } from "../../packages/odis/src/core/a.js";`,
      },
    ],
  ])("refuses %s", (_, rule, files) => {
    const { status, said } = check(files);
    expect(said).toContain(`error ${rule}: `);
    expect(status).not.toBe(0);
  });
});

describe("ARCHITECTURE.md", () => {
  const text = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  const folders = readdirSync(join(root, src), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );

  test.each(folders.map(({ name }) => name))(
    "says of every file of %s/ what it is for",
    (folder) => {
      const [, section = ""] = text.split(`**\`${folder}/\`**`);
      const [rooms = ""] = section.split(/\n(?:\*\*`|## )/);
      const told = [...rooms.matchAll(/^\| `([^`]+)`/gm)].flatMap(([, names]) => {
        const [first = "", ...others] = names!.split(", ");
        const inner = dirname(first);
        return [first, ...others.map((name) => (inner === "." ? name : join(inner, name)))];
      });
      const there = readdirSync(join(root, src, folder), { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".ts") && !/(?:^|\/)index\.ts$/.test(file))
        .map((file) => file.replace(/\.ts$/, ""));
      expect(told.toSorted()).toEqual(there.toSorted());
    },
  );
});
