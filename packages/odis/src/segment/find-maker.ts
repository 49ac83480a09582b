import { ConfigError, nearest, optionName, plain } from "../core/index.js";
import type { Maker, MakerOptions, MakerSpec } from "./maker.js";
import { makers } from "./registry.js";

/** @throws ConfigError when no maker is meant, or one that does not read what was set */
export function findMaker({ text, options }: MakerSpec): { maker: Maker; place: string } {
  for (const maker of makers) {
    const place = maker.parse(text);
    if (place === undefined) continue;
    const set = Object.entries(options).filter(([, value]) => value !== undefined);
    const foreign = set.find(([name]) => !maker.reads.includes(name as keyof MakerOptions));
    if (!foreign) return { maker, place };
    throw new ConfigError(
      `${optionName(foreign[0])}: ${maker.name} has no such setting; it reads ` +
        (maker.reads.map(optionName).join(", ") || "none"),
    );
  }
  const names = makers.map(({ name }) => name);
  const close = nearest(text, names);
  throw new ConfigError(
    `--with ${plain(text)}: no maker of masks is called that; wanted one of ` +
      `${makers.map(({ places }) => places).join(", ")}${close === undefined ? "" : `. Did you mean ${close}?`}`,
  );
}
