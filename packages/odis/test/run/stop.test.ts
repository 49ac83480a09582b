import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";

const script = new URL("./stop-loop.mjs", import.meta.url).pathname;

/** A child that stops when asked, after so many milliseconds of work. */
async function start(workMs: number) {
  const child = spawn(process.execPath, [script, String(workMs)], {
    stdio: ["ignore", "pipe", "inherit"],
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
async function ended(child: ChildProcess): Promise<unknown> {
  const [code] = await once(child, "close");
  return code;
}

describe("Stop", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "lets the work in hand finish after %s",
    async (signal) => {
      const { child, output } = await start(50);
      child.kill(signal);
      expect(await ended(child)).toBe(0);
      expect(output()).toBe(`ready\nasked by ${signal}\nstopped by ${signal}\n`);
    },
  );

  it("ends at once with 130 when Ctrl-C comes again", async () => {
    const { child, says, output } = await start(60_000);
    child.kill("SIGINT");
    await says("asked by SIGINT");
    const again = setInterval(() => child.kill("SIGINT"), 50);
    expect(await ended(child)).toBe(130);
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
