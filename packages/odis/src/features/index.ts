export { headAttention, meanAttention } from "./attention.js";
export {
  boxPixels,
  type FramedImage,
  type FramedObject,
  frameObject,
  type FrameOptions,
  framePixels,
  type InferenceMode,
  modeRules,
  modes,
  type Window,
} from "./frame.js";
export {
  type Consumer,
  type Extractor,
  type FeatureRows,
  gather,
  type Gathered,
  type GatherOptions,
  type Item,
  type Omissions,
  pictureOf,
  type Repetition,
} from "./gather.js";
export { type FeatureSet, largestPerImage, NetworkFeatures, pick } from "./object-features.js";
export {
  deviceOf,
  type FeatureKind,
  featureKinds,
  inferenceLayout,
  inferenceOptions,
  inputImages,
  Passes,
  type PassReader,
  type PassRow,
  type PassTokens,
  summaryRow,
} from "./passes.js";
export {
  type FeatureQuery,
  load,
  type LoadOptions,
  type Teacher,
} from "./teacher.js";
