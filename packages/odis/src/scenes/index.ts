export { spriteFolders, makeScenes, type SceneOptions } from "./make.js";
