import { describe, expect, it } from "vitest";
import { openWeights } from "../../src/formats/index.js";
import { readPickle } from "../../src/formats/files/pickle.js";
import { torchWorld } from "../../src/formats/files/torch-world.js";
import { fixture } from "./fixture.js";
import { importRun } from "../../src/run/index.js";
import { loadNetwork } from "../../src/run/load.js";
import { scratchFolder } from "../scratch.js";
import { join } from "node:path";
import { tensor, tensorScope } from "@odis/torch";
import { expectClose } from "../close.js";
import { pythonTokens } from "./small.js";

const scratch = scratchFolder();

describe("what NumPy and newer types leave in a checkpoint (PyTorch 2.15, NumPy 2.4)", () => {
  it("weights that are arrays are a network like any other", async () => {
    using _scope = tensorScope();
    const out = join(scratch(), "run");
    await importRun(fixture("numpy.pth"), out, { heads: 2 });
    const images = tensor(pythonTokens("images"), [2, 3, 12, 12]);
    const { network } = loadNetwork(out, "teacher");
    expectClose(network.forward(images).toFloat32(), pythonTokens("dino/teacher"));
  });

  it("arrays, row by row or column by column; scalars; dicts with a default", async () => {
    using file = await openWeights(fixture("numpy.pth"));
    expect(file.info("columns")).toEqual({ dtype: "float32", shape: [2, 3] });
    expect([...file.read("columns")]).toEqual([0, 1, 2, 3, 4, 5]);
    expect(file.info("half").dtype).toBe("float16");
    expect([...file.read("long")]).toEqual([2n ** 40n, -1n]);
    const plain = ["best", "seen", "flag", "counts.cat", "lists.dog.0", "counter.a", "counter.b"];
    expect(plain.map((name) => file.plain.get(name))).toEqual([0.75, -3, true, 2, 1, 2, 1]);
  });

  it("what is not read is named, with what it is", async () => {
    using file = await openWeights(fixture("numpy.pth"));
    expect(Object.fromEntries(file.unreadable)).toEqual({
      bytes: "a tensor of int8",
      complex: "a tensor of complex64",
      quantised: "a quantised tensor",
      swapped: "a NumPy array of big-endian f4",
      texts: "a NumPy array of U1",
      objects: "a NumPy array of O8",
    });
  });

  it("a network with a weight that is not read is refused", async () => {
    await expect(
      importRun(fixture("int8.pth"), join(scratch(), "run"), { heads: 2 }),
    ).rejects.toThrow(
      "int8.pth: tensor blocks.1.mlp.fc1.weight: a tensor of int8, which is not read here. Convert it in " +
        "Python, e.g. tensor.float() for whole numbers, dequantize() for a quantised one.",
    );
  });

  it.each(["numpy.core", "numpy._core"])("names of NumPy 1 and 2: %s", (module) => {
    // pickle.dumps(numpy.float32(1.5), 2)
    const program =
      `\x80\x02c${module}.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f4\x89\x88\x87R(K\x03` +
      `X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb` +
      `C\x04\x00\x00\xc0\x3f\x86R.`;
    expect(readPickle(Uint8Array.from(Buffer.from(program, "latin1")), torchWorld)).toBe(1.5);
  });
});
