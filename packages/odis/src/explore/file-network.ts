import { copyFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ConfigError, plain, reasonOf, statOf } from "../core/index.js";
import { imageNet } from "../model/index.js";
import { folderFiles, type NetworkFacts } from "../portable/index.js";
import { exportRun, loadTeacher } from "../run/index.js";
import type { Store } from "../search/index.js";
import type { NewFolder } from "./files.js";

/** The release of the runtime that the page is tried with. */
const RUNTIME = "onnxruntime-web@1.30.0";

/** Files of that package -> files of a library. */
const runtimeFiles = {
  "ort.wasm.bundle.min.mjs": folderFiles.runtime.script,
  "ort-wasm-simd-threaded.wasm": folderFiles.runtime.wasm,
} as const;

/**
 * Writes the network that made a store, and what runs it in browsers.
 *
 * @throws RunError when the network is gone, or is another one by now; ConfigError when it is too large
 *   for a file of ONNX, or the runtime is not installed
 */
export async function writeNetwork(store: Store, folder: NewFolder): Promise<NetworkFacts> {
  const runtime = runtimeFolder();
  store.network(); // refuses another one than the store's
  const { from } = store;
  const out = folder.file(folderFiles.network);
  await exportRun(from, { out, format: "onnx" });
  const bytes = statOf(out)!.size;
  folder.count(bytes);
  for (const [name, to] of Object.entries(runtimeFiles)) {
    copyFileSync(join(runtime, name), folder.file(to));
    folder.count(statOf(join(runtime, name))!.size);
  }
  const { frame, size } = store.model;
  return { bytes, frame, size, ...imageNet, ...asked(from) };
}

/** How the exported network is asked for the vectors that `Teacher.features` gives. */
function asked(from: string): Pick<NetworkFacts, "patch" | "output" | "several"> {
  const { network, recipe } = loadTeacher(from);
  try {
    const { layout, config } = network.backbone;
    const token = layout.objects > 0 ? "object" : "cls";
    return {
      patch: config.patch,
      output: recipe.loss.objectFrom === "pooled" ? "pooled" : token,
      several: layout.objects > 1,
    };
  } finally {
    network.free();
  }
}

function runtimeFolder(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  } catch (cause) {
    throw new ConfigError(
      `the page needs onnxruntime-web to run the network in browsers, which is not installed ` +
        `(${plain(reasonOf(cause)).split("\n")[0]}): npm install --save-exact ${RUNTIME}, or give --browse-only`,
      undefined,
      { cause },
    );
  }
}
