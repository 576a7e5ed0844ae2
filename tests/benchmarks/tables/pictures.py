"""Pictures as rows: digits, faces, patches of photographs, and gradient histograms of patches."""

import numpy as np

from .table import Array, Contents, folder_of, source


@source("pictures", "scikit-learn")
def digits() -> Contents:
    from sklearn.datasets import load_digits  # noqa: PLC0415

    found = load_digits()
    return Contents(found.data, found.target)


@source("pictures", "scikit-image")
def faces() -> Contents:
    """One hundred faces and one hundred other pictures, 25 by 25 pixels."""
    found = np.load(folder_of("skimage") / "data" / "lfw_subset.npy")
    return Contents(found.reshape(len(found), -1), np.arange(len(found)) < 100)


def _photographs() -> list[Array]:
    from sklearn.datasets import load_sample_images  # noqa: PLC0415

    return [np.asarray(picture, np.float32) / 255 for picture in load_sample_images().images]


def _tiles(size: int, step: int) -> tuple[Array, Array, Array]:
    """Tiles [N, size, size, 3] of both photographs, which of the two each is from, and the band of the picture it lies in.

    Tiles of a band overlap only those of the same band.
    """
    tiles, pictures, bands = [], [], []
    for number, picture in enumerate(_photographs()):
        height = picture.shape[0] // 10
        for top in range(0, picture.shape[0] - size + 1, step):
            if top // height != (top + size - 1) // height and size <= height:
                continue
            for left in range(0, picture.shape[1] - size + 1, step):
                tiles.append(picture[top : top + size, left : left + size])
                pictures.append(number)
                bands.append(number * 100 + top // height)
    return np.stack(tiles), np.array(pictures), np.array(bands)


@source("pictures", "scikit-learn", "group")
def patches() -> Contents:
    """Colour patches of 8 by 8 pixels; test rows come from bands of the pictures that training does not see."""
    tiles, pictures, bands = _tiles(8, 6)
    return Contents(tiles.reshape(len(tiles), -1), pictures, bands)


@source("pictures", "scikit-image", "group")
def gradients() -> Contents:
    """Histograms of oriented gradients of patches of 32 by 32 pixels: 324 numbers."""
    from skimage.feature import hog  # noqa: PLC0415

    tiles, pictures, bands = _tiles(32, 10)
    rows = [hog(tile, 9, (8, 8), (2, 2), channel_axis=-1) for tile in tiles]
    return Contents(np.array(rows), pictures, bands)
