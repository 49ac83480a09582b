import { assert, double, property, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { axis, place, tickText, valueText } from "../../src/report/chart.js";
import { Html, html } from "../../src/report/html.js";
import { lineChart } from "../../src/report/chart.js";
import { cells, outline } from "../../src/report/pictures.js";

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
});

describe("axis", () => {
  it("ends on round numbers", () => {
    expect(axis(0, 6.93).ticks).toEqual([0, 2, 4, 6, 8]);
    expect(axis(0.11, 0.42).ticks.map((tick) => tickText(tick, axis(0.11, 0.42)))).toEqual([
      "0.1",
      "0.2",
      "0.3",
      "0.4",
      "0.5",
    ]);
    expect(tickText(0.0005, axis(0, 0.001))).toBe("5e−4");
    expect(valueText(1234.567)).toBe("1,235");
  });

  it("covers what it is asked to, in few steps", () => {
    const value = double({ min: -1e6, max: 1e6, noNaN: true });
    assert(
      property(value, value, (a, b) => {
        const made = axis(Math.min(a, b), Math.max(a, b));
        const within = (x: number) => place(x, made) > -1e-6 && place(x, made) < 1 + 1e-6;
        return within(a) && within(b) && made.ticks.length >= 2 && made.ticks.length <= 8;
      }),
    );
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

  it("stays small for long runs", () => {
    const steps = Array.from({ length: 50_000 }, (_, i) => i);
    const series = [{ name: "s", values: steps.map((step) => Math.sin(step)) }];
    expect(lineChart({ ...chart, steps, series }).markup.length).toBeLessThan(40_000);
  });
});

describe("patches as paths", () => {
  it("outlines a region once round", () => {
    const corner = [1, 0, 0, 0];
    expect(outline(corner, 2, 2, 8).match(/M/g)).toHaveLength(4);
    expect(outline([1, 1, 1, 1], 2, 2, 8).match(/M/g)).toHaveLength(8);
    expect(outline([0, 0, 0, 0], 2, 2, 8)).toBe("");
  });

  it("fills each cell of a region", () => {
    expect(cells([0, 1, 0, 0], 2, 8)).toBe("M8,0h8v8h-8z");
  });
});
