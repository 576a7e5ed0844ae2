/** Functions that JavaScript's `Math` lacks. */

export const LOG_2PI = Math.log(2 * Math.PI);

// Coefficients of Lanczos' approximation with g = 7 and 9 terms (Godfrey 2001): about 1e-15 relative.
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** log of the gamma function, for x above 0.5; Stirling's series above 1,000, where the terms above would cancel. */
export function logGamma(x: number): number {
  if (x > 1000) return (x - 0.5) * Math.log(x) - x + 0.5 * LOG_2PI + 1 / (12 * x) - 1 / (360 * x ** 3);
  const shifted = x + 6.5;
  const sum = LANCZOS.reduce((total, term, i) => (i === 0 ? term : total + term / (x - 1 + i)), 0);
  return 0.5 * LOG_2PI + (x - 0.5) * Math.log(shifted) - shifted + Math.log(sum);
}

/** log(exp(a) + exp(b)). */
export function logAddExp(a: number, b: number): number {
  const most = Math.max(a, b);
  return most === -Infinity ? most : most + Math.log1p(Math.exp(Math.min(a, b) - most));
}
