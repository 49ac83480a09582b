/** Names of classes as annotations mention them; labels are given at the end, in the order of the names. */
export class ClassNames {
  private readonly names = new Map<string, number>();

  /** A provisional label, see `IndexBuilder.relabel`. */
  label(name: string): number {
    const known = this.names.get(name);
    if (known !== undefined) return known;
    this.names.set(name, this.names.size);
    return this.names.size - 1;
  }

  /** The classes by name, and the label of each provisional one. */
  sorted(): { readonly names: string[]; readonly labels: Int32Array } {
    const names = [...this.names.keys()].toSorted();
    const labels = new Int32Array(names.length);
    for (const [label, name] of names.entries()) labels[this.names.get(name)!] = label;
    return { names, labels };
  }
}
