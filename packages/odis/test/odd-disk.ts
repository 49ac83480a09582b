import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let built: string | undefined;

/** Environment of a process whose file system is as poor as `odd-disk.c` can make it. */
export function onOddDisk(how: {
  /** error number that `link` gives */
  readonly link?: number;
  /** error number that `fsync` of a folder gives */
  readonly syncFolder?: number;
  /** reads of files with this in their path take a minute */
  readonly slow?: string;
}): NodeJS.ProcessEnv {
  built ??= build();
  return {
    LD_PRELOAD: built,
    ...(how.link === undefined ? {} : { ODD_LINK: String(how.link) }),
    ...(how.syncFolder === undefined ? {} : { ODD_SYNC_FOLDER: String(how.syncFolder) }),
    ...(how.slow === undefined ? {} : { ODD_SLOW: how.slow }),
  };
}

function build(): string {
  const library = join(mkdtempSync(join(tmpdir(), "odis-odd-disk-")), "odd-disk.so");
  const source = new URL("./odd-disk.c", import.meta.url).pathname;
  // The compiler that builds the bridge; it is there.
  execFileSync("g++", ["-x", "c", "-shared", "-fPIC", "-o", library, source, "-ldl"]);
  return library;
}
