/** Elements of the page by id, and work whose refusal the status line shows. */

export const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

/** Show a refusal in the status line. */
export function refuse(error: unknown): void {
  const status = byId("status");
  [status.textContent, status.className] = [error instanceof Error ? error.message : String(error), "refused"];
}

/** Take a refusal out of the status line. */
export function accept(): void {
  const status = byId("status");
  if (status.className === "refused") [status.textContent, status.className] = ["", ""];
}

/** Run `work` and show its refusal in the status line. */
export async function attempt(work: () => Promise<void> | void): Promise<void> {
  try {
    await work();
    accept();
  } catch (error) {
    refuse(error);
  }
}

/** The number in a field; NaN for an empty one. */
export function numberIn(id: string): number {
  const { value } = byId<HTMLInputElement>(id);
  return value.trim() === "" ? NaN : Number(value);
}
