import { readdirSync, readFileSync } from "node:fs";

/** A module of the page. */
export interface PageScript {
  /** from the page, e.g. `explorer/main.js` */
  readonly path: string;
  readonly text: string;
}

/** The folders that the page's modules are compiled into; they import each other by these names. */
const folders = ["explorer", "portable"] as const;

/** The page's modules, read once: what is asked for later is never a file's name. */
export function pageScripts(): readonly PageScript[] {
  return folders.flatMap((folder) => {
    const from = new URL(`../../dist/${folder}/`, import.meta.url);
    return readdirSync(from)
      .filter((name) => name.endsWith(".js"))
      .map((name) => ({
        path: `${folder}/${name}`,
        // A browser's tools would ask for files that are not there.
        text: readFileSync(new URL(name, from), "utf8").replace(/^\/\/# sourceMappingURL=.*$/m, ""),
      }));
  });
}
