import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeSafetensors } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { openWeights } from "../../src/formats/files/open.js";
import { WeightsError } from "../../src/core/index.js";
import { scratchFolder } from "../scratch.js";
import { fixture } from "./fixture.js";

const scratch = scratchFolder();

describe("openWeights", () => {
  it("tells the formats apart by their bytes, whatever the name", async () => {
    const disguised = join(scratch(), "weights.safetensors");
    cpSync(fixture("dino-backbone.pth"), disguised);
    using torch = await openWeights(disguised);
    expect(torch.info("cls_token")).toEqual({ dtype: "float32", shape: [1, 1, 8] });

    const plain = join(scratch(), "weights.pth");
    writeSafetensors(plain, [tensor("cls_token", 3)], { made: "here" });
    using safe = await openWeights(plain);
    expect(safe.names).toEqual(["cls_token"]);
    expect([...safe.read("cls_token")]).toEqual([0, 1, 2]);
    expect(safe.plain.get("made")).toBe("here");
  });

  it.each([
    ["a pickle", 0x80],
    ["a zip file", 0x4b50],
  ])("knows a safetensors file whose header's length looks like %s", async (_, length) => {
    const path = join(scratch(), "model.safetensors");
    const write = (made: string) => writeSafetensors(path, [tensor("cls_token", 3)], { made });
    const headerLength = (): number => Number(readFileSync(path).readBigUInt64LE());
    write("");
    const wanted = length > 0xff ? length : length + 0x100;
    write(" ".repeat(wanted - headerLength()));
    expect(headerLength()).toBe(wanted);
    using file = await openWeights(path);
    expect(file.names).toEqual(["cls_token"]);
  });

  it("reads a folder of Hugging Face's with its configuration", async () => {
    const folder = join(scratch(), "dinov2-small");
    mkdirSync(folder);
    writeSafetensors(join(folder, "model.safetensors"), [tensor("embeddings.cls_token", 2)]);
    const config = { model_type: "dinov2", num_attention_heads: 6, nothing: null, list: [1] };
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    using file = await openWeights(folder);
    expect(file.names).toEqual(["embeddings.cls_token"]);
    expect([...file.plain]).toEqual([
      ["config.model_type", "dinov2"],
      ["config.num_attention_heads", 6],
      ["config.list.0", 1],
    ]);
    writeFileSync(join(folder, "config.json"), "{");
    await expect(openWeights(folder)).rejects.toThrow(
      `${folder}/config.json: not JSON. Restore it from where the weights came from.`,
    );
  });

  it("says how to convert what it does not read", async () => {
    const legacy = fixture("legacy.pth");
    await expect(openWeights(legacy)).rejects.toThrow(
      `${legacy}: in the format of PyTorch before 1.6, which is not read here. Convert it, in Python: ` +
        `torch.save(torch.load("${legacy}", map_location="cpu", weights_only=False), "weights.pth").`,
    );
    await expect(openWeights(fixture("bare.pth"))).rejects.toThrow(
      "bare.pth: a bare pickle without tensors of its own. Give a file that torch.save wrote.",
    );
    await expect(openWeights(scratch())).rejects.toThrow(
      `${scratch()}: a folder without tensors.safetensors or model.safetensors. Give a file of weights, ` +
        `a folder of Hugging Face's with its weights in one file, or a checkpoint of odis.`,
    );
    await expect(openWeights(join(scratch(), "none.pth"))).rejects.toThrow(WeightsError);
    await expect(openWeights(join(scratch(), "none.pth"))).rejects.toThrow(
      "none.pth: does not exist.",
    );
  });
});

function tensor(name: string, length: number) {
  const data = () => Float32Array.from({ length }, (_, at) => at);
  return { name, dtype: "float32", shape: [length], data } as const;
}
