import { existsSync } from "node:fs";
import { dirname } from "node:path";
import {
  checkReplaceable,
  checkWritable,
  ConfigError,
  makeFolder,
  nearest,
  plain,
  RunError,
} from "../core/index.js";
import {
  type ExportFormat,
  type FormatWriter,
  type Side,
  writableFormats,
  writerOf,
} from "../formats/index.js";
import { loadNetwork } from "./load.js";

export interface ExportOptions {
  /** a new file, or a new folder, as the format has it */
  readonly out: string;
  /** default: the one that the file's name means, such as `.onnx` */
  readonly format?: ExportFormat | undefined;
  /** default `teacher` */
  readonly side?: Side;
  /** weights as float16; default float32 */
  readonly half?: boolean;
}

/** What was written. */
export interface Exported {
  readonly files: readonly string[];
  /** which token became `cls_token`, and other things to know */
  readonly notes: readonly string[];
}

/**
 * Writes a run's network for other programs.
 *
 * @param run run folder (its newest whole checkpoint is taken) or one checkpoint
 * @throws RunError when there is none, or `out` exists or cannot be made; ConfigError when the
 *   format has no place for all parts of the network
 */
export async function exportRun(
  run: string,
  { out, format, side = "teacher", half = false }: ExportOptions,
): Promise<Exported> {
  const writer = chosenWriter(out, format);
  if (existsSync(out)) throw new RunError(`${plain(out)} exists; wanted a new ${writer.makes}`);
  if (writer.makes === "folder") checkWritable(out, "folder", "Choose another one.");
  else checkReplaceable(out);
  const { network, recipe, step } = loadNetwork(run, side);
  try {
    makeFolder(dirname(out));
    const exported = {
      network,
      recipe,
      step,
      side,
      precision: half ? "float16" : "float32",
    } as const;
    return { files: await writer.write(out, exported), notes: writer.notes(exported) };
  } finally {
    network.free();
  }
}

function chosenWriter(out: string, format: ExportFormat | undefined): FormatWriter {
  const writer =
    format === undefined
      ? writableFormats.find(({ write: { extension } }) => extension && out.endsWith(extension))
          ?.write
      : writerOf(format);
  if (writer) return writer;
  const names = writableFormats.map(({ name }) => name);
  const close = format === undefined ? undefined : nearest(format, names);
  throw new ConfigError(
    `${format === undefined ? `${plain(out)}: the name does not tell the format` : `format: got ${plain(format)}`}; ` +
      `wanted --format with one of ${names.join(", ")}${close === undefined ? "" : `. Did you mean ${close}?`}`,
  );
}
