from pathlib import Path

import pytest

from edgewright.errors import InputError, TrustError
from edgewright.fleet.office import Office
from edgewright.testing.fleet import release_file
from edgewright.testing.keys import MemorySigner


def stored(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "home" / "releases").glob("??/*")]


def test_a_published_release_says_where_it_came_from(office: Office, tmp_path: Path) -> None:
    bundle_id = release_file(tmp_path / "1.ewb", version="1")
    release = office.registry.publish(tmp_path / "1.ewb", by="ada")
    assert (release.bundle_id, release.text, release.published_by) == (bundle_id, "tiny@1", "ada")
    for reference in ("tiny@1", bundle_id, bundle_id[:12]):
        assert office.registry.release(reference) == release
    assert release.provenance.dataset == "d" * 64
    found, path = office.registry.file(bundle_id)
    assert found == release
    assert path.read_bytes() == (tmp_path / "1.ewb").read_bytes()


def test_publishing_again_changes_nothing(office: Office, tmp_path: Path) -> None:
    release_file(tmp_path / "1.ewb", version="1")
    first = office.registry.publish(tmp_path / "1.ewb", by="ada")
    assert office.registry.publish(tmp_path / "1.ewb", by="bob") == first
    assert len(office.registry.releases()) == 1


def test_a_version_belongs_to_one_bundle(office: Office, tmp_path: Path) -> None:
    release_file(tmp_path / "a.ewb", version="1")
    office.registry.publish(tmp_path / "a.ewb", by="ada")
    content = (tmp_path / "a.ewb").read_bytes()
    release_file(tmp_path / "b.ewb", version="1", signers=())
    other = tmp_path / "other.ewb"
    build_other(other)
    with pytest.raises(InputError, match="tiny@1 is bundle"):
        office.registry.publish(other, by="ada")
    assert len(stored(tmp_path)) == 1
    assert office.registry.file(office.registry.release("tiny@1").bundle_id)[1].read_bytes() == (
        content
    )


def test_a_version_has_no_alias_name(office: Office, tmp_path: Path) -> None:
    for version in ("1", "2", "stable"):
        release_file(tmp_path / f"{version}.ewb", version=version)
    office.registry.publish(tmp_path / "1.ewb", by="ada")
    office.registry.publish(tmp_path / "2.ewb", by="ada")
    office.aliases.propose("tiny@1", "stable", by="ada")
    for _ in "proposed", "approved":
        with pytest.raises(InputError, match="stable is an alias of tiny"):
            office.registry.publish(tmp_path / "stable.ewb", by="ada")
        assert len(stored(tmp_path)) == 2
        office.aliases.propose("tiny@2", "stable", by="ada")
        office.aliases.approve("tiny@2", "stable", by="bert")
    assert office.registry.release("tiny@stable").version == "2"
    release_file(tmp_path / "other.ewb", version="stable", model="other")
    assert office.registry.publish(tmp_path / "other.ewb", by="ada").text == "other@stable"
    with pytest.raises(InputError, match="stable is a version of other"):
        office.aliases.propose("other@stable", "stable", by="ada")


def build_other(path: Path) -> None:
    from edgewright.bundle import Draft, build_bundle
    from edgewright.bundle.read import open_bundle
    from edgewright.testing.fleet import SIGNER

    release_file(path, version="1")
    draft = Draft(
        name="tiny",
        version="1",
        format="reference",
        precision="fp32",
        contract=open_bundle(path).manifest.contract,
    )
    build_bundle(path, draft, [("model", "m.npz", b"other weights")], signers=[SIGNER])


@pytest.mark.parametrize("where", [0, 700, 1500, 3000])
def test_a_flipped_byte_is_refused_and_nothing_is_kept(
    office: Office, tmp_path: Path, where: int
) -> None:
    path = tmp_path / "1.ewb"
    release_file(path, version="1")
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrustError):
        office.registry.publish(path, by="ada")
    assert office.registry.releases() == ()
    assert stored(tmp_path) == []


@pytest.mark.parametrize("signers", [(), (MemorySigner.from_seed(9),)])
def test_a_bundle_without_a_trusted_signature_is_refused(
    office: Office, tmp_path: Path, signers: tuple[MemorySigner, ...]
) -> None:
    release_file(tmp_path / "1.ewb", version="1", signers=signers)
    with pytest.raises(TrustError, match="1 needed"):
        office.registry.publish(tmp_path / "1.ewb", by="ada")
    assert stored(tmp_path) == []


@pytest.mark.parametrize("reference", ["tiny@9", "f" * 64, "abc", "", "%@%", "________"])
def test_an_unknown_release_is_an_input_error(office: Office, reference: str) -> None:
    with pytest.raises(InputError, match="release"):
        office.registry.release(reference)


def test_a_missing_file_is_named(office: Office, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.ewb: no such file"):
        office.registry.publish(tmp_path / "nowhere.ewb", by="ada")
