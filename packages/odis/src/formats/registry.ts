import { dino } from "./dino.js";
import type { FormatReader, FormatWriter, WritableFormat, WeightFormat } from "./format.js";
import { huggingFace } from "./hugging-face.js";
import { odis } from "./odis.js";
import { onnx } from "./onnx.js";
import { timm } from "./timm.js";
import { transformersJs } from "./transformers-js.js";

/** All formats. A name that two of them have means what the first one says. */
const formats = [odis, timm, dino, huggingFace, onnx, transformersJs] as const;

/** What `--format` takes. */
export type ExportFormat = Extract<(typeof formats)[number], WritableFormat>["name"];

export const readers: readonly FormatReader[] = formats.flatMap(
  ({ read }: WeightFormat) => read ?? [],
);

/** Whose files are read, in words. */
export const readTitles: readonly string[] = formats.flatMap(({ title, read }: WeightFormat) =>
  read ? [title] : [],
);

export const writableFormats: readonly WritableFormat<ExportFormat>[] = formats.filter(
  (format): format is Extract<(typeof formats)[number], WritableFormat> => "write" in format,
);

/** @returns undefined when there is no such format, or it cannot be written */
export function writerOf(name: string): FormatWriter | undefined {
  return writableFormats.find((format) => format.name === name)?.write;
}
