/** A leaf that differs between two trees of JSON; undefined where one side lacks it. */
export interface Difference {
  /** dotted; empty when the trees themselves are leaves */
  readonly path: string;
  readonly left: unknown;
  readonly right: unknown;
}

/** Leaves in which two JSON values differ, in the order of their keys. Lists are leaves. */
export function differences(left: unknown, right: unknown, path = ""): readonly Difference[] {
  if (isTree(left) && isTree(right)) {
    const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
    return [...keys].flatMap((key) =>
      differences(left[key], right[key], path === "" ? key : `${path}.${key}`),
    );
  }
  return JSON.stringify(left) === JSON.stringify(right) ? [] : [{ path, left, right }];
}

/** `optim.lr is 0.0005 there and 0.001 here; seed is 0 there and 1 here; and 3 more` */
export function describeDifferences(found: readonly Difference[], shown = 3): string {
  const parts = found
    .slice(0, shown)
    .map(({ path, left, right }) => `${path} is ${show(left)} there and ${show(right)} here`);
  const rest = found.length - parts.length;
  return [...parts, ...(rest > 0 ? [`and ${rest} more`] : [])].join("; ");
}

function show(value: unknown): string {
  return value === undefined ? "unset" : JSON.stringify(value);
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
