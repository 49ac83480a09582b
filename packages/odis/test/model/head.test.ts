import { cat, noGrad, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, it } from "vitest";
import { Head, type TokenKind } from "../../src/model/head.js";
import { expectClose, golden } from "../golden.js";

interface Case {
  readonly shared_head: boolean;
  readonly norm_last_layer: boolean;
  readonly outputs: Readonly<Record<string, readonly number[]>>;
}

const reference = golden("head");
const { cases } = reference.info as { cases: Readonly<Record<string, Case>> };

/** iBOT calls the prototypes of patches `last_layer2`; we call them as the published follow-up does. */
const published = (name: string, path: string): string =>
  name.startsWith("cls_obj") ? path : path.replace("last_layer_patch", "last_layer2");

describe("head against the published iBOTHead and the follow-up's three-way head", () => {
  for (const [name, { shared_head, norm_last_layer, outputs }] of Object.entries(cases)) {
    it(`${name}: logits and gradients of weights and inputs`, () => {
      using _scope = tensorScope();
      const own = shared_head ? undefined : 80;
      const head = new Head(48, {
        hidden: 56,
        bottleneck: 20,
        prototypes: 64,
        objectPrototypes: "out_obj" in outputs ? own : undefined,
        patchPrototypes: own,
      });
      const weights = head.namedParameters().map(([path, weight]) => ({
        key: published(name, path),
        weight,
      }));
      for (const { key, weight } of weights)
        noGrad(() =>
          weight.copy_(tensor(reference.floats(`${name}/weights/head.${key}`), weight.shape)),
        );
      head.requiresGrad_(true);
      if (norm_last_layer) for (const layer of head.lastLayers) layer.weightG.requiresGrad_(false);

      const read = (key: string): Tensor =>
        tensor(reference.floats(`${name}/${key}`), reference.shape(`${name}/${key}`));
      const tokens = read("in_3d").requiresGrad_(true); // [B, T, 48]: summaries and patches
      const rows = read("in_2d").requiresGrad_(true);
      const [B, T] = tokens.dims(3);
      const objects = outputs["out_obj"]?.[1] ?? 0;
      const project = (from: number, count: number, kind: TokenKind): Tensor => {
        const some = tokens.narrow(1, from, count);
        return head.forward(some.flatten(0, 1), kind).reshape([B, count, -1]);
      };
      const made: Record<string, Tensor> = {
        out_cls: project(0, 1, "cls").squeeze(1),
        out_patch: project(1 + objects, T - 1 - objects, "patch"),
        out_2d: head.forward(cat([rows], 0), "cls"),
        ...(objects > 0 && { out_obj: project(1, objects, "object") }),
      };
      let loss = tensor([0], []);
      for (const key of Object.keys(outputs)) {
        const output = made[key]!.reshape(outputs[key]!);
        expectClose(output.toFloat32(), reference.floats(`${name}/${key}`));
        loss = loss.add(output.mul(read(`proj_${key}`)).sum());
      }
      loss.backward();
      expectClose(tokens.grad!.toFloat32(), reference.floats(`${name}/grad_in_3d`));
      expectClose(rows.grad!.toFloat32(), reference.floats(`${name}/grad_in_2d`));
      for (const { key, weight } of weights)
        if (weight.requiresGrad)
          expectClose(weight.grad!.toFloat32(), reference.floats(`${name}/grad/head.${key}`));
    });
  }
});
