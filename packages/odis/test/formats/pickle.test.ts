import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PickleProblem, readPickle } from "../../src/formats/files/pickle.js";
import { torchWorld } from "../../src/formats/files/torch-world.js";
import { ZipArchive } from "../../src/formats/files/zip.js";
import { fixture } from "./fixture.js";

const program = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"));
const read = (text: string) => readPickle(program(text), torchWorld);

const storage =
  "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ";
const tensorOf = (view: string): string =>
  `ctorch._utils\n_rebuild_tensor_v2\n(${storage}${view}\x89ccollections\nOrderedDict\n)RtR.`;

describe("the pickle machine", () => {
  it("understands what Python's pickle module writes, protocols 2 to 4", () => {
    // pickle.dumps({"a": [1, -2, 2**40], "b": (None, True), 3: b"x"}, 4)
    const four =
      "\x80\x04\x95\x2a\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01e\x8c\x01b\x94N\x88\x86\x94K\x03C\x01x\x94u.";
    expect(read(four)).toEqual(
      new Map<unknown, unknown>([
        ["a", [1, -2, 2 ** 40]],
        ["b", [null, true]],
        [3, Uint8Array.of(120)],
      ]),
    );
  });

  it("keeps integers beyond 2^53 exact", () => {
    expect(read("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x40.")).toBe(2n ** 70n);
    expect(read("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.")).toBe(-(2n ** 63n));
  });

  it.each([
    ["an unknown global", "cos\nsystem\n.", "its top level holds os.system"],
    ["the same by stack", "\x8c\x02os\x8c\x06system\x93.", "its top level holds os.system"],
    ["a torch function", "ctorch.hub\nload\n.", "its top level holds torch.hub.load"],
    ["a name that is no text", "]]\x93.", "byte 3: a list at its top level, where a name belongs"],
    ["INST", "(S'x'\nios\nsystem\n.", "byte 1: instruction 0x53 is not one of plain data"],
    ["a call of data", "K\x01)R.", "byte 4: a number at its top level, where something to call"],
    ["a call of a type", "ctorch\nFloatStorage\n)R.", "torch.FloatStorage at its top level"],
    ["an empty stack", "0.", "byte 1: nothing is on the stack"],
    ["no mark", "t.", "byte 1: nothing was marked"],
    ["a memo that is not there", "h\x05.", "byte 2: nothing is noted as 5"],
    ["a key without a value", "}(K\x01u.", "byte 5: a key without a value"],
    ["an end", "}q", "it ends at byte 2, in the middle of something that goes to byte 3"],
    ["a text beyond the end", "X\xff\xff\xff\x7fab", "in the middle of something"],
    ["a giant integer", "\x8b\x00\x00\x00\x10", "an integer of 268435456 bytes"],
    ["a reference to nothing", "NQ.", "a reference to something that is not a storage"],
    [
      "a view beyond its storage",
      tensorOf("K\x00K\x05\x85K\x01\x85"),
      "in a storage of 4 elements",
    ],
    ["a giant view", tensorOf("K\x00J\xff\xff\xff\x7f\x85K\x00\x85"), "in a storage of 4 elements"],
    ["a negative stride", tensorOf("K\x03K\x02\x85J\xff\xff\xff\xff\x85"), "a tensor without"],
    ["strides of another rank", tensorOf("K\x00K\x02\x85)"), "strides [] from element 0"],
  ])("refuses %s", (_, text, message) => {
    expect(() => read(text)).toThrow(PickleProblem);
    expect(() => read(text)).toThrow(message);
  });

  /** Only a refusal may come out of a program that means nothing. */
  function survives(bytes: Uint8Array): void {
    try {
      readPickle(bytes, torchWorld);
    } catch (error) {
      if (!(error instanceof PickleProblem)) throw error;
    }
  }

  it("survives any program", () => {
    const bytes = fc.uint8Array({ maxLength: 200 });
    fc.assert(fc.property(bytes, survives), { numRuns: 5000 });
  });

  it.each(["kinds", "dino"])("survives any change of a real program: %s.pth", async (name) => {
    using zip = await ZipArchive.open(fixture(`${name}.pth`));
    const whole = zip.read(`${name}/data.pkl`, 0, zip.size(`${name}/data.pkl`)!);
    survives(whole);
    const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Uint8Array.from(whole);
        for (const { at, byte } of changes) bytes[at] = byte;
        survives(bytes);
      }),
      { numRuns: 1500 },
    );
  });
});
