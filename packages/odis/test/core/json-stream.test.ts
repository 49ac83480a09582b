import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataError } from "../../src/core/errors.js";
import { readJson } from "../../src/core/json.js";
import { readJsonLists, WHOLE } from "../../src/core/json-stream.js";
import { failure } from "../failure.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const file = () => join(scratch(), "a.json");

async function walk(text: string | Buffer, names: readonly string[] = ["a", "b", WHOLE]) {
  writeFileSync(file(), text);
  const lists: Record<string, unknown[]> = {};
  const handlers = Object.fromEntries(
    names.map((name) => [
      name,
      (entry: unknown, index: number) => {
        (lists[name] ??= []).push(entry);
        expect(lists[name]).toHaveLength(index + 1);
      },
    ]),
  );
  const rest = await readJsonLists(file(), "file", handlers);
  return { lists, rest };
}

const refusal = async (text: string | Buffer) =>
  (await failure(walk(text), DataError)).replaceAll(scratch(), "DATA");

describe("lists of a JSON file, entry by entry", () => {
  test("are what JSON.parse finds in them", async () => {
    const names = fc.constantFrom("a", "b", "c", "d", "é", '"', "\\", "a]", "{");
    const outer = fc.oneof(
      fc.array(fc.jsonValue({ depthSize: "small" })),
      fc.dictionary(
        names,
        fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue({ depthSize: "small" }))),
      ),
    );
    const spaces = fc.constantFrom(undefined, 1, "\t", "\r\n");
    await fc.assert(
      fc.asyncProperty(outer, spaces, async (value, space) => {
        const text = JSON.stringify(value, null, space);
        const parsed: unknown = JSON.parse(text); // -0 has become 0
        const { lists, rest } = await walk(text);
        if (Array.isArray(parsed)) {
          expect(lists[WHOLE] ?? []).toEqual(parsed);
          return;
        }
        for (const [name, inner] of Object.entries(parsed as object) as [string, unknown][]) {
          const isList = Array.isArray(inner);
          if (isList && (name === "a" || name === "b")) expect(lists[name] ?? []).toEqual(inner);
          else if (typeof inner === "object" && inner !== null)
            expect(rest.passed.get(name)).toBe(isList ? "list" : "object");
          else expect(rest.values.get(name)).toEqual(inner);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("a text is taken or refused as JSON.parse does, wherever it was cut or changed", async () => {
    const whole =
      '{"a": [{"x": [1, 2]}, "]", 3], "n": null, "c": {"d": []}, "b": [], "s": "t\\""} ';
    const change = fc.tuple(
      fc.nat(whole.length),
      fc.nat(3),
      fc.constantFrom("", ",", "[", "]", "{", "}", '"', ":", "1", " ", "\\"),
    );
    const skipped = /"c": \{.*?\}/; // what nobody wants is passed over, not parsed
    await fc.assert(
      fc.asyncProperty(change, async ([at, cut, put]) => {
        const text = whole.slice(0, at) + put + whole.slice(at + cut);
        if (!text.includes('"c": {"d": []}') && skipped.test(text)) return;
        let good = true;
        try {
          good = typeof JSON.parse(text) === "object";
        } catch {
          good = false;
        }
        const taken = await walk(text).then(
          () => true,
          (error: unknown) => {
            expect(error).toBeInstanceOf(DataError);
            return false;
          },
        );
        expect([text, taken]).toEqual([text, good]);
      }),
      { numRuns: 500 },
    );
  });

  test("entries may lie across the pieces in which a file is read", async () => {
    const entry = { text: "ü".repeat(3_000_000), numbers: [1, 2] };
    const { lists } = await walk(JSON.stringify({ a: [entry, entry], b: [1] }));
    expect(lists.a!.every((found) => JSON.stringify(found) === JSON.stringify(entry))).toBe(true);
    expect([lists.a!.length, lists.b]).toEqual([2, [1]]);
  });

  test("a byte order mark is no character of the text", async () => {
    const mark = Buffer.from([0xef, 0xbb, 0xbf]);
    const { lists } = await walk(Buffer.concat([mark, Buffer.from('{"a": [1]}')]));
    expect(lists.a).toEqual([1]);
    expect(await readJson(file(), "file")).toEqual({ a: [1] });
  });

  test("ids that a double cannot tell apart stay apart", async () => {
    const { lists } = await walk(
      '{"a": [{"id": 9007199254740993, "area": 1234567890123456.5}, {"id":9007199254740992,"n":"\\"id\\": 12345678901234567}"}]}',
    );
    expect(lists.a).toEqual([
      { id: "9007199254740993", area: 1234567890123456.5 },
      { id: "9007199254740992", n: '"id": 12345678901234567}' },
    ]);
  });
});

describe("what is no JSON, or too much of it, is refused with a sentence", () => {
  test.each([
    ["{", "file DATA/a.json is not JSON: it ends too early, after 1 characters"],
    ["", "file DATA/a.json is not JSON: it ends too early, after 0 characters"],
    ['{"a": [1, 2', "file DATA/a.json is not JSON: it ends too early, after 11 characters"],
    ['{"a": [\n  {"x": one}]}', 'file DATA/a.json is not JSON: unexpected "o" at line 2, column 9'],
    ['{"a": []}}', 'file DATA/a.json is not JSON: unexpected "}" at line 1, column 10'],
    ['{"a": [1,]}', 'file DATA/a.json is not JSON: unexpected "]" at line 1, column 10'],
    ['{"a": [1}', 'file DATA/a.json is not JSON: unexpected "}" at line 1, column 9'],
    ['{"a": [] "b": []}', 'file DATA/a.json is not JSON: unexpected "\\"" at line 1, column 10'],
    ["version https://git-lfs", 'file DATA/a.json is not JSON: unexpected "v" at line 1, column 1'],
    ["17", "file DATA/a.json is one value; wanted an object or a list"],
  ])("%j", async (text, message) => {
    expect(await refusal(text)).toBe(message);
  });

  test("UTF-16", async () => {
    expect(await refusal(Buffer.from('\ufeff{"a": []}', "utf16le"))).toBe(
      "file DATA/a.json is UTF-16 text; wanted UTF-8. Save it again with that encoding",
    );
  });

  test.each([
    ["5,000 levels in an id", `{"a": [{"id": ${"[".repeat(5000)}${"]".repeat(5000)}}]}`],
    ["fifty million brackets", "[".repeat(50_000_000)],
    ["fifty million objects", '{"a":'.repeat(10_000_000)],
  ])("deep: %s", async (_, text) => {
    const message =
      "file DATA/a.json has lists or objects in one another more than 100 levels deep";
    expect(await refusal(text)).toBe(message);
    expect((await failure(readJson(file(), "file"), DataError)).replace(scratch(), "DATA")).toBe(
      message,
    );
  });
});
