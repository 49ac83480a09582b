import type { Maker } from "./maker.js";
import { annotations } from "./makers/annotations.js";
import { cuts } from "./makers/cuts.js";
import { onnx } from "./makers/onnx.js";
import { regions } from "./makers/regions.js";

/** In the order of help. A new one is a file and its line here. */
export const makers: readonly Maker[] = [onnx, cuts, regions, annotations];
