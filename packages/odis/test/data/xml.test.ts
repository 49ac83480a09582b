import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataError } from "../../src/core/errors.js";
import { elements, numberOf, parseXml, textOf } from "../../src/data/xml.js";
import { failure } from "../failure.js";

const parse = (text: string) => parseXml(Buffer.from(text), "file a.xml");

describe("XML", () => {
  test("one child and several read alike; attributes, entities, comments, CDATA", async () => {
    const root = await parse(
      `\ufeff<?xml version="1.0"?><!-- note --><a><b id="7"> x &amp; &#233; </b><c>1e2</c><c><![CDATA[<]]></c><d/></a>`,
    );
    const [a] = elements(root, "a");
    const [b] = elements(a!, "b");
    expect([textOf(a!, "b"), numberOf(b!, "@id"), numberOf(a!, "c")]).toEqual(["x & é", 7, 100]);
    expect([a!.c, textOf(a!, "d"), textOf(a!, "e")]).toEqual([["1e2", "<"], "", undefined]);
    expect(() => numberOf(a!, "d")).toThrow(new DataError('<d> is ""; wanted a number'));
    expect(() => numberOf(b!, "@x")).toThrow(
      new DataError("the attribute x is missing; wanted a number"),
    );
  });

  test.each([
    ["<a><b></a>", /^file a\.xml is not XML: .*line 1, column/],
    ["", /^file a\.xml is not XML: /],
    ["no", /^file a\.xml is not XML: /],
    [
      `<a>${"<b>".repeat(5000)}${"</b>".repeat(5000)}</a>`,
      /^file a\.xml has elements in one another more than 100 levels deep$/,
    ],
    [
      "<a>".repeat(3_000_000),
      /^file a\.xml has elements in one another more than 100 levels deep$/,
    ],
  ])("%#: what is none is refused", async (text, message) => {
    expect(await failure(parse(text), DataError)).toMatch(message);
  });

  test("entities that swell are refused or stay as they are", async () => {
    const levels = Array.from(
      { length: 9 },
      (_, at) => `<!ENTITY e${at + 1} "${`&e${at};`.repeat(10)}">`,
    );
    const bomb = `<!DOCTYPE a [<!ENTITY e0 "ha">${levels.join("")}]><a>&e9;</a>`;
    const text = await parse(bomb).then(
      (root) => JSON.stringify(root),
      (error: unknown) => {
        expect(error).toBeInstanceOf(DataError);
        return "";
      },
    );
    expect(text.length).toBeLessThan(10_000);
  });

  test("any text gives a tree or a sentence", async () => {
    const pieces = fc.constantFrom(
      "<a>",
      "</a>",
      "<b x='1'>",
      "</b>",
      "&amp;",
      "&x;",
      "<!--",
      "-->",
      "<",
      ">",
      "<![CDATA[",
      "]]>",
      "<?p",
      "?>",
      "<!DOCTYPE a [",
      "t",
      "__proto__",
      "<__proto__>",
      "</__proto__>",
      "<constructor/>",
      '"',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.array(pieces).map((found) => found.join("")),
          fc.string(),
        ),
        async (text) => {
          const error: unknown = await parse(text).then(
            () => undefined,
            (reason: unknown) => reason,
          );
          if (error !== undefined) expect(error).toBeInstanceOf(DataError);
        },
      ),
      { numRuns: 500 },
    );
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });
});
