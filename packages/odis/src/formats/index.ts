export {
  openSafetensorsWeights,
  openWeights,
  parseWeights,
  plainPickle,
  type WeightsSpec,
} from "./files/index.js";
export { type FileNetwork, findNetwork } from "./find.js";
export { checkFit, recipeFor, trainingOptions } from "./fit.js";
export type {
  FormatWriter,
  PlainValue,
  Side,
  WeightFile,
} from "./format.js";
export { headSettings } from "./heads.js";
export { writeOnnx } from "./onnx.js";
export { type ImportPlan, importWeights, planImport } from "./plan.js";
export { type ExportFormat, writableFormats, writerOf } from "./registry.js";
export { describeImport, type ImportReport } from "./report.js";
export { type NetworkShape, shapeOf } from "./shape.js";
