import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll } from "vitest";

/** A file in the browser, with everything that it complained about and asked for. */
export interface Opened {
  readonly page: Page;
  readonly problems: string[];
  readonly requests: string[];
}

/** A real browser for the tests of a file: opens pages from the disk, or of a server. */
export function useBrowser() {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-background-networking"],
    });
  });
  afterAll(() => browser.close());

  async function open(
    file: string,
    width: number,
    more: Parameters<Browser["newPage"]>[0] = {},
  ): Promise<Opened> {
    const page = await browser.newPage({ viewport: { width, height: 900 }, ...more });
    page.setDefaultTimeout(100_000); // a page may compute a network beside other tests
    const problems: string[] = [];
    const requests: string[] = [];
    page.on("console", (message) => {
      // A machine without a graphics card says how slow that is.
      if (!/GL Driver Message .*Performance/.test(message.text())) problems.push(message.text());
    });
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("request", (request) => {
      if (!/^(?:data|blob):/.test(request.url())) requests.push(request.url());
    });
    await page.goto(file.startsWith("http:") ? file : pathToFileURL(file).href);
    return { page, problems, requests };
  }

  async function sidewaysScroll(page: Page): Promise<number> {
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth");
  }

  /** Opens everything that is folded away. */
  async function unfold(page: Page): Promise<void> {
    await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true");
  }

  /** What reaches over the edge of the page or of its own box, so that nobody sees all of it. */
  async function cutOff(page: Page): Promise<readonly string[]> {
    return page.evaluate(`(() => {
      const hidden = (one) => one.closest("thead, [aria-hidden]") && getComputedStyle(one.closest("thead") ?? one).position === "absolute";
      const scrolls = (one) => getComputedStyle(one).overflowX === "auto";
      return [...document.querySelectorAll("main *:not(svg *)")]
        .filter((one) => !hidden(one) && !one.parentElement.closest("pre"))
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5 || (one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0 && !scrolls(one)))
        .map((one) => one.tagName + "." + one.className + ": " + one.textContent.slice(0, 60));
    })()`);
  }

  return { open, sidewaysScroll, unfold, cutOff };
}
