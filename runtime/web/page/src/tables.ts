/** Tables that people take away (.csv), and the names of features. */

/** Columns of numbers as .csv. */
export function toCsv(names: readonly string[], rows: Iterable<ArrayLike<number>>): string {
  const quoted = names.map((name) => (/[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name));
  return [quoted.join(","), ...Array.from(rows, (row) => Array.from(row, String).join(","))].join("\n") + "\n";
}

/** Offer a text as a file. */
export function download(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Names of features: the bundle's, or numbers. */
export function featureNames(width: number, columns: readonly string[] | null): string[] {
  return columns ? [...columns] : Array.from({ length: width }, (_, j) => String(j));
}
