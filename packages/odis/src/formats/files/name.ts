import { existsSync } from "node:fs";
import { ConfigError } from "../../core/index.js";
import type { Side } from "../format.js";

/** Which weights are meant: `dino.pth`, `ibot.pth#student`, `runs/first#backbone`. */
export interface WeightsSpec {
  /** a file, a folder of Hugging Face's, a checkpoint or a run of odis */
  readonly path: string;
  /** default: the teacher, or the only network that there is */
  readonly side: Side | undefined;
  /** `backbone`: heads are randomly initialised */
  readonly parts: "all" | "backbone";
}

/** @throws ConfigError when what follows the # is none of the known words */
export function parseWeights(text: string): WeightsSpec {
  const at = text.lastIndexOf("#");
  if (at < 0 || existsSync(text)) return { path: text, side: undefined, parts: "all" };
  const words = /^(student|teacher)?\.?(backbone)?$/.exec(text.slice(at + 1));
  if (!words || at === 0 || text.endsWith("#"))
    throw new ConfigError(
      `weights ${text}: got ${JSON.stringify(text.slice(at))} after the file; wanted #teacher, #student, ` +
        `#backbone, #teacher.backbone or #student.backbone`,
    );
  return {
    path: text.slice(0, at),
    side: words[1] as Side | undefined,
    parts: words[2] === undefined ? "all" : "backbone",
  };
}
