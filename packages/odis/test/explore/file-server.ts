import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

/** What a plain web server knows; WebAssembly, vectors and ONNX files are bytes to it. */
const types: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".jpg": "image/jpeg",
  ".svg": "image/svg+xml",
};

/** Serves a folder below a path of its own, as a plain web server does: no header of any use. */
export async function serveFiles(folder: string) {
  const below = "/some/where/";
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://x").pathname;
    const name = normalize(path.slice(below.length) || "index.html");
    try {
      if (!path.startsWith(below) || name.startsWith("..")) throw new Error("outside");
      const body = readFileSync(join(folder, name));
      response.writeHead(200, {
        "Content-Type": types[extname(name)] ?? "application/octet-stream",
      });
      response.end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${below}`,
    async close(): Promise<void> {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
