export { type ExploreServer, serveStore } from "./server.js";
