import { assert, double, property, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { axis } from "../../src/report/chart.js";
import { count, percent, signed, valueText } from "../../src/report/numbers.js";
import { Html, html } from "../../src/report/html.js";
import { lineChart } from "../../src/report/chart.js";
import { dotPlot } from "../../src/report/dots.js";
import { style } from "../../src/report/style.js";
import { modes } from "../../src/features/index.js";
import { outline } from "../../src/portable/index.js";
import { cells } from "../../src/report/pictures.js";

describe("html", () => {
  it("escapes all text from outside and keeps markup of its own", () => {
    const inner = html`<b>${"<i>&\"'"}</b>`;
    expect(html`<p title="${'" onload="x'}">${inner}${[1, undefined, false]}</p>`.markup).toBe(
      '<p title="&quot; onload=&quot;x"><b>&lt;i&gt;&amp;&quot;&#39;</b>1</p>',
    );
    expect(inner).toBeInstanceOf(Html);
  });

  it("never lets a bracket through", () => {
    assert(property(string(), (text) => !/[<>"']/.test(html`${text}`.markup)));
  });

  it("shows that there was a control character, and lets none turn the text", () => {
    expect(html`${"a\u0000b\u001b[31mc\u202egnp.exe\u2066"}`.markup).toBe(
      "a\ufffdb\ufffd[31mc\ufffdgnp.exe\ufffd",
    );
    expect(html`${"two\nlines\tand שלום"}`.markup).toBe("two\nlines\tand שלום");
  });
});

describe("axis", () => {
  const made = (...values: number[]) => axis(values, [0, 100]);

  it("ends on round numbers", () => {
    expect(made(0, 6.93).ticks).toEqual([0, 2, 4, 6, 8]);
    expect(made(0.11, 0.42).ticks.map(made(0.11, 0.42).text)).toEqual([
      "0.1",
      "0.2",
      "0.3",
      "0.4",
      "0.5",
    ]);
    expect(made(0, 0.001).text(0.0005)).toBe("5e−4");
    expect(made(0, 3e8).text(1e8)).toBe("1e8");
  });

  it("covers what it is asked to, in few steps", () => {
    const value = double({ min: -1e6, max: 1e6, noNaN: true });
    assert(
      property(value, value, (a, b) => {
        const { at, ticks } = made(a, b);
        const within = (x: number) => at(x) >= 0 && at(x) <= 100;
        return within(a) && within(b) && ticks.length >= 2 && ticks.length <= 9;
      }),
    );
  });

  it("never depends on numbers that nothing computes with", () => {
    assert(
      property(double(), double(), (a, b) => {
        const { at, ticks, text } = made(a, b);
        return ticks.length <= 9 && ticks.every((tick) => at(tick) >= 0 && !/NaN/.test(text(tick)));
      }),
    );
    expect(made(1e300, -Infinity, NaN, 4, 0).high).toBe(4);
  });
});

describe("numbers for reading", () => {
  it("have four digits, or are a power", () => {
    expect([1234.567, 0.25, 0.00012345, -3e8, 0].map(valueText)).toEqual([
      "1,235",
      "0.25",
      "1.23e−4",
      "−3e8",
      "0",
    ]);
    expect([NaN, Infinity].map(valueText)).toEqual(["–", "–"]);
  });

  it("are per cent, points and counts", () => {
    expect([0.7349, -0.012, -0.0001, NaN].map(percent)).toEqual(["73.5", "−1.2", "0.0", "–"]);
    expect([0.0321, -0.05, 0, -0.0001, 0.0001].map(signed)).toEqual([
      "+3.2",
      "−5.0",
      "0.0",
      "0.0",
      "0.0",
    ]);
    expect(count(1234567)).toBe("1,234,567");
  });
});

describe("lineChart", () => {
  const chart = { title: "T", note: "n", steps: [0, 1, 2] };

  it("draws nothing without a number", () => {
    const series = [{ name: "s", values: [NaN, NaN, NaN] }];
    expect(lineChart({ ...chart, series }).markup).toBe("");
  });

  it("says where a curve starts and ends, and skips what is missing", () => {
    const series = [{ name: "s", values: [4, NaN, 2] }];
    const { markup } = lineChart({ ...chart, series });
    expect(markup).toContain('aria-label="T: s from 4 to 2"');
    expect(markup).not.toContain("NaN,");
    expect(markup).not.toMatch(/="[^"]*(NaN|Infinity)/);
  });

  it("leaves out what is too large to draw", () => {
    const series = [{ name: "s", values: [1e300, 2, -1e308] }];
    const { markup } = lineChart({ ...chart, series });
    expect(markup).toContain('aria-label="T: s from 2 to 2"');
    expect(markup).not.toMatch(/="[^"]*(NaN|Infinity)/);
    const nothing = [{ name: "s", values: [1e300, Infinity, NaN] }];
    expect(lineChart({ ...chart, series: nothing }).markup).toBe("");
  });

  it("stays small for long runs", () => {
    const steps = Array.from({ length: 50_000 }, (_, i) => i);
    const series = [{ name: "s", values: steps.map((step) => Math.sin(step)) }];
    expect(lineChart({ ...chart, steps, series }).markup.length).toBeLessThan(40_000);
  });
});

describe("dotPlot", () => {
  it("holds what is below 0 on its axis, and marks 0", () => {
    const rows = [{ name: "r", cells: [{ value: -0.4, low: -0.6, high: -0.2 }] }];
    const { markup } = dotPlot({ title: "T", note: "n", rows, series: ["s"], text: percent });
    const [start] = /<line class="interval" x1="([\d.]+)"/.exec(markup)!.slice(1).map(Number);
    expect(start).toBeGreaterThanOrEqual(122); // right of the names
    expect(markup).toContain('<g class="reference"><line x1="346"');
    expect(markup).toContain("<title>r: −40.0 [−60.0, −20.0]</title>");
  });

  it("has a shape and a colour of its own for every way to ask a network", () => {
    const rows = [{ name: "r", cells: modes.map(() => ({ value: 0.5, low: 0.4, high: 0.6 })) }];
    const { markup } = dotPlot({ title: "T", note: "n", rows, series: modes, text: percent });
    const [, legend = ""] = markup.split('<ul class="legend">');
    expect(new Set(legend.match(/ d="[^"]+"/g)).size).toBe(modes.length);
    const colours = modes.map((_, at) => style.match(new RegExp(`--c${at}: (#\\w+);`, "g")));
    for (const [at, both] of colours.entries()) {
      expect(both).toHaveLength(2); // in the light and in the dark
      expect(style).toContain(`.c${at} { --c: var(--c${at}); }`);
    }
  });

  it("draws a dot without an interval, and nothing for what is no number", () => {
    const cells = [{ value: 0.5, low: NaN, high: NaN }, { value: NaN, low: 0, high: 1 }, undefined];
    const rows = [{ name: "r", cells }];
    const { markup } = dotPlot({
      title: "T",
      note: "n",
      rows,
      series: ["a", "b", "c"],
      text: percent,
    });
    expect(markup.match(/class="dot"/g)).toHaveLength(1 + 3); // and three in the legend
    expect(markup).not.toMatch(/class="interval"|="[^"]*NaN/);
  });
});

describe("patches as paths", () => {
  it("outlines a region once round", () => {
    const corner = [1, 0, 0, 0];
    expect(outline(corner, 2, 2, 8).match(/M/g)).toHaveLength(4);
    expect(outline([1, 1, 1, 1], 2, 2, 8)).toBe("M0,0h16M0,16h16M0,0v16M16,0v16");
    expect(outline([1, 0, 1], 3, 1, 2).match(/M/g)).toHaveLength(8); // what does not touch stays apart
    expect(outline([0, 0, 0, 0], 2, 2, 8)).toBe("");
  });

  it("fills each cell of a region", () => {
    expect(cells([0, 1, 0, 0], 2, 8)).toBe("M8,0h8v8h-8z");
  });
});
