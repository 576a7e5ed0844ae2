"""The text of a diagnosis: warnings, advice and the page for a terminal."""

from collections.abc import Iterable

from aaptvae.tables.names import listed

from ..features import FEW_ROWS, LARGEST, LEAST_ROWS, sentence
from .figures import Diagnosis

ADVISED_SHARE = "95"  # percent of the variance that PCA explains with the advised latents, if there are enough rows


def remarks(found: Diagnosis) -> dict[str, object]:
    """Advised latents, warnings and advice."""
    latents = _advised_latents(found)
    return {"latent_dim": latents, "warnings": list(_warnings(found)), "advice": list(_advice(found, latents))}


def _advised_latents(found: Diagnosis) -> int | None:
    """The least power of two with which PCA explains 95 %, fewer if there are few rows; None without rows or variance."""
    usable = found.rows - found.bad_rows
    needed = found.latents_for.get(ADVISED_SHARE)
    if needed is None or usable < LEAST_ROWS:
        return None
    most = max(1, min(usable // FEW_ROWS, found.width - 1))
    power = 1 << (needed - 1).bit_length()
    while power > most:
        power //= 2
    return max(power, 1)


def _warnings(found: Diagnosis) -> Iterable[str]:
    usable = found.rows - found.bad_rows
    if found.bad_rows:
        yield (
            f"{_count(found.bad_rows, 'row')} hold NaN or infinity ({_count(found.bad_values, 'value')}): training refuses "
            "them: drop or repair them first."
        )
    if max(abs(found.smallest or 0), abs(found.largest or 0)) > LARGEST:
        yield (
            f"Values go up to {max(abs(found.smallest or 0), abs(found.largest or 0)):.3g}: training refuses those above "
            f"{LARGEST:g}, because float32 ends at 3.4e+38: divide such columns by a constant."
        )
    yield from (f"{text[:1].upper()}{text[1:]}." for text in found.row_numbers)
    if found.rounded:
        yield sentence([found.called(column) for column in found.rounded]) + "."
    if usable < LEAST_ROWS:
        yield f"{_count(usable, 'usable row')}: training needs at least {LEAST_ROWS}, and useful models need more."
    elif usable <= found.width:
        yield (
            f"{usable} usable rows span at most {usable - 1} of {found.width} columns: the other directions cannot be learned."
        )
    if usable and not any(found.eigenvalues[:1]):
        yield "No column varies: there is nothing to learn."
        return
    for fixed in found.fixed:
        if not fixed.active:
            yield (
                f"{fixed.loss} would leave NO latent active: the largest eigenvalue, {fixed.largest_eigenvalue:.3g}, is below "
                f"its decoder variance of {fixed.variance:g}, so the posterior collapses."
            )


def _advice(found: Diagnosis, latents: int | None) -> Iterable[str]:
    if any(not fixed.active and not fixed.loss.startswith("--sigma") for fixed in found.fixed):
        yield "aaptvae train standardises features and learns sigma, so its defaults do not collapse here."
    if any(not fixed.active and fixed.loss.startswith("--sigma") for fixed in found.fixed):
        yield "Leave --sigma at its default, which learns it, or choose one below the square root of the largest eigenvalue."
    if found.copied_rows:
        yield "aaptvae train keeps copies of a row on one side of its split, as far as it can, and counts the others."
    if latents is not None:
        shares = {entry.latents: entry.explained for entry in found.learned}
        beside = f", with which PCA keeps {shares[latents]:.1%} of the variance" if latents in shares else ""
        yield f"Start with --latent-dim {latents}{beside}; fewer latents reconstruct worse, but can have the same likelihood."
        needed = found.latents_for[ADVISED_SHARE]
        if latents < needed and found.rows - found.bad_rows < FEW_ROWS * needed:
            yield f"{ADVISED_SHARE} % of the variance needs {needed} latents, and about {FEW_ROWS * needed} rows to fit them."
        elif latents < needed:
            yield f"{ADVISED_SHARE} % of the variance needs {needed} latents: it is spread over nearly all directions."


def describe(found: Diagnosis) -> list[str]:
    """The page of `aaptvae diagnose`."""
    lines = [f"{found.name}: {found.rows:,} rows of {found.width} columns, {found.dtype}"]
    lines += [f"  {note}" for note in found.notes]
    lines += [f"  row {bad.row}, column {found.called(bad.column)} is {bad.value}" for bad in found.first_bad]
    if found.bad_rows > len(found.first_bad):
        lines.append(f"  and {found.bad_rows - len(found.first_bad)} more such rows")
    lines += _columns(found)
    lines += [""] * bool(found.findings) + [f"note: {finding.text}" for finding in found.findings]
    if found.latents_for:
        lines += ["", *_spectrum(found), "", *_predictions(found)]
    lines += [""] * bool(found.warnings) + [f"warning: {text}" for text in found.warnings]
    lines += [""] * bool(found.advice) + [f"advice: {text}" for text in found.advice]
    return lines


def _columns(found: Diagnosis) -> list[str]:
    lines = []
    if found.norms is not None:
        norms = found.norms
        lines.append(f"values             {found.smallest:.4g} to {found.largest:.4g}")
        lines.append(
            f"norms              {norms.smallest:.4g} to {norms.largest:.4g}, median {norms.median:.4g}"
            + (" (unit vectors)" if norms.unit else "")
        )
    lines.append(f"constant columns   {_named(map(found.called, found.constant))}")
    lines.append(f"nearly constant    {_named(map(found.called, found.near_constant))}")
    copies = [f"{found.called(column)} of {found.called(first)}" for first, column in found.duplicates]
    lines.append(f"copies of columns  {_named(copies)}")
    lines.append(
        f"copies of rows     {found.copied_rows:,} of {found.rows:,}" if found.copied_rows else "copies of rows     none"
    )
    return lines


def _spectrum(found: Diagnosis) -> list[str]:
    needed = ", ".join(f"{count} for {percent} %" for percent, count in found.latents_for.items())
    return [f"effective rank     {found.effective_rank:.1f} of {found.width}", f"PCA latents        {needed} of the variance"]


def _predictions(found: Diagnosis) -> list[str]:
    fixed = [f"  {entry.loss:<38} variance {entry.variance:<8.4g} {entry.active:>5} at most" for entry in found.fixed]
    learned = [
        f"  {f'learned noise, {entry.latents} latents':<38} variance {entry.variance:<8.4g} {entry.active:>5}"
        f"   PCA R2 {entry.explained:.3f}"
        for entry in found.learned
    ]
    return ["predicted active latents, from the spectrum alone", *fixed, *learned]


def _named(values: Iterable[object]) -> str:
    every = list(values)
    return f"{len(every)}: {listed(every)}" if every else "none"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
