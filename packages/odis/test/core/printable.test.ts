import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { printable } from "../../src/core/text.js";

describe("printable", () => {
  it("leaves lines, tabs, colours and rewritten lines alone", () => {
    for (const text of [
      "a\tb\nc",
      "\u001b[36m███\u001b[39m step 1/2",
      "\r\u001b[36m█\u001b[39m step 1/2\u001b[K",
      "Grüße, 犬 🐕, C:\\\\photos",
    ])
      expect(printable(text)).toBe(text);
  });

  it.each([
    ["clears the screen", "a\u001b[2Jb", String.raw`a\u001b[2Jb`],
    ["sets the window's title", "\u001b]0;x\u0007", String.raw`\u001b]0;x\u0007`],
    [
      "goes back over what was said",
      "wrong.png\rall is well",
      String.raw`wrong.png\u000dall is well`,
    ],
    ["hides", "photo\u202egpj.exe", String.raw`photo\u202egpj.exe`],
    ["is half a character", "a\ud800", String.raw`a\ud800`],
    ["is a control character of eight bits", "a\u009b2Jb", String.raw`a\u009b2Jb`],
  ])("spells out what %s", (_, text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it("leaves nothing that steers a terminal but that, whatever the text", () => {
    const letters = fc.constantFrom(
      "\u001b",
      "[",
      "2",
      "J",
      "K",
      "m",
      ";",
      "\r",
      "\n",
      "\u009b",
      "x",
      "\u200f",
    );
    fc.assert(
      fc.property(fc.string({ unit: letters, maxLength: 20 }), (text) => {
        const shown = printable(text);
        // oxlint-disable-next-line eslint/no-control-regex -- these are what it is about
        const rest = shown.replace(/^\r/, "").replaceAll(/\u001b\[[0-9;]*m|\u001b\[K|[\n\t]/g, "");
        expect(rest).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
        expect(printable(shown)).toBe(shown);
      }),
    );
  });
});
