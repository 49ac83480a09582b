import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { codeOf, OdisError, RunError } from "../core/index.js";
import type { Store } from "../search/index.js";
import { answers } from "./answers.js";
import { icon, page } from "./page.js";
import { PagePictures, sides } from "./pictures.js";
import { pageStyle } from "./style.js";

export interface ExploreServer {
  /** to be opened in a browser */
  readonly url: string;
  close(): Promise<void>;
}

interface Answer {
  readonly type: string;
  readonly body: string | Buffer;
  /** whether a browser may keep it: its address changes with the store */
  readonly keep?: boolean;
}

type Route = (match: RegExpExecArray, question: URLSearchParams) => Promise<Answer> | Answer;

const HOST = "127.0.0.1";

/** Nothing but this server's own files, no framing, no markup made of text. */
const headers = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
} as const;

/**
 * Serves the page of a store to this machine only. Names of files come from the store alone: an
 * address names rows, never a path.
 *
 * @param port 0 takes any that is free
 * @throws RunError when the port is taken; DataError when the store's pictures are not there
 */
export async function serveStore(store: Store, port = 0): Promise<ExploreServer> {
  const pictures = new PagePictures(store);
  await pictures.check();
  const routes = routesOf(store, pictures);
  const server = createServer((request, response) => void respond(routes, request, response));
  server.listen(port, HOST);
  try {
    await once(server, "listening");
  } catch (cause) {
    if (codeOf(cause) !== "EADDRINUSE" && codeOf(cause) !== "EACCES") throw cause;
    throw new RunError(
      `port ${port}: cannot be used (${codeOf(cause)}). Take another one: --port`,
      {
        cause,
      },
    );
  }
  const { port: taken } = server.address() as AddressInfo;
  return { url: `http://${HOST}:${taken}/`, close: () => closed(server) };
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
}

function routesOf(store: Store, pictures: PagePictures): readonly (readonly [RegExp, Route])[] {
  const version = randomBytes(6).toString("hex");
  const answer = answers(store, pictures, version);
  const scripts = pageScripts();
  const picture = (body: Buffer): Answer => ({ type: "image/jpeg", body, keep: true });
  return [
    [/^\/$/, () => ({ type: "text/html; charset=utf-8", body: page })],
    [/^\/favicon\.ico$/, () => ({ type: "image/svg+xml", body: icon })],
    [/^\/style\.css$/, () => ({ type: "text/css; charset=utf-8", body: pageStyle })],
    [
      /^\/explorer\/([a-z-]+\.js)$/,
      ([, name]) => ({ type: "text/javascript; charset=utf-8", body: found(scripts.get(name!)) }),
    ],
    [
      /^\/api\/([a-z]+)$/,
      async ([, name], question) => ({
        type: "application/json; charset=utf-8",
        body: JSON.stringify(
          await found(Object.hasOwn(answer, name!) ? answer[name!] : undefined)(question),
        ),
      }),
    ],
    [
      /^\/(photo|small)\/(\d{1,15})\.jpg$/,
      async ([, size, row]) =>
        picture(await pictures.photo(Number(row), size === "photo" ? sides.photo : sides.small)),
    ],
    [/^\/crop\/(\d{1,15})\.jpg$/, async ([, row]) => picture(await pictures.crop(Number(row)))],
  ];
}

/** The page's modules, read once: what is asked for later is never a file's name. */
function pageScripts(): ReadonlyMap<string, string> {
  const folder = new URL("../../dist/explorer/", import.meta.url);
  return new Map(
    readdirSync(folder)
      .filter((name) => name.endsWith(".js"))
      .map((name) => [name, readFileSync(new URL(name, folder), "utf8")]),
  );
}

class NotFound extends Error {}

function found<T>(value: T | undefined): T {
  if (value !== undefined) return value;
  throw new NotFound("there is no such page");
}

async function respond(
  routes: readonly (readonly [RegExp, Route])[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const send = (status: number, { type, body, keep = false }: Answer): void => {
    response.writeHead(status, {
      ...headers,
      "Content-Type": type,
      "Content-Length": Buffer.byteLength(body),
      "Cache-Control": keep ? "private, max-age=86400" : "no-store",
    });
    response.end(request.method === "HEAD" ? undefined : body);
  };
  const refuse = (status: number, error: string): void =>
    send(status, { type: "application/json; charset=utf-8", body: JSON.stringify({ error }) });
  try {
    // A foreign site can point its own name at this machine; it cannot change what its pages ask for.
    if (!isOwnHost(request)) return refuse(403, "this page is served to this machine only");
    if (request.method !== "GET" && request.method !== "HEAD")
      return refuse(405, "wanted GET or HEAD");
    const [pathname = "/", question] = (request.url ?? "/").split("?", 2);
    const searchParams = new URLSearchParams(question);
    for (const [pattern, route] of routes) {
      const match = pattern.exec(pathname);
      if (match) return send(200, await route(match, searchParams));
    }
    return refuse(404, "there is no such page");
  } catch (error) {
    if (error instanceof NotFound) return refuse(404, error.message);
    if (error instanceof OdisError) return refuse(400, error.message);
    process.stderr.write(`odis explore: ${error instanceof Error ? error.stack : String(error)}\n`);
    return refuse(500, "internal: this is a mistake of odis; the terminal says more");
  }
}

function isOwnHost({ headers: { host }, socket }: IncomingMessage): boolean {
  return [HOST, "localhost"].some((name) => host === `${name}:${socket.localPort}`);
}
