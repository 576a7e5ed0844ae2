"""`export(run, destination)`: the options as keywords, a folder or a zip, a run or its path."""

import pytest

import aaptvae
from aaptvae.errors import InputError
from aaptvae_export import ExportOptions, export, export_bundle
from aaptvae_training import RunError


def test_it_exports_like_the_command_line(run, tmp_path):
    made = export(run, tmp_path / "one", name="mine")
    assert made.digest == export_bundle(run, tmp_path / "two", ExportOptions(name="mine")).digest


def test_a_bundle_is_loaded_by_its_object(run, tmp_path):
    made = export(run, tmp_path / "bundle")
    assert aaptvae.load(made).digest == made.digest


def test_a_name_in_zip_makes_one_file(run, tmp_path):
    made = export(run, str(tmp_path / "bundle.zip"))
    assert (tmp_path / "bundle.zip").is_file()
    assert aaptvae.load(tmp_path / "bundle.zip").digest == made.digest


def test_unknown_options_are_named(run, tmp_path):
    with pytest.raises(InputError, match="got the option precision: expected precisions, compact"):
        export(run, tmp_path / "bundle", precision="int8")
    assert not (tmp_path / "bundle").exists()


def test_a_path_is_read_as_a_run(tmp_path):
    with pytest.raises(RunError, match="cannot read"):
        export(tmp_path / "no-run", tmp_path / "bundle")
