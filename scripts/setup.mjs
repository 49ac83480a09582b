// Makes a clone ready to run: packages, LibTorch, compiled TypeScript, the bridge to LibTorch.
// Needs nothing but Node, and says nothing when there is nothing to do.
//
//   node scripts/setup.mjs [--with data] [--with tests] [--with engines] [--with bench]
//
// LIBTORCH=/folder uses that LibTorch instead of the system's.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const unusable = 5; // the exit code that `odis` has for this, too
const oldestNode = [20, 20];

/** Debian packages that only some jobs need. */
const extras = {
  data: ["dataset-fashion-mnist"],
  tests: ["chromium", "python3-torch", "tuxpaint-stamps-default"],
  engines: ["python3-venv"],
  bench: ["python3-torch"],
};

function stop(message, exitCode) {
  console.error(`setup: ${message}`);
  process.exit(exitCode);
}

/** Runs a program; its output is shown only when it fails. */
function run(program, args, failure, exitCode = 1, env = process.env) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: root,
    env,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status === 0) return stdout;
  process.stdout.write("\n");
  console.error(`${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`.trimEnd());
  return stop(failure, exitCode);
}

/** A stage that takes time: one line, with its seconds. */
function stage(title, work) {
  const began = performance.now();
  process.stdout.write(`setup: ${title} ... `);
  work();
  process.stdout.write(`${((performance.now() - began) / 1000).toFixed(0)} s\n`);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1])) return;
  stop(
    `Node ${process.versions.node} is too old; wanted ${oldestNode.join(".")} or later.`,
    unusable,
  );
}

/** @param {string[]} names groups of `extras` */
function installSystemPackages(names) {
  const libtorch = process.env["LIBTORCH"] ? [] : ["libtorch-dev", "libblis4-openmp"];
  const wanted = ["g++", "libjpeg-dev", ...libtorch, ...names.flatMap((name) => extras[name])];
  if (!existsSync("/usr/bin/dpkg-query")) return; // not Debian: the bridge's build says what it misses
  const { stdout } = spawnSync(
    "dpkg-query",
    ["-W", "-f", "${Package} ${db:Status-Status}\n", ...wanted],
    {
      encoding: "utf8",
    },
  );
  const installed = new Set(stdout.split("\n").map((line) => line.trim()));
  const missing = wanted.filter((name) => !installed.has(`${name} installed`));
  if (missing.length === 0) return;

  const isRoot = process.getuid?.() === 0;
  if (!isRoot && spawnSync("sudo", ["-n", "true"]).status !== 0)
    stop(
      `these packages are missing: ${missing.join(", ")}. Install them, then run this again:\n` +
        `  sudo apt-get update && sudo apt-get install -y ${missing.join(" ")}`,
      unusable,
    );
  const apt = (...args) => {
    const line = [
      "env",
      "DEBIAN_FRONTEND=noninteractive",
      "apt-get",
      "-o",
      "DPkg::Lock::Timeout=300",
      ...args,
    ];
    const [program, ...rest] = isRoot ? line : ["sudo", "-n", ...line];
    run(program, rest, `apt-get ${args[0]} failed; see above.`, unusable);
  };
  stage(`installing ${missing.join(", ")}`, () => {
    apt("update");
    apt("install", "-y", "--no-install-recommends", ...missing);
  });
}

/** `npm ci`, unless node_modules came from exactly this lock file. */
function installNodePackages() {
  const stamp = join(root, "node_modules", ".lock-sha256");
  const lock = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  stage("npm ci", () => {
    run("npm", ["ci", "--no-audit", "--no-fund"], "npm ci failed; see above.");
    writeFileSync(stamp, lock);
  });
}

function compileTypeScript() {
  const tsc = join(root, "node_modules", "@typescript", "native", "bin", "tsc");
  const projects = ["packages/torch", "packages/odis", "packages/odis/src/explorer", "bench"];
  const compile = (...flags) => {
    run(process.execPath, [tsc, "-b", ...flags, ...projects], "tsc -b failed; see above.");
  };
  if (existsSync(join(root, "packages", "odis", "dist", "cli", "main.js")))
    compile(); // a moment
  // The compiler's notes may have outlived what it wrote.
  else stage("compiling TypeScript", () => compile("--force"));
}

async function buildBridge() {
  const dist = join(root, "packages", "torch", "dist");
  const { planAll } = await import(pathToFileURL(join(dist, "build-plan.js")).href);
  try {
    if (planAll().every(({ addon }) => existsSync(addon))) return;
  } catch (error) {
    stop(error.message, unusable);
  }
  stage("building the bridge to LibTorch (up to two minutes)", () => {
    run(
      process.execPath,
      [join(dist, "build.js")],
      "the bridge cannot be built; see above.",
      unusable,
    );
  });
}

const words = process.argv.slice(2);
const groups = [];
for (let index = 0; index < words.length; index += 2) {
  const group = words[index + 1];
  if (words[index] !== "--with" || !Object.hasOwn(extras, group ?? ""))
    stop(
      `got ${words.slice(index).join(" ")}; wanted --with ${Object.keys(extras).join(" | ")}`,
      2,
    );
  groups.push(group);
}
checkNode();
installSystemPackages(groups);
installNodePackages();
compileTypeScript();
await buildBridge();
