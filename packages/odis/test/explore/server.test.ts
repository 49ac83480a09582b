import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ExploreServer, serveStore } from "../../src/explore/index.js";
import type { Store } from "../../src/search/index.js";
import { useBrowser } from "../browser.js";
import { madeStore } from "../search/made-store.js";

const { open } = useBrowser();
let folder: string;
let store: Store;
let server: ExploreServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  // 100,000 objects in 12,500 images that are six photographs again and again.
  store = madeStore(join(folder, "large"), { shards: 10, images: 1250, objects: 8, width: 4 });
  server = await serveStore(store);
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Got {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly text: string;
}

/** Not `fetch`: it mends paths, and does not let hosts be told. */
function get(
  path: string,
  { host, method = "GET" }: { host?: string; method?: string } = {},
): Promise<Got> {
  const { port, host: own } = new URL(server.url);
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: "127.0.0.1", port, path, method, headers: { host: host ?? own } },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (piece: string) => (text += piece));
        answer.on("end", () =>
          resolve({ status: answer.statusCode!, headers: answer.headers, text }),
        );
      },
    );
    asked.on("error", reject).end();
  });
}

describe("the explorer's server", () => {
  it("listens to this machine only", () => {
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  });

  it.each([["evil.example"], ["127.0.0.1"], ["127.0.0.1:1"], ["localhost.evil.example"]])(
    "answers no other host: %j",
    async (host) => {
      const { status, text } = await get("/api/store", { host });
      expect([status, text].join(" ")).toMatch(/^403 .*served to this machine only/);
      expect(text).not.toContain("objects");
    },
  );

  it("answers to localhost", async () => {
    expect(
      (await get("/", { host: new URL(server.url).host.replace("127.0.0.1", "localhost") })).status,
    ).toBe(200);
  });

  it.each([
    ["/../../../etc/passwd"],
    ["/explorer/../../package.json"],
    ["/explorer/..%2f..%2fpackage.json"],
    ["/explorer/main.d.ts"],
    ["/explorer/__proto__"],
    ["/store.json"],
    ["/photo/../store.json"],
    ["/photo/0.jpg/x"],
    ["/photo/-1.jpg"],
    ["/api/constructor"],
    ["/api/__proto__"],
    ["//evil.example/"],
  ])("has no page %s", async (path) => {
    expect((await get(path)).status).toBe(404);
  });

  it.each([
    ["/api/image?row=1e9", "row: got 1e9; wanted a whole number"],
    ["/api/image?row=12500", "store: has no row 12500 of its 12500 images"],
    ["/api/near?object=x", "object: got x; wanted a whole number"],
    ["/api/near?image=0&box=1,2,3", "box: got 1,2,3; wanted 4 numbers with commas between them"],
    ["/api/objects?class=%1b", "class \\u001b: no object of the store has it"],
    ["/api/near?own=3", "photograph 3 of yours is not kept any more: give it again"],
    ["/crop/100000.jpg", "store: has no row 100000 of its 100000 objects"],
  ])("says what is wrong with %s", async (path, said) => {
    const { status, text } = await get(path);
    expect(status).toBe(400);
    expect(JSON.parse(text)).toEqual({ error: said });
  });

  it("changes nothing for anybody, and lets pages do nothing but their own", async () => {
    expect((await get("/api/store", { method: "POST" })).status).toBe(405);
    expect((await get("/api/photo")).status).toBe(405);
    const { headers } = await get("/");
    const policy = String(headers["content-security-policy"]);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain("unsafe");
    expect(headers["access-control-allow-origin"]).toBeUndefined();
    expect(headers["cross-origin-resource-policy"]).toBe("same-origin");
  });

  it.each([
    [
      "another site's page",
      { origin: "http://evil.example" },
      "x",
      403,
      "only this page sends photographs",
    ],
    ["nobody's page", {}, "x", 403, "only this page sends photographs"],
    [
      "what is no picture",
      { origin: "own" },
      "no picture",
      400,
      "image your photograph: cannot be decoded",
    ],
    [
      "what is too large",
      { origin: "own" },
      "x".repeat(2 ** 26 + 1),
      413,
      "a photograph may have 64 MiB",
    ],
  ] as const)(
    "takes no photograph from %s",
    async (_, { origin }: { origin?: string }, body, status, said) => {
      const own = new URL(server.url).origin;
      const headers = origin === undefined ? {} : { origin: origin === "own" ? own : origin };
      const answer = await new Promise<{ status: number | undefined; text: string }>(
        (resolve, reject) => {
          const { port, host } = new URL(server.url);
          const asked = request(
            {
              host: "127.0.0.1",
              port,
              path: "/api/photo",
              method: "POST",
              headers: { host, ...headers },
            },
            (response) => {
              let text = "";
              response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
              response.on("end", () => resolve({ status: response.statusCode, text }));
            },
          );
          asked.on("error", reject).end(body);
        },
      );
      expect(answer.status).toBe(status);
      expect(JSON.parse(answer.text).error).toContain(said);
    },
  );

  it("says that the pictures are somewhere else", async () => {
    const moved = join(folder, "moved");
    using lost = madeStore(
      moved,
      { shards: 1, images: 1, objects: 1, width: 4 },
      undefined,
      "coco:not-here",
    );
    await expect(serveStore(lost)).rejects.toThrow(
      /^the pictures of the store: .*not-here.* does not exist\. Put them back; .* run this where odis embed was run$/,
    );
  });

  it("says which port is taken", async () => {
    await expect(serveStore(store, { port: Number(new URL(server.url).port) })).rejects.toThrow(
      /^port \d+: cannot be used \(EADDRINUSE\)\. Take another one: --port$/,
    );
  });

  it("gives the parts of a list", async () => {
    const list = async (question: string) =>
      JSON.parse((await get(`/api/objects?${question}`)).text);
    const all = await list("from=99999&count=10");
    expect(all).toMatchObject({
      total: 100_000,
      objects: [{ row: 99_999, image: 12_499, class: "class 7" }],
    });
    const some = await list("from=3&count=2&class=class%205");
    expect(some.total).toBe(12_500);
    expect(some.objects.map(({ row }: { row: number }) => row)).toEqual([29, 37]);
  });
});

it("a library of 100,000 objects is a few hundred elements, wherever it is scrolled to", async () => {
  const { page, problems } = await open(server.url, 1600);
  await page.waitForSelector(".cell img");
  const shown = () => page.locator(".cell").count();
  const few = await shown();
  expect(few).toBeLessThan(300);
  for (const part of [0.5, 0.123, 1]) {
    await page.$eval(
      "#grid",
      (grid, to) => {
        grid.scrollTop = to * grid.scrollHeight;
      },
      part,
    );
    await expect
      .poll(
        () =>
          page.evaluate(
            `[...document.querySelectorAll(".cell img")].map((one) => one.getBoundingClientRect()).some(({ top, bottom }) => top < 500 && bottom > 300)`,
          ),
        { timeout: 10_000 },
      )
      .toBe(true);
    expect(await shown()).toBeLessThan(300);
  }
  await page.waitForSelector(`.cell[data-row="99999"]`);
  await page.focus("#grid");
  await page.keyboard.press("Home");
  await page.waitForSelector(`.cell.active[data-row="0"]`);
  await page.waitForLoadState("networkidle");
  expect(problems).toEqual([]);
});
