import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { duration, Progress } from "../../src/run/progress.js";
import type { MetricsRow } from "../../src/train/loop.js";

function row(step: number, time: number, more: Partial<MetricsRow> = {}): MetricsRow {
  return {
    step,
    epoch: 0,
    time,
    imagesPerSecond: 32,
    dataWait: 0.25,
    loss: 5.5,
    cls: 0,
    object: 3.25,
    patch: 2.25,
    koleo: 0,
    teacherEntropy: 4.2,
    marginalEntropy: 5,
    kl: 0.125,
    similarityImages: 0.5,
    similarityViews: 0.75,
    similarityObjects: undefined,
    gradNorm: 1,
    lr: 0.001,
    weightDecay: 0.04,
    teacherMomentum: 0.996,
    teacherTemperature: 0.04,
    patchTemperature: 0.04,
    absent: 0.03,
    tries: [1.25, 2],
    ...more,
  };
}

function stream(options: { isTTY?: boolean; columns?: number } = {}) {
  const written: string[] = [];
  return { ...options, written, write: (text: string) => written.push(text) };
}

describe("Progress off a terminal", () => {
  it("writes a plain line at the start, every so many seconds, and at the end", () => {
    const out = stream();
    const progress = new Progress(out, { totalSteps: 100, everySeconds: 10 });
    for (let step = 0; step < 100; step += 1) progress.step(row(step, 2 * step));
    progress.end();
    expect(out.written.map((line) => /^step (\d+)\/100 .*\n$/.exec(line)?.[1])).toEqual(
      Array.from({ length: 20 }, (_, index) => `${1 + 5 * index}`).concat("100"),
    );
    const text = out.written.join("");
    expect(stripVTControlCharacters(text)).toBe(text);
    expect(text).not.toContain("\r");
  });

  it("says everything that a run is judged by", () => {
    const out = stream();
    const progress = new Progress(out, { totalSteps: 100, everySeconds: 0 });
    progress.step(row(0, 9, { imagesPerSecond: 7 }));
    progress.step(row(1, 11, { koleo: 0.5, dataWait: 0.19 }));
    expect(out.written).toEqual([
      "step 1/100  loss 5.500  7.00 images/s  data wait 25 % (workers)  epoch 0  object 3.250  patch 2.250  " +
        "KL 0.125  teacher entropy 4.20  absent 3 %  tries 1.3/2.0\n",
      "step 2/100  loss 5.500  32.0 images/s  3 min 16 s left  data wait 19 %  epoch 0  object 3.250  " +
        "patch 2.250  koleo 0.500  KL 0.125  teacher entropy 4.20  absent 3 %  tries 1.3/2.0\n",
    ]);
  });

  it("says when threads wait for cores, which it asks for every two seconds of training", () => {
    const out = stream();
    const shares = [undefined, 0.04, 0.37];
    let asked = 0;
    const coreWait = () => shares[asked++];
    const progress = new Progress(out, { totalSteps: 100, everySeconds: 0, coreWait });
    for (let step = 0; step < 5; step += 1) progress.step(row(step, 1 + step));
    expect(asked).toBe(3);
    expect(out.written.map((line) => /core wait [^ ]+ %/.exec(line)?.[0])).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      "core wait 37 %",
    ]);
  });

  it("does not let the slow first step spoil the time left", () => {
    const out = stream();
    const progress = new Progress(out, { totalSteps: 12, everySeconds: 0 });
    progress.step(row(0, 1000));
    progress.step(row(1, 1001));
    progress.step(row(2, 1002));
    expect(out.written[2]).toContain("9 s left");
  });
});

describe("Progress on a terminal", () => {
  it("rewrites one line within the terminal's width, and keeps notes above it", () => {
    const out = stream({ isTTY: true, columns: 70 });
    const progress = new Progress(out, { totalSteps: 4 });
    progress.step(row(0, 1));
    progress.note("checkpoint step-00000001");
    progress.step(row(1, 2));
    progress.end();
    progress.end();
    const text = out.written.join("");
    expect(out.written[0]?.startsWith("\r")).toBe(true);
    expect(text).toContain("\r\u001b[Kcheckpoint step-00000001\n");
    expect(text.match(/\n/g)).toHaveLength(2);
    for (const part of out.written) {
      // Colours and the order to clear the line take no room on the screen.
      const shown = stripVTControlCharacters(part).replaceAll(/[\r\n]/g, "");
      expect(shown.length).toBeLessThan(70);
    }
  });
});

describe("what a terminal has room for", () => {
  /** The line of a long run far on, without its bar. */
  function shown(columns: number | undefined): string {
    const out = stream({ isTTY: true, ...(columns === undefined ? {} : { columns }) });
    const progress = new Progress(out, { totalSteps: 125_000 });
    progress.step(row(99_998, 200_000, { dataWait: 0.1 }));
    progress.step(
      row(99_999, 204_000, { imagesPerSecond: 0.016, loss: 11.25, epoch: 512, dataWait: 0.1 }),
    );
    const line = stripVTControlCharacters(out.written.at(-1)!).replaceAll(/[\r\n]/g, "");
    expect(line.length).toBeLessThan(columns || 80);
    return line.replace(/^[█░]+ /, "");
  }

  it.each([
    [
      200,
      "step 100000/125000  loss 11.250  0.0160 images/s  1157 d 9 h left  data wait 10 %  epoch 512  object 3.250  patch 2.250  KL 0.125  teacher entropy 4.20  absent 3 %  tries 1.3/2.0",
    ],
    [
      120,
      "step 100000/125000  loss 11.250  0.0160 images/s  1157 d 9 h left  data wait 10 %  epoch 512",
    ],
    [80, "step 100000/125000  loss 11.250  0.0160 images/s  1157 d 9 h left"],
    [40, "step 100000/125000  loss 11.250"],
    [0, "step 100000/125000  loss 11.250  0.0160 images/s  1157 d 9 h left"],
    [undefined, "step 100000/125000  loss 11.250  0.0160 images/s  1157 d 9 h left"],
  ])("%s columns: whole parts, the most important first", (columns, line) => {
    expect(shown(columns)).toBe(line);
  });
});

describe("duration", () => {
  it.each([
    [0, "0 s"],
    [59.6, "1 min 0 s"],
    [65, "1 min 5 s"],
    [3725, "1 h 2 min"],
    [200_000, "2 d 7 h"],
    [-1, "0 s"],
  ])("%d seconds is %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });
});
