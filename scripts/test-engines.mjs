// Runs the tests of everything that computes on the newest LibTorch from PyPI.
//
//   npm run test:engines [-- VERSION]
//
// Makes a Python environment with `torch` in .cache/engines/ (some 5 GB with NVIDIA's libraries, which
// the library wants to be there even on a CPU), builds the bridge against it, and runs the tests that
// engines.json lists. VERSION is another than the newest. docs/engines.md tells what was seen.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const unusable = 5; // the exit code that `odis` has for an engine, too
const unavailable = 69; // as sysexits.h has it: there is no engine to test, which says nothing of ours

/** Runs a program in sight of the user; ends everything when it fails. */
function run(failure, program, args, { env = process.env, code = unusable } = {}) {
  const { status } = spawnSync(program, args, { cwd: root, env, stdio: "inherit" });
  if (status === 0) return;
  console.error(`test:engines: ${failure}`);
  process.exit(code);
}

/** A folder with a Python environment that has this `torch`, or the newest. */
function environment(version) {
  const folder = join(root, ".cache", "engines", version ? `torch-${version}` : "torch");
  const python = join(folder, "bin", "python");
  if (!existsSync(python)) {
    mkdirSync(dirname(folder), { recursive: true });
    run(
      "python3 -m venv failed (Debian: sudo apt-get install python3-venv)",
      "python3",
      ["-m", "venv", folder],
      { code: unavailable },
    );
  }
  console.log(`test:engines: pip install torch${version ? ` ${version}` : ""} in ${folder}`);
  const wanted = version ? [`torch==${version}`] : ["--upgrade", "torch"];
  run("pip could not install torch; see above", python, ["-m", "pip", "install", "-q", ...wanted], {
    code: unavailable,
  });
  return python;
}

/** The folder of the package, without importing it. */
function torchFolder(python) {
  const code = `import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])`;
  const { stdout } = spawnSync(python, ["-c", code], { encoding: "utf8" });
  return stdout.trim();
}

/** Says so when the table of what was run where is behind. */
async function compareWithTable(env) {
  const { findLibTorch } = await import("../packages/torch/dist/libtorch.js");
  const { version } = findLibTorch(env);
  const release = version.split(".").slice(0, 2).join(".");
  const table = readFileSync(join(root, "docs", "engines.md"), "utf8");
  if (!table.includes(`| ${release} |`))
    console.log(
      `test:engines: LibTorch ${version} has no row in docs/engines.md yet: add what was seen`,
    );
}

const { tests } = JSON.parse(readFileSync(join(root, "scripts", "engines.json"), "utf8"));
const env = { ...process.env, LIBTORCH: torchFolder(environment(process.argv[2])) };
run("the bridge does not build; see above", process.execPath, ["packages/torch/dist/build.js"], {
  env,
});
await compareWithTable(env);
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
const { status } = spawnSync(process.execPath, [vitest, "run", ...tests], {
  cwd: root,
  env,
  stdio: "inherit",
});
process.exitCode = status ?? 1;
