import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { codeOf, OdisError, RunError } from "../core/index.js";
import type { Store } from "../search/index.js";
import { answers } from "./answers.js";
import type { Searched } from "./beside.js";
import { OwnPictures } from "./own.js";
import { icon, page, servedPolicy } from "./page.js";
import { PagePictures, sides } from "./pictures.js";
import { type PageScript, pageScripts } from "./scripts.js";
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

/** @param file what was sent, if something was */
type Route = (
  match: RegExpExecArray,
  question: URLSearchParams,
  file: Buffer | undefined,
) => Promise<Answer> | Answer;

/** Largest photograph that a page may send, bytes. */
const LARGEST = 2 ** 26;

const json = (value: unknown): Answer => ({
  type: "application/json; charset=utf-8",
  body: JSON.stringify(value),
});

const HOST = "127.0.0.1";

const headers = {
  "Content-Security-Policy": servedPolicy,
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
} as const;

/**
 * Serves the page of a store to this machine only. Names of files come from the store alone: an
 * address names rows, never a path.
 *
 * @param options.port 0 takes any that is free
 * @param options.beside searched, too, on every query
 * @throws RunError when the port is taken; DataError when the store's pictures are not there
 */
export async function serveStore(
  store: Store,
  { port = 0, beside }: { readonly port?: number; readonly beside?: Searched | undefined } = {},
): Promise<ExploreServer> {
  const pictures = new PagePictures(store);
  await pictures.check();
  const routes = routesOf(store, pictures, beside);
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

function routesOf(
  store: Store,
  pictures: PagePictures,
  beside: Searched | undefined,
): readonly (readonly [RegExp, Route])[] {
  const version = randomBytes(6).toString("hex");
  const own = new OwnPictures();
  const answer: Readonly<Record<string, (question: URLSearchParams) => unknown>> = answers(
    store,
    pictures,
    { own, version, beside },
  );
  const scripts = new Map(pageScripts().map(({ path, text }: PageScript) => [path, text]));
  const picture = (body: Buffer): Answer => ({ type: "image/jpeg", body, keep: true });
  return [
    [/^\/$/, () => ({ type: "text/html; charset=utf-8", body: page("served") })],
    [/^\/(?:favicon\.ico|icon\.svg)$/, () => ({ type: "image/svg+xml", body: icon })],
    [/^\/style\.css$/, () => ({ type: "text/css; charset=utf-8", body: pageStyle })],
    [
      /^\/((?:explorer|portable)\/[a-z-]+\.js)$/,
      ([, name]) => ({ type: "text/javascript; charset=utf-8", body: found(scripts.get(name!)) }),
    ],
    [/^\/api\/photo$/, async (_, __, file) => json(await own.add(found(file)))],
    [
      /^\/api\/([a-z]+)$/,
      async ([, name], question) =>
        json(await found(Object.hasOwn(answer, name!) ? answer[name!] : undefined)(question)),
    ],
    [
      /^\/(photo|small)\/(\d{1,15})\.jpg$/,
      async ([, size, row]) =>
        picture(await pictures.photo(Number(row), size === "photo" ? sides.photo : sides.small)),
    ],
    [/^\/crop\/(\d{1,15})\.jpg$/, async ([, row]) => picture(await pictures.crop(Number(row)))],
  ];
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
    const [pathname = "/", question] = (request.url ?? "/").split("?", 2);
    const isPhoto = pathname === "/api/photo";
    if (!(isPhoto ? ["POST"] : ["GET", "HEAD"]).includes(request.method ?? ""))
      return refuse(405, isPhoto ? "wanted POST" : "wanted GET or HEAD");
    // A form of a foreign site may send anything here, and says where it is from.
    if (isPhoto && !isOwnPage(request)) return refuse(403, "only this page sends photographs");
    const file = isPhoto ? await received(request) : undefined;
    if (isPhoto && !file) return refuse(413, `a photograph may have ${LARGEST / 2 ** 20} MiB`);
    const searchParams = new URLSearchParams(question);
    for (const [pattern, route] of routes) {
      const match = pattern.exec(pathname);
      if (match) return send(200, await route(match, searchParams, file));
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

/** Whether one of this server's own pages asks. */
function isOwnPage({ headers: { host, origin } }: IncomingMessage): boolean {
  return origin === `http://${host}`;
}

/** What a request carries; undefined when it is too much. */
async function received(request: IncomingMessage): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes <= LARGEST) pieces.push(piece);
  }
  return bytes <= LARGEST ? Buffer.concat(pieces) : undefined;
}
