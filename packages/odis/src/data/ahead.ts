/** Small files that are read at a time: waiting for a million of them takes longest. */
const TOGETHER = 32;

/**
 * What `read` gives for each item, in order, while the next ones are being read.
 *
 * @param together how many at a time; fewer where each is a whole picture
 */
export async function* readAhead<Item, Found>(
  items: Iterable<Item>,
  read: (item: Item) => Promise<Found>,
  together: number = TOGETHER,
): AsyncGenerator<readonly [Item, Found]> {
  const waiting: { readonly item: Item; readonly found: Promise<Found> }[] = [];
  const next = async () => {
    const { item, found } = waiting.shift()!;
    return [item, await found] as const;
  };
  try {
    for (const item of items) {
      const found = read(item);
      found.catch(() => undefined); // told when it is its turn
      waiting.push({ item, found });
      if (waiting.length === together) yield await next();
    }
    while (waiting.length > 0) yield await next();
  } finally {
    await Promise.allSettled(waiting.map(({ found }) => found));
  }
}
