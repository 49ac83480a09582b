import type { Maker } from "./maker.js";
import { onnx } from "./makers/onnx.js";

/** In the order of help. A new one is a file and its line here. */
export const makers: readonly Maker[] = [onnx];
