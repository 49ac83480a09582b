interface Entry<Value> {
  readonly value: Promise<Value>;
  /** undefined while it is being made */
  cost: number | undefined;
}

/** Keeps what was made lately, up to a sum of costs; what nobody asked for longest goes first. */
export class Cache<Key, Value> {
  private readonly kept = new Map<Key, Entry<Value>>();
  private sum = 0;

  /** @param cost of a value, for example its bytes */
  constructor(
    private readonly most: number,
    private readonly cost: (value: Value) => number,
  ) {}

  /** Of several who ask at a time, the first one makes it. What failed is made anew. */
  get(key: Key, make: () => Promise<Value>): Promise<Value> {
    const known = this.kept.get(key);
    if (known) {
      this.kept.delete(key);
      this.kept.set(key, known);
      return known.value;
    }
    const entry: Entry<Value> = { value: make(), cost: undefined };
    this.kept.set(key, entry);
    entry.value.then(
      (value) => this.weigh(key, entry, this.cost(value)),
      () => {
        if (this.kept.get(key) === entry) this.kept.delete(key);
      },
    );
    return entry.value;
  }

  private weigh(key: Key, entry: Entry<Value>, cost: number): void {
    if (this.kept.get(key) !== entry) return;
    entry.cost = cost;
    this.sum += cost;
    for (const [oldest, { cost: least }] of this.kept) {
      if (this.sum <= this.most) return;
      if (least === undefined || oldest === key) continue;
      this.kept.delete(oldest);
      this.sum -= least;
    }
  }
}
