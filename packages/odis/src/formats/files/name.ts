import { existsSync } from "node:fs";
import { ConfigError, show } from "../../core/index.js";
import type { Side } from "../format.js";

/** Which weights are meant: `dino.pth`, `ibot.pth#student`, `runs/first#backbone`. */
export interface WeightsSpec {
  /** a file, a folder of Hugging Face's, a checkpoint or a run of odis */
  readonly path: string;
  /** default: the teacher, or the only network that there is */
  readonly side: Side | undefined;
  /** `backbone`: heads are randomly initialised */
  readonly parts: "all" | "backbone";
  /** patches that its positions are laid out for, where the file does not say */
  readonly grid: { readonly rows: number; readonly columns: number } | undefined;
}

const wanted = "#teacher, #student, #backbone, #grid=ROWSxCOLUMNS, or several with dots between";

/** @throws ConfigError when what follows the # is none of the known words */
export function parseWeights(text: string): WeightsSpec {
  const at = text.lastIndexOf("#");
  if (at < 0 || existsSync(text))
    return { path: text, side: undefined, parts: "all", grid: undefined };
  const words =
    /^(?<side>student|teacher)?\.?(?<backbone>backbone)?\.?(?:grid=(?<rows>[1-9]\d{0,4})x(?<columns>[1-9]\d{0,4}))?$/.exec(
      text.slice(at + 1),
    )?.groups;
  if (!words || at === 0 || text.endsWith("#"))
    throw new ConfigError(
      `weights ${text}: got ${show(text.slice(at))} after the file; wanted ${wanted}`,
    );
  const { side, backbone, rows, columns } = words;
  return {
    path: text.slice(0, at),
    side: side as Side | undefined,
    parts: backbone === undefined ? "all" : "backbone",
    grid: rows === undefined ? undefined : { rows: Number(rows), columns: Number(columns) },
  };
}
