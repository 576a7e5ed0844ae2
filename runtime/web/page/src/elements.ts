/** Elements of the page by id, and work whose refusal the status line shows. */

export const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

/** Run `work` and show its refusal in the status line. */
export async function attempt(work: () => Promise<void> | void): Promise<void> {
  const status = byId("status");
  try {
    await work();
    if (status.className === "refused") [status.textContent, status.className] = ["", ""];
  } catch (error) {
    [status.textContent, status.className] = [error instanceof Error ? error.message : String(error), "refused"];
  }
}
