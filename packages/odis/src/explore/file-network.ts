import { copyFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ConfigError, plain, reasonOf } from "../core/index.js";
import { imageNet } from "../model/index.js";
import { folderFiles, type NetworkFacts } from "../portable/index.js";
import { writeOnnx } from "../formats/index.js";
import type { Recipe } from "../recipe/index.js";
import type { Store } from "../search/index.js";
import { summaryToken } from "./answers.js";
import type { NewFolder } from "./new-folder.js";

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
  const { network, recipe, step } = store.network(); // refuses another one than the store's
  const told = asked(recipe);
  await writeOnnx(
    folder.file(folderFiles.network),
    { network, recipe, step, side: "teacher", precision: "float32" },
    { attention: told.attention !== null },
  );
  const bytes = folder.count(folderFiles.network);
  for (const [name, to] of Object.entries(runtimeFiles))
    copyFileSync(join(runtime, name), folder.file(to));
  folder.count(folderFiles.runtime.script);
  const wasm = folder.count(folderFiles.runtime.wasm);
  const { frame, size } = store.model;
  return { bytes, runtime: wasm, frame, size, ...imageNet, ...told };
}

/** How the exported network is asked for the vectors that `Teacher.features` gives. */
function asked({
  model: { patch, tokens, heads, depth },
  views,
  loss,
}: Recipe): Pick<NetworkFacts, "patch" | "output" | "several" | "attention"> {
  const hasObjects = tokens !== "cls";
  const token = hasObjects ? "object" : "cls";
  const isPooled = loss.objectFrom === "pooled";
  return {
    patch,
    output: isPooled ? "pooled" : token,
    // In a network of means a mask picks patches, and restricts nobody.
    attention: isPooled ? null : { token: summaryToken(tokens), heads, blocks: depth },
    several: hasObjects && views.object.count > 1,
  };
}

/** @throws ConfigError when it is not installed */
export function runtimeFolder(): string {
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
