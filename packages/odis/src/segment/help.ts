import { optionName } from "../core/index.js";
import { adapters } from "./onnx/registry.js";
import { makers } from "./registry.js";

/** What stands behind `--with` and `--adapter`, for help. */
export function makersHelp(): string {
  const known = makers.map(
    ({ places, about, reads }) => `  ${places}\n      ${about}${readsText(reads)}`,
  );
  const kinds = adapters.map(({ name, about, defaults }) => {
    const values = Object.entries(defaults).map(([key, value]) => `${optionName(key)} ${value}`);
    return `  ${name.padEnd(12)} ${about}${values.length > 0 ? ` (${values.join(", ")})` : ""}`;
  });
  return `Makers of masks, --with MAKER:\n${known.join("\n")}\n\nKinds of networks in ONNX files, --adapter NAME where the file does not tell:\n${kinds.join("\n")}`;
}

const readsText = (reads: readonly string[]): string =>
  reads.length > 0 ? `\n      reads ${reads.map(optionName).join(", ")}` : "";
