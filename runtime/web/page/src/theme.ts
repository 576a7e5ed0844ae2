/** Colours of charts: those of the style sheet for light and dark, palettes that colour-blind people can tell apart. */

import { BarChart, HeatmapChart, LineChart } from "echarts/charts";
import { DataZoomComponent, GridComponent, LegendComponent, TooltipComponent, VisualMapComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

echarts.use([BarChart, HeatmapChart, LineChart]);
echarts.use([DataZoomComponent, GridComponent, LegendComponent, TooltipComponent, VisualMapComponent, CanvasRenderer]);

export { echarts };

/** Okabe and Ito (2008), without black. */
export const CATEGORIES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b3a400", "#7a7a7a"];
/** Blue to yellow, after cividis (Nuñez et al. 2018), without the ends that the background would hide. */
const SEQUENCES = {
  light: ["#00204d", "#1f3c6d", "#46526c", "#666870", "#7d7568", "#8f7f5c", "#9c7f3a", "#a87f00"],
  dark: ["#5b8be0", "#7b97c4", "#92a1ab", "#a5a9a0", "#b8b18f", "#cbbb78", "#e0c95c", "#fee838"],
};
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** Colours from least to most. */
export function sequence(): readonly string[] {
  return DARK.matches ? SEQUENCES.dark : SEQUENCES.light;
}

export interface Colours {
  readonly ink: string;
  readonly quiet: string;
  readonly line: string;
  readonly accent: string;
}

export function colours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return { ink: of("ink"), quiet: of("quiet"), line: of("line"), accent: of("accent") };
}

/** An axis of numbers or names. */
export function axis(name = ""): Record<string, unknown> {
  const { quiet, line } = colours();
  return {
    name,
    nameLocation: "middle",
    nameGap: 26,
    nameTextStyle: { color: quiet },
    axisLabel: { color: quiet, hideOverlap: true },
    axisLine: { onZero: false, lineStyle: { color: line } },
    splitLine: { lineStyle: { color: line, opacity: 0.2 } },
  };
}

/** The begin and the end of a long name, which often differ in their ends. */
function shortened(name: string): string {
  const letters = [...name.replaceAll(/\s+/g, " ")];
  return letters.length > 14 ? `${letters.slice(0, 6).join("")}…${letters.slice(-7).join("")}` : letters.join("");
}

/** An axis of features: long names are turned and cut, the tooltip has them whole. `height` is that of the labels in pixels. */
export function featureAxis(names: readonly string[]): { axis: Record<string, unknown>; height: number } {
  const most = names.reduce((longest, name) => Math.max(longest, name.length), 0);
  const made = { type: "category", data: names, ...axis("feature"), splitLine: { show: false } };
  if (most <= 5) return { axis: made, height: 46 };
  const height = Math.min(70, 16 + 5 * most);
  const axisLabel = { ...(made as { axisLabel?: object }).axisLabel, rotate: 45, formatter: shortened };
  return { axis: { ...made, axisLabel, nameGap: height }, height: height + 20 };
}

/** A tooltip with numbers of four digits. */
export function tooltip(trigger: "axis" | "item"): Record<string, unknown> {
  const { ink, line } = colours();
  const style = getComputedStyle(document.documentElement);
  const valueFormatter = (value: unknown): string => (typeof value === "number" ? String(Number(value.toPrecision(4))) : "-");
  const extraCssText = "max-width: 20rem; white-space: normal; overflow-wrap: anywhere";
  return { trigger, valueFormatter, confine: true, backgroundColor: style.getPropertyValue("--paper").trim(), borderColor: line, textStyle: { color: ink }, extraCssText };
}

/** Call `draw` when light changes to dark or back. */
export function onTheme(draw: () => void): void {
  DARK.addEventListener("change", draw);
}
