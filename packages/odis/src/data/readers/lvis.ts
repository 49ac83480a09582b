import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Reader } from "../registry.js";
import { textOf } from "../spec.js";
import { detectCoco, openCoco } from "./coco.js";
import { twoPlaces } from "./places.js";

/**
 * LVIS: COCO's photographs and format, with 1,203 categories. Images are named by the address that
 * they had, `…/train2017/000000391895.jpg`; the pictures of both splits may lie in one folder.
 */
export const lvis: Reader = {
  ...twoPlaces("lvis", "images", "lvis.json"),
  places: "FOLDER or lvis:IMAGES,LVIS.json",
  about: "LVIS on COCO's pictures, in one folder or in train2017/ and val2017/",
  settings: [],
  detect: (look) => detectCoco(look, "lvis", /"neg_category_ids"|"frequency"/, /"segments_info"/),
  open(spec) {
    const isSplit = existsSync(join(textOf(spec, "images"), "train2017"));
    return openCoco(spec, {
      name: "LVIS's format",
      fileName: ({ file_name: file, coco_url: url }) => {
        if (typeof file === "string") return file; // LVIS 0.5
        return typeof url === "string"
          ? url
              .split("/")
              .slice(isSplit ? -2 : -1)
              .join("/")
          : url;
      },
    });
  },
};
