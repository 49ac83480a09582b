import { runsOfObject } from "../../objects/index.js";
import { type Maker, placeBehind } from "../maker.js";

/** The data set's own objects: to make masks worse on purpose, or boxes of them. */
export const annotations: Maker = {
  name: "annotations",
  places: "annotations",
  about:
    "the data set's own objects: with --shape box, --iou, --missing, --false as a poor detector has them",
  reads: [],
  parse: (text) => (placeBehind("annotations", text) === "" ? "" : undefined),
  async open() {
    return {
      finder: {
        classes: [],
        find: async (picture, { annotated }) =>
          (annotated?.objects ?? []).map((object) => ({
            score: object.score ?? 1,
            label: object.label,
            mask: runsOfObject(object, picture),
          })),
      },
      provenance: { maker: "annotations", files: [], settings: {} },
      close: async () => undefined,
    };
  },
  isOwn: true,
};
