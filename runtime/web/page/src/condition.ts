/** The controls of a condition: a list of categories or a field for a number, for each that the model takes. */

import type { Conditions } from "../../src/exports.js";

export type Values = Readonly<Record<string, string | number>>;

export class ConditionControls {
  private readonly conditions: Conditions;
  private readonly fields: ReadonlyMap<string, HTMLSelectElement | HTMLInputElement>;

  /** Controls in `element`, which call `changed` with the values by name. */
  constructor(element: HTMLElement, conditions: Conditions, changed: (values: Values) => void) {
    this.conditions = conditions;
    this.fields = new Map(
      conditions.specs.map(({ name, categories }) => {
        const field = document.createElement(categories.length ? "select" : "input");
        if (field instanceof HTMLSelectElement) field.append(...categories.map((category) => new Option(category || "(missing)", category)));
        else [field.type, field.step] = ["number", "any"];
        field.addEventListener("change", () => changed(this.values));
        return [name, field] as const;
      }),
    );
    element.replaceChildren(
      ...[...this.fields].map(([name, field]) => {
        const label = document.createElement("label");
        label.append(name, field);
        return label;
      }),
    );
  }

  /** The first category of each condition, and the mean of the training rows. */
  get usual(): Values {
    const entries = this.conditions.specs.map(({ name, categories, mean }) => [name, categories[0] ?? Number(mean.toPrecision(6))]);
    return Object.fromEntries(entries) as Values;
  }

  get values(): Values {
    return Object.fromEntries([...this.fields].map(([name, field]) => [name, field.value]));
  }

  /** Show these values. */
  show(values: Values): void {
    for (const [name, field] of this.fields) field.value = String(values[name]);
  }
}
