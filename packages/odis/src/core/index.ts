export {
  BadImageError,
  ConfigError,
  DataError,
  exitCodes,
  NonFiniteLossError,
  OdisError,
  RunError,
  WeightsError,
} from "./errors.js";
export { JsonLines, readJson } from "./json.js";
export { lock } from "./lock.js";
export { Rng } from "./rng.js";
export {
  type ConfigLayer,
  loadConfigFile,
  resolveConfig,
  settingPaths,
  type Settings,
  settingsLayer,
} from "./schema.js";
export { FileProblem, kindOf, openRegular, readRange, readRegular } from "./regular-file.js";
export {
  codeOf,
  isRecord,
  list,
  nearest,
  plain,
  reasonOf,
  record,
  shellWord,
  show,
} from "./text.js";
