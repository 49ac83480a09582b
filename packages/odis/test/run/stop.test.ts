import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";

const script = new URL("./stop-loop.mjs", import.meta.url).pathname;

/** A child that stops when asked, after so many milliseconds of work. */
async function start(workMs: number, how = "holds") {
  const child = spawn(process.execPath, [script, String(workMs), how], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (text) => {
    output += String(text);
  });
  const says = async (text: string): Promise<void> => {
    while (!output.includes(text)) await once(child.stdout, "data");
  };
  await says("ready\n");
  return { child, says, output: () => output };
}
/** Its exit code, or the signal that ended it. */
async function ended(child: ChildProcess): Promise<unknown> {
  const [code, signal] = await once(child, "close");
  return code ?? signal;
}

describe("Stop", () => {
  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "lets the work in hand finish after %s",
    async (signal) => {
      const { child, output } = await start(50);
      child.kill(signal);
      expect(await ended(child)).toBe(0);
      expect(output()).toBe(`ready\nasked by ${signal}\nstopped by ${signal}\n`);
    },
  );

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "is ended by %s as anything is while it holds nothing",
    async (signal) => {
      const { child, output } = await start(50, "idle");
      child.kill(signal);
      expect(await ended(child)).toBe(signal);
      expect(output()).toBe("ready\n");
    },
  );

  it.each(["late", "ends"])(
    "is ended by a signal that came while nothing else could run, though the hold is over by then (%s)",
    async (how) => {
      const { child, output } = await start(500, how);
      child.kill("SIGTERM");
      expect(await ended(child)).toBe("SIGTERM");
      expect(output()).toBe("ready\n");
    },
  );

  it("hears a signal that came while nothing else could run when it holds again by then", async () => {
    const { child, output } = await start(500, "again");
    child.kill("SIGTERM");
    expect(await ended(child)).toBe(0);
    expect(output()).toBe("ready\nasked by SIGTERM\nstopped by SIGTERM\n");
  });

  it("takes a closed pipe for a wish", async () => {
    const { child, output } = await start(50, "talks");
    child.stderr.destroy();
    expect(await ended(child)).toBe(0);
    expect(output()).toBe("ready\nasked by SIGPIPE\nstopped by SIGPIPE\n");
  });

  it("ends at once when Ctrl-C comes again", async () => {
    const { child, says, output } = await start(60_000);
    child.kill("SIGINT");
    await says("asked by SIGINT");
    const again = setInterval(() => child.kill("SIGINT"), 50);
    expect(await ended(child)).toBe("SIGINT"); // 130, as shells count
    clearInterval(again);
    expect(output()).not.toContain("stopped");
  });

  it("takes one key press for one, also when npm passes it on a second time", async () => {
    const { child, output } = await start(400);
    child.kill("SIGINT");
    child.kill("SIGINT");
    expect(await ended(child)).toBe(0);
    expect(output().match(/asked/g)).toHaveLength(1);
  });

  it("does not let an impatient batch system cut off the checkpoint", async () => {
    const { child, says, output } = await start(600);
    child.kill("SIGTERM");
    await says("asked by SIGTERM");
    child.kill("SIGTERM");
    expect(await ended(child)).toBe(0);
    expect(output()).toBe("ready\nasked by SIGTERM\nstopped by SIGTERM\n");
  });
});
