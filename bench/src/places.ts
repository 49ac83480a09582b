import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A file by its path from the folder of the built bench. */
export const local = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Six photographs of COCO: images/ and instances.json. */
export const photographs = local("../../packages/odis/test/fixtures/coco-6");

/** Photographs in ImageNet's training set. */
export const imageNet = 1_281_167;

/** The Python of peers that need more than Debian has: PYTHON, that of `npm run bench:venv`, or the system's. */
export function peerPython(): string {
  const venv = local("../.venv/bin/python");
  return process.env["PYTHON"] ?? (existsSync(venv) ? venv : "/usr/bin/python3");
}
