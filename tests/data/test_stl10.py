"""Reading and verifying data sets in STL-10's binary layout."""

import hashlib
import os
import shlex
from pathlib import Path

import numpy as np
import pytest

from pdenet_repro.data import cache
from pdenet_repro.data.stl10 import STL10_CLASSES, STL10_MD5, parse_md5sums, read, read_stl10, stl10_folder
from pdenet_repro.system.errors import DataError

TRAIN, TEST = 4, 3
CLASSES = ("cube", "ball")
FOLD_LINES = b"0 2 \n3 1 \n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("PDENET_CACHE", str(folder))
    return folder


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files whose bytes were hashed."""
    names = []
    original = cache.md5_of
    monkeypatch.setattr(cache, "md5_of", lambda path: names.append(path.name) or original(path))
    return names


@pytest.fixture
def folder(tmp_path):
    """Four training and three test images of random pixels, and two folds."""
    place = tmp_path / "set"
    place.mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (TRAIN + TEST, 3, 96, 96), np.uint8)
    (place / "train_X.bin").write_bytes(pixels[:TRAIN].tobytes())
    (place / "train_y.bin").write_bytes(bytes([1, 2, 2, 1]))
    (place / "test_X.bin").write_bytes(pixels[TRAIN:].tobytes())
    (place / "test_y.bin").write_bytes(bytes([2, 1, 2]))
    (place / "fold_indices.txt").write_bytes(FOLD_LINES)
    return place


def sums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def refusal(folder: Path, md5: dict[str, str], **options) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, md5, CLASSES, **options)
    return str(caught.value)


def test_reads_counts_labels_folds_and_checksums(folder):
    md5 = sums(folder)
    data = read(folder, md5, CLASSES, need_folds=True)
    assert data.train.pixels.shape == (TRAIN, 3, 96, 96)
    assert data.test.pixels.shape == (TEST, 3, 96, 96)
    assert data.train.pixels.dtype == np.uint8
    assert data.train.labels.tolist() == [0, 1, 1, 0]
    assert data.test.labels.tolist() == [1, 0, 1]
    assert data.test.labels.dtype == np.int64
    assert [fold.tolist() for fold in data.folds] == [[0, 2], [3, 1]]
    assert data.class_names == CLASSES
    assert data.checksums == md5


def test_pixels_are_column_major_inside_a_channel(folder):
    raw = bytearray((folder / "test_X.bin").read_bytes())
    image, channel, row, column = 1, 2, 5, 70
    offset = ((image * 3 + channel) * 96 + column) * 96 + row
    raw[offset] ^= 0xFF
    before = np.array(read(folder, sums(folder), CLASSES).test.pixels)
    (folder / "test_X.bin").write_bytes(raw)
    after = read(folder, sums(folder), CLASSES).test.pixels
    assert np.argwhere(before != after).tolist() == [[image, channel, row, column]]


def test_pixels_cannot_be_written_to(folder):
    pixels = read(folder, sums(folder), CLASSES).train.pixels
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0, 0, 0] = 1


def test_labelled_files_are_enough_unless_folds_are_asked_for(folder):
    md5 = sums(folder)
    (folder / "fold_indices.txt").unlink()
    data = read(folder, md5, CLASSES)
    assert data.folds == ()
    assert "fold_indices.txt" not in data.checksums
    assert refusal(folder, md5, need_folds=True, remedy="ask Ann") == f"{folder} lacks fold_indices.txt; ask Ann"


def test_truncated_images_are_refused_before_anything_of_them_is_hashed(folder, hashed):
    md5 = sums(folder)
    os.truncate(folder / "train_X.bin", 1000)
    expected = f"{folder / 'train_X.bin'} is cut short: 1000 bytes, expected {TRAIN * 27648}; fetch it again"
    assert refusal(folder, md5, remedy="fetch it again") == expected
    assert "train_X.bin" not in hashed


def test_surplus_images_are_refused(folder):
    md5 = sums(folder)
    with (folder / "test_X.bin").open("ab") as file:
        file.write(b"x")
    assert f"test_X.bin is too long: {TEST * 27648 + 1} bytes, expected {TEST * 27648}" in refusal(folder, md5)


@pytest.mark.parametrize("name", ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "fold_indices.txt"])
def test_one_flipped_bit_is_found(folder, name):
    md5 = sums(folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    found = hashlib.md5(content).hexdigest()
    message = f"{folder / name} has the MD5 {found} ({len(content)} bytes), expected {md5[name]}; "
    assert refusal(folder, md5).startswith(message)


@pytest.mark.parametrize("labels", [[1, 0, 1], [1, 3, 1], []])
def test_labels_out_of_range_are_refused(folder, labels):
    (folder / "test_y.bin").write_bytes(bytes(labels))
    assert f"test_y.bin holds labels {sorted(set(labels))}, expected 1 to 2" in refusal(folder, sums(folder))


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (b"0 1\n1 4\n", "line 2, must hold indices 0 to 3"),
        (b"0 -1\n", "line 1, must hold indices 0 to 3"),
        (b"0 1\n\n", "line 2, must hold indices 0 to 3"),
        (b"0 1.5\n", "line 1, holds something other than whole numbers"),
        (b"0 99999999999999999999\n", "line 1, holds something other than whole numbers"),
        (b"zero\n", "line 1, holds something other than whole numbers"),
    ],
)
def test_folds_that_make_no_sense_are_refused(folder, lines, fault):
    (folder / "fold_indices.txt").write_bytes(lines)
    assert fault in refusal(folder, sums(folder))


def test_a_file_without_known_md5_is_refused(folder):
    md5 = sums(folder)
    del md5["test_y.bin"]
    assert "test_y.bin cannot be verified: no MD5 of it is known" in refusal(folder, md5)


def test_what_the_system_refuses_is_one_sentence(folder, tmp_path):
    md5 = sums(folder)
    assert refusal(folder / "test_y.bin", md5).startswith(
        f"cannot read {folder / 'test_y.bin'}: Not a directory; make it readable"
    )
    (folder / "test_y.bin").unlink()
    (folder / "test_y.bin").symlink_to(folder / "test_y.bin")
    assert "cannot read" in refusal(folder, md5)
    (folder / "test_y.bin").unlink()
    (folder / "test_y.bin").mkdir()
    assert refusal(folder, md5).startswith(f"cannot read {folder / 'test_y.bin'}: Is a directory; make it readable")


@pytest.mark.parametrize("name", ["train_y.bin", "test_X.bin"])
def test_a_dangling_link_is_named_and_not_only_what_it_leads_to(folder, tmp_path, name):
    md5 = sums(folder)
    (folder / name).unlink()
    (folder / name).symlink_to(tmp_path / "nope")
    assert refusal(folder, md5) == (
        f"cannot read {folder / name}, a link to {tmp_path / 'nope'}: No such file or directory; repair it, or choose another "
        "folder"
    )


def test_verification_is_remembered(folder, hashed):
    md5 = sums(folder)
    first = read(folder, md5, CLASSES)
    assert sorted(hashed) == sorted(md5)
    hashed.clear()
    second = read(folder, md5, CLASSES)
    assert hashed == []
    assert second.checksums == first.checksums


def test_a_changed_file_and_only_that_is_verified_again(folder, hashed):
    md5 = sums(folder)
    read(folder, md5, CLASSES)
    hashed.clear()
    content = bytearray((folder / "train_X.bin").read_bytes())
    content[0] ^= 1
    (folder / "train_X.bin").write_bytes(content)
    os.utime(folder / "train_X.bin", (1, 1))
    assert "train_X.bin has the MD5" in refusal(folder, md5)
    assert hashed == ["train_X.bin"]


def test_an_md5_other_than_the_remembered_one_is_compared_with_the_file(folder):
    md5 = sums(folder)
    read(folder, md5, CLASSES)
    assert "train_X.bin has the MD5" in refusal(folder, md5 | {"train_X.bin": "0" * 32})


def test_a_damaged_file_is_not_remembered(folder, hashed):
    md5 = sums(folder) | {"train_y.bin": "0" * 32}
    assert refusal(folder, md5) == refusal(folder, md5)
    assert hashed == ["train_y.bin", "train_y.bin"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"files": 3}', b"\xff\xfe", b'{"files": {"test_y.bin": 1}}']
)
def test_a_damaged_note_only_means_verifying_again(folder, hashed, own_cache, content):
    md5 = sums(folder)
    read(folder, md5, CLASSES)
    (note,) = (own_cache / "verified").iterdir()
    note.write_bytes(content)
    hashed.clear()
    read(folder, md5, CLASSES)
    assert sorted(hashed) == sorted(md5)
    hashed.clear()
    read(folder, md5, CLASSES)
    assert hashed == []


def test_a_cache_that_cannot_be_written_only_means_verifying_again(folder, hashed, own_cache):
    own_cache.write_text("a file where the folder should be")
    md5 = sums(folder)
    for _ in range(2):
        hashed.clear()
        read(folder, md5, CLASSES)
        assert sorted(hashed) == sorted(md5)


def test_md5sums_are_read_as_the_command_writes_them(tmp_path):
    path = tmp_path / "MD5SUMS"
    path.write_text(f"{'a' * 32}  train_X.bin\n{'0' * 32} *two words\n")
    assert parse_md5sums(path) == {"train_X.bin": "a" * 32, "two words": "0" * 32}
    path.write_text(f"{'a' * 32}  train_X.bin\n{'0' * 31}  test_X.bin\n")
    with pytest.raises(DataError, match="MD5SUMS, line 2, is '0"):
        parse_md5sums(path)
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="UTF-8"):
        parse_md5sums(path)
    with pytest.raises(DataError, match="No such file"):
        parse_md5sums(tmp_path / "absent")


@pytest.mark.parametrize("name", ["nowhere", "with space"])
def test_missing_official_files_are_named_with_the_command_that_downloads_them(tmp_path, name):
    root = tmp_path / name
    with pytest.raises(DataError) as caught:
        read_stl10(root, need_folds=True)
    message = str(caught.value)
    missing = "train_X.bin, train_y.bin, test_X.bin, test_y.bin, fold_indices.txt"
    assert message.startswith(f"{root / 'stl10_binary'} lacks {missing}; ")
    command = ["python", "-m", "pdenet_repro", "data=stl10", f"data.root={root}", "data.download=true"]
    assert shlex.split(message.split("`")[1]) == command
    assert "data=shapes" in message


def test_root_is_the_folder_of_the_files_or_the_one_around_it(folder, tmp_path, monkeypatch):
    inner = tmp_path / "stl10_binary"
    assert stl10_folder(tmp_path) == inner
    assert stl10_folder(inner) == inner
    assert stl10_folder(folder) == folder
    inner.mkdir()
    assert stl10_folder(tmp_path) == inner
    assert stl10_folder(inner) == inner
    monkeypatch.chdir(tmp_path)
    assert stl10_folder(Path(".")) == inner
    monkeypatch.setenv("HOME", str(tmp_path))
    assert stl10_folder(Path("~/stl10_binary")) == inner


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    root = os.environ.get("PDENET_DATA_ROOT")
    if not root:
        pytest.skip("PDENET_DATA_ROOT names no folder with STL-10")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PDENET_CACHE", str(tmp_path_factory.mktemp("cache")))
        return read_stl10(Path(root))


def test_real_files_hold_the_published_counts(real):
    assert real.train.pixels.shape == (5000, 3, 96, 96)
    assert real.test.pixels.shape == (8000, 3, 96, 96)
    assert np.bincount(real.train.labels).tolist() == [500] * 10
    assert np.bincount(real.test.labels).tolist() == [800] * 10
    assert real.class_names == STL10_CLASSES
    assert real.checksums.items() <= STL10_MD5.items()


def test_real_first_image_as_decoded_by_hand(real):
    raw = (stl10_folder(Path(os.environ["PDENET_DATA_ROOT"])) / "train_X.bin").read_bytes()[:27648]
    by_hand = [[[raw[96 * 96 * c + 96 * x + y] for x in range(96)] for y in range(96)] for c in range(3)]
    assert real.train.pixels[0].tolist() == by_hand


def test_real_images_stand_upright(real):
    """In photographs the sky is above: on average the top is brighter than the bottom, left and right are alike."""
    mean = np.asarray(real.train.pixels).mean((0, 1))
    top, bottom, left, right = mean[:32].mean(), mean[-32:].mean(), mean[:, :32].mean(), mean[:, -32:].mean()
    assert top - bottom > 10 * abs(left - right)
