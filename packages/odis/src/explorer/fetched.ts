/** Who answers a page, and what its visitor can do when it does not. */
export interface Answering {
  /** when nothing answers */
  readonly silent: string;
  /** when something else comes than what was asked for */
  readonly refused: string;
  /** the sentence of an answer that says what is wrong */
  readonly sentence?: (response: Response) => Promise<string>;
}

/** A web server with a library's folder. */
export const folderServer: Answering = {
  silent: "try again once this machine reaches the web server",
  refused: "the folder is not whole",
};

/**
 * Fetches, and reads what comes.
 *
 * @throws Error with a sentence for the visitor: the answer's own, or what, where, and what to do next
 */
export async function fetched<T>(
  address: string | URL,
  who: Answering,
  read: (response: Response) => Promise<T>,
  sent: RequestInit = {},
): Promise<T> {
  const path = String(address).replace(/^https?:\/\/[^/]*\/|\?.*$/g, "");
  const problem = (what: string, next: string): Error => new Error(`${path}: ${what}; ${next}`);
  const response = await fetch(address, sent).catch(() => {
    throw problem("no answer", who.silent);
  });
  if (!response.ok) {
    const sentence = await who.sentence?.(response).catch(() => undefined);
    if (sentence !== undefined) throw new Error(sentence);
    throw problem(`the web server says ${response.status}`, who.refused);
  }
  try {
    return await read(response);
  } catch (error) {
    // A connection that broke off is a TypeError of the browser, what is no JSON a SyntaxError.
    if (error instanceof TypeError) throw problem("the answer broke off", who.silent);
    if (error instanceof SyntaxError) throw problem("is no JSON", who.refused);
    throw error;
  }
}
