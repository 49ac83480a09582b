export { fill_, truncNormal_ } from "./init.js";
export { Gelu, LayerNorm, Linear } from "./layers.js";
export { Module, type NamedParameter, uninitialised } from "./module.js";
