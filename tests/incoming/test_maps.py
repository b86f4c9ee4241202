"""Published maps brought in by hand: told apart by their folders, described, and read back by the scoring stage."""

import pytest

from components.common.errors import InputError
from components.incoming.maps import Facts, authors_facts, called_after, import_maps
from components.scoring.external_methods import read_method
from components.scoring.paper_tables import paper_tables
from tests.data import published
from tests.data.conftest import mask

ROWS = {row.run for table in paper_tables() for row in table.rows}
LBP = Facts("LBP", "lbp", "in_focus", "none", "a friend")
NAMES = {"cuhk": "CUHK-TE-1", "dut": "DUT-TE", "ctcug": "CTCUG", "ebd": "EBD"}


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_authors_archive_of_maps(tmp_path):
    published.publish(tmp_path / "authors")
    external = tmp_path / "external"
    facts = authors_facts("maps_cuhk2_dut")
    said = import_maps(facts.row, facts, [tmp_path / "authors/zip/maps.zip"], external, cuhk="CUHK-TE-2")
    assert said == f"{external}/d_dffnet_cuhk2_dut, CUHK-TE-2: 2 maps, DUT-TE: 1 maps"
    found = read_method(external / "d_dffnet_cuhk2_dut", ROWS)
    assert (found.method, found.row, found.white, found.resize) == (
        "D-DFFNet",
        "d_dffnet_cuhk2_dut",
        "in_focus",
        "nearest",
    )
    assert list(found.folders) == ["CUHK-TE-2", "DUT-TE"]
    assert files(external) == [
        "d_dffnet_cuhk2_dut/CUHK-TE-2/out_of_focus0027.png",
        "d_dffnet_cuhk2_dut/CUHK-TE-2/out_of_focus0028.png",
        "d_dffnet_cuhk2_dut/DUT-TE/1.png",
        "d_dffnet_cuhk2_dut/method.yaml",
    ]


def test_other_test_sets_are_added_and_the_same_replaced(tmp_path):
    mask(tmp_path / "a/CTCUG/1.png")
    mask(tmp_path / "a/CTCUG/2.png")
    mask(tmp_path / "b/1.png")
    mask(tmp_path / "c/ctcug_result/1.png")
    import_maps("lbp", LBP, [tmp_path / "a"], tmp_path / "external")
    import_maps("lbp", LBP, [tmp_path / "b"], tmp_path / "external", test_set="EBD")
    assert files(tmp_path / "external/lbp") == ["CTCUG/1.png", "CTCUG/2.png", "EBD/1.png", "method.yaml"]
    import_maps("lbp", LBP, [tmp_path / "c"], tmp_path / "external")
    assert files(tmp_path / "external/lbp") == ["CTCUG/1.png", "EBD/1.png", "method.yaml"]


@pytest.mark.parametrize(
    ("folder", "test_set"),
    [
        ("CUHK-TE-2", "CUHK-TE-2"),
        ("cuhk", "CUHK-TE-1"),
        ("DUT500", "DUT-TE"),
        ("EBD_1605", "EBD"),
        ("CTCUG", "CTCUG"),
        ("cuhk_and_dut", ""),
        ("debd", ""),
        ("results", ""),
    ],
)
def test_what_a_folder_is_called_after(folder, test_set):
    assert called_after(folder, NAMES) == test_set


def test_maps_of_no_known_test_set_and_of_one_twice(tmp_path):
    mask(tmp_path / "a/results/1.png")
    with pytest.raises(InputError, match=r"a: no folder of maps called after a test set .*--test-set"):
        import_maps("lbp", LBP, [tmp_path / "a"], tmp_path / "external")
    with pytest.raises(InputError, match=r"--test-set 'EBD\(1305\)': no test set with maps of its own"):
        import_maps("lbp", LBP, [tmp_path / "a"], tmp_path / "external", test_set="EBD(1305)")
    mask(tmp_path / "b/EBD/1.png")
    mask(tmp_path / "b/old/ebd/1.png")
    with pytest.raises(InputError, match=r"old/ebd and .*b/EBD: both hold maps of EBD"):
        import_maps("lbp", LBP, [tmp_path / "b"], tmp_path / "external")
    assert not (tmp_path / "external/lbp").exists()
