import { ConfigError, show } from "../core/index.js";
import type { DataSpec } from "./dataset.js";

/** @throws ConfigError when a setting that a kind of data needs is no text */
export function textOf(spec: DataSpec, name: string): string {
  const value = spec[name];
  if (typeof value === "string" && value !== "") return value;
  throw new ConfigError(
    `data of the kind ${spec.kind}: ${JSON.stringify(name)} is ${show(value)}; wanted the name of a file or folder`,
  );
}

/** A setting that is a text, if it is there. */
export function optionalText(spec: DataSpec, name: string): string | undefined {
  return spec[name] === undefined ? undefined : textOf(spec, name);
}
