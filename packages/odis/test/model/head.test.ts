import { cat, noGrad, tensor, tensorScope } from "@odis/torch";
import { describe, it } from "vitest";
import { Head } from "../../src/model/head.js";
import { expectClose, golden } from "../golden.js";

const reference = golden("head");

describe("head against the published iBOTHead", () => {
  for (const [name, normLastLayer] of [
    ["shared_free", false],
    ["shared_fixed", true],
  ] as const) {
    it(`${name}: logits and gradients of weights and inputs`, () => {
      using _scope = tensorScope();
      const head = new Head(48, { hidden: 56, bottleneck: 20, prototypes: 64, normLastLayer });
      for (const [path, weight] of head.namedParameters())
        noGrad(() =>
          weight.copy_(tensor(reference.floats(`${name}/weights/head.${path}`), weight.shape)),
        );
      head.requiresGrad_(true);
      if (normLastLayer) head.lastLayer.weightG.requiresGrad_(false);

      const read = (key: string) =>
        tensor(reference.floats(`${name}/${key}`), reference.shape(`${name}/${key}`));
      const tokens = read("in_3d").requiresGrad_(true); // [B, T, 48]: token 0 and patches
      const rows = read("in_2d").requiresGrad_(true);
      const [B, T] = tokens.dims(3);
      const logits = head.forward(cat([tokens.flatten(0, 1), rows], 0));
      const all = logits.narrow(0, 0, B * T).reshape([B, T, 64]);
      const outputs = {
        out_cls: all.select(1, 0),
        out_patch: all.narrow(1, 1, T - 1),
        out_2d: logits.narrow(0, B * T, rows.dims(2)[0]),
      };
      let loss = tensor([0], []);
      for (const [key, output] of Object.entries(outputs)) {
        expectClose(output.toFloat32(), reference.floats(`${name}/${key}`));
        loss = loss.add(output.mul(read(`proj_${key}`)).sum());
      }
      loss.backward();
      expectClose(tokens.grad!.toFloat32(), reference.floats(`${name}/grad_in_3d`));
      expectClose(rows.grad!.toFloat32(), reference.floats(`${name}/grad_in_2d`));
      for (const [path, weight] of head.namedParameters())
        if (weight.requiresGrad)
          expectClose(weight.grad!.toFloat32(), reference.floats(`${name}/grad/head.${path}`));
    });
  }
});
