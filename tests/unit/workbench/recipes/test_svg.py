"""The SVG recipe: what may come in, what is measured, and the networks as specified."""

import base64
import io
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("vtracer", reason="absent: vtracer (extra svg)")
import torch
from PIL import Image

from edgewright._pictures import Picture
from edgewright.errors import InputError
from edgewright.workbench.recipes.base import ModelFacts, Moment
from edgewright.workbench.recipes.svg import SvgQuality
from edgewright.workbench.recipes.svg.drawings import check_svg
from edgewright.workbench.recipes.svg.factory import (
    FactoryOrder,
    Made,
    make_rows,
    raster,
)
from edgewright.workbench.recipes.svg.feature_file import feature_rows
from edgewright.workbench.recipes.svg.features import Pilots, Statistics, Vector, find_extractor
from edgewright.workbench.recipes.svg.networks import WIDE_PARAMETERS, Anchored, Wide
from edgewright.workbench.recipes.svg.recipe import SvgOptions, drawn_samples
from edgewright.workbench.recipes.svg.recommending import draw_candidates, recommend
from edgewright.workbench.recipes.svg.resnet import ResNet50
from edgewright.workbench.recipes.svg.settings import (
    DEFAULT,
    MODES,
    PARAMETERS,
    PILOTS,
    decode,
    draw,
    encode,
    parse_settings,
)
from edgewright.workbench.recipes.svg.tracing import Row
from edgewright.workbench.train import train_options

LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
    '<circle cx="12" cy="12" r="{r}" fill="#{c}"/><rect x="2" y="3" width="6" height="4"/></svg>'
)


def svg(inner: str) -> bytes:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"{inner}</svg>"
    ).encode()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (svg("<script>alert(1)</script>"), "a <script> element"),
        (svg('<rect onload="x()"/>'), "an event handler"),
        (svg('<image xlink:href="http://example.org/a.png"/>'), "a link that leaves the file"),
        (svg('<use href="other.svg#a"/>'), "a link that leaves the file"),
        (svg('<rect fill="url(http://example.org/#a)"/>'), "a link that leaves the file"),
        (svg("<style>@import 'a.css';</style>"), "an @import"),
        (svg("<foreignObject/>"), "a <foreignObject> element"),
        (svg("<animateMotion/>"), "a <animateMotion> element"),
        (
            svg('<g xmlns:x="http://www.w3.org/1999/xlink"><image x:href="/etc/logo.png"/></g>'),
            "a link that leaves the file",
        ),
        (svg('<image href="data:image/svg+xml,%3Csvg/%3E"/>'), "a link that leaves the file"),
        (svg('<image href="data:image/png;base64,%%"/>'), "is not base64"),
        (svg('<image href="data:image/png;base64,aGk="/>'), "picture in it: not a picture"),
        (svg("<style>a{fill:url(\nhttp://example.org/a)}</style>"), "a link that leaves the file"),
        (b'<?xml-stylesheet href="http://example.org/a.css"?><svg/>', "an instruction"),
        ("<svg/>".encode("utf-16"), "not well-formed"),
        (b'<!DOCTYPE svg [<!ENTITY a "b">]><svg/>', "an entity declaration"),
        (b"<html/>", "expected <svg>"),
        (b"<svg", "not well-formed"),
    ],
)
def test_an_svg_that_does_more_than_draw_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_svg(content, source="logo.svg")


def embedded(width: int, height: int, times: int = 1) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (width, height)).save(buffer, "png")
    picture = base64.b64encode(buffer.getvalue()).decode()
    return svg(f'<image href="data:image/png;base64,{picture}"/>' * times)


def test_links_inside_the_file_are_fine() -> None:
    check_svg(svg('<use href="#a"/><rect fill="url(#b)"/>'), source="logo.svg")
    check_svg(embedded(3, 2), source="logo.svg")
    check_svg(b'\xef\xbb\xbf<?xml version="1.0" encoding="iso-8859-1"?><svg/>', source="logo.svg")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (embedded(12_000, 9_000), "108 million pixels, expected at most 50 million"),
        (embedded(5_100, 5_000, times=2), "more than 50000000 pixels together"),
    ],
    ids=["one", "many"],
)
def test_a_bomb_inside_an_svg_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        check_svg(content, source="logo.svg")


def test_settings_go_through_numbers_and_back() -> None:
    for settings in draw(np.random.default_rng(0), 50):
        again = decode(encode(settings))
        assert abs(again.length_threshold - settings.length_threshold) < 1e-5
        assert encode(again).tolist() == encode(settings).tolist()


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"corner_treshold": 3}, "did you mean 'corner_threshold'"),
        ({"color_precision": 0}, "color_precision is 0, expected 1 to 8"),
        ({"filter_speckle": "many"}, "filter_speckle"),
        ({"mode": "curve"}, "mode"),
    ],
)
def test_a_wrong_parameter_is_named(raw: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_settings(raw, source="request")


def test_the_wide_network_has_exactly_its_parameters() -> None:
    network = Wide(1280)
    assert sum(p.numel() for p in network.parameters()) == WIDE_PARAMETERS == 2_766_337
    (answer,) = network.eval()(torch.zeros(3, 1280), torch.zeros(3, len(PARAMETERS)))
    assert answer.shape == (3,)


def test_the_wide_network_is_trained_as_specified() -> None:
    recipe = SvgQuality(SvgOptions(network="mlp-2056"))
    options = train_options(recipe, {}, source="[train]")
    assert (options.optimizer, options.lr, options.weight_decay) == ("adamw", 1e-3, 1e-5)
    assert (options.epochs, options.batch_size, options.patience) == (50, 64, 8)
    assert (options.schedule, options.grad_clip) == ("cosine", 1.0)
    assert (options.checkpoint_epochs, options.keep_checkpoints) == (3, 10)
    network, target = Wide(4).eval(), torch.tensor([0.0, 1.0])
    inputs = (torch.ones(2, 4), torch.ones(2, len(PARAMETERS)))
    moment = Moment(epoch=0, epochs=1, generator=torch.Generator())
    (answer,) = network(*inputs)
    loss = recipe.loss(network, inputs, target, moment)
    assert loss.item() == pytest.approx(((answer - target) ** 2).mean().item())


def test_an_untrained_anchored_network_answers_a_mean_of_the_pilots() -> None:
    network = Anchored(Pilots.size, members=3)
    features = torch.rand(5, Pilots.size)
    pilots = features[:, : len(PILOTS)]
    settings = torch.from_numpy(np.stack([encode(each) for each in PILOTS[:5]]))
    network.fit(features, settings)
    for member in network.members:
        torch.nn.init.zeros_(member.move.bias)
    with torch.no_grad():
        (answer,) = network.eval()(features, settings)
        (members,) = network.train()(features, settings)
    assert answer.shape == (5,)
    assert ((answer >= pilots.amin(dim=1)) & (answer <= pilots.amax(dim=1))).all()
    assert members.shape == (3, 5)


def test_an_anchored_network_learns_from_each_member() -> None:
    recipe = SvgQuality(SvgOptions())
    network = recipe.build(ModelFacts(inputs={"features": (Pilots.size,), "settings": (9,)}))
    assert isinstance(network, Anchored)
    inputs = (torch.rand(4, Pilots.size), torch.rand(4, len(PARAMETERS)))
    moment = Moment(epoch=0, epochs=1, generator=torch.Generator())
    recipe.loss(network.train(), inputs, torch.full((4,), 0.5), moment).backward()
    assert all(member.move.weight.grad.abs().sum() > 0 for member in network.members)


def test_other_features_get_a_network_that_needs_no_pilots() -> None:
    assert SvgOptions().chosen_network == "anchored"
    assert SvgOptions(features="statistics").chosen_network == "ranker"
    with pytest.raises(ValueError, match="starts from pilots"):
        SvgOptions(features="statistics", network="anchored")


def test_candidates_stay_near_the_default_and_write_few_decimals() -> None:
    candidates = draw_candidates(np.random.default_rng(0), 300)
    assert {each.mode for each in candidates} == set(MODES)
    for each in candidates:
        changed = [
            name
            for name, value in msgspec.to_builtins(each).items()
            if value != getattr(DEFAULT, name) and name != "path_precision"
        ]
        assert len(changed) <= 4
        assert 1 <= each.path_precision <= 3
        assert each.layer_difference >= DEFAULT.layer_difference


def test_the_contract_checks_parameters_by_name() -> None:
    facts = ModelFacts(inputs={"features": (44,), "settings": (9,)})
    contract = SvgQuality().contract(facts)
    names = [channel.name for channel in contract.input("settings").channels]
    assert names == [parameter.name for parameter in PARAMETERS]
    assert all(c.low is not None for c in contract.input("settings").channels)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logos")
    for at in range(3):
        text = LOGO.format(r=4 + 2 * at, c=f"{at * 70:02x}4080")
        (folder / f"logo{at}.svg").write_text(text)
    (folder / "bad.svg").write_bytes(svg("<script/>"))
    return folder


@pytest.fixture(scope="module")
def made(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    order = FactoryOrder(collection=collection, settings_each=2, processes=1)
    return make_rows(order, tmp_path_factory.mktemp("cache"))


def test_the_factory_measures_and_says_what_it_left_out(made: Made) -> None:
    assert [logo.source.file for logo in made.logos] == ["logo0.svg", "logo1.svg", "logo2.svg"]
    assert list(made.skipped) == ["bad.svg"]
    rows = [row for logo in made.logos for row in (*logo.pilots, *logo.drawn)]
    assert all(-1 <= row.ssim <= 1 and row.svg_bytes > 0 for row in rows)
    assert made.logos[0].tools["vtracer"]


def test_copies_of_a_logo_belong_to_one_group(made: Made, tmp_path: Path) -> None:
    copied = msgspec.structs.replace(made.logos[0].source, file="copy.svg")
    last = msgspec.structs.replace(made.logos[0], source=copied)
    twice = Made(logos=(*made.logos, last), pictures=(*made.pictures, made.pictures[0]), skipped={})
    samples = drawn_samples(twice, find_extractor("statistics", None), tmp_path)
    assert samples.group[-1] == samples.group[0]
    assert len(set(samples.group.tolist())) == 3


def test_two_collections_of_one_name_are_refused(collection: Path, tmp_path: Path) -> None:
    recipe = SvgQuality(SvgOptions(source=str(collection), test_source=f"other/{collection.name}"))
    with pytest.raises(InputError, match="both collections are called"):
        recipe.read(tmp_path)


def test_a_folder_may_be_the_tested_collection(collection: Path, tmp_path: Path) -> None:
    recipe = SvgQuality(SvgOptions(source=str(collection), test_source=str(collection)))
    assert [path.is_file() for path in recipe.sources(tmp_path)] == [True] * 8


def test_a_damaged_zip_is_named(collection: Path, tmp_path: Path) -> None:
    path = tmp_path / "logos.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(collection / "logo0.svg", "logo0.svg")
    content = bytearray(path.read_bytes())
    content[45:60] = b"\xff" * 15
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a zip that can be read"):
        make_rows(FactoryOrder(collection=path, processes=1), tmp_path / "cache")


def test_a_zip_with_a_password_is_named(collection: Path, tmp_path: Path) -> None:
    path = tmp_path / "logos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(collection / "logo0.svg", "logo0.svg")
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the bit that says encrypted, in the member's head and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="without a password"):
        make_rows(FactoryOrder(collection=path, processes=1), tmp_path / "cache")


def test_a_second_run_measures_nothing_and_gives_the_same(
    made: Made, collection: Path, tmp_path: Path
) -> None:
    order = FactoryOrder(collection=collection, settings_each=2, processes=1)
    first = make_rows(order, tmp_path)
    assert first.logos == made.logos
    told: list[str] = []
    assert make_rows(order, tmp_path, tell=lambda _, text: told.append(text)).logos == first.logos
    assert told == ["3 of 3 logos were measured before"]


def test_a_longer_order_measures_only_what_is_new(
    made: Made, collection: Path, tmp_path: Path
) -> None:
    make_rows(FactoryOrder(collection=collection, settings_each=2, processes=1), tmp_path)
    longer = FactoryOrder(collection=collection, settings_each=3, processes=1)
    more = make_rows(longer, tmp_path)
    assert [logo.drawn[:2] for logo in more.logos] == [logo.drawn for logo in made.logos]
    assert more.logos == make_rows(longer, tmp_path / "fresh").logos
    assert len(list(tmp_path.glob("*.json"))) == 3


def test_features_of_a_picture_without_weights_say_what_is_missing(made: Made) -> None:
    for name in ("statistics", "pilots"):
        extractor = find_extractor(name, None)
        vector = extractor.features(made.pictures[0], made.logos[0].pilots)
        assert vector.shape == (extractor.size,)
        assert np.isfinite(vector).all()
    with pytest.raises(InputError, match="features_file"):
        find_extractor("resnet50", None)


def test_the_recipe_reads_the_rows(collection: Path, tmp_path: Path) -> None:
    options = SvgOptions(source=str(collection), settings_each=2, processes=1)
    recipe = SvgQuality(options)
    samples = recipe.read(tmp_path)
    assert len(samples) == 6
    split = recipe.split(recipe.load_data(tmp_path))
    assert len(split.test) == len(split.val) == 1


def test_features_are_computed_once_and_lie_on_disk(made: Made, tmp_path: Path) -> None:
    class Counting(Statistics):
        asked = 0

        def features(self, picture: Picture, pilots: tuple[Row, ...]) -> Vector:
            self.asked += 1
            return super().features(picture, pilots)

    extractor = Counting()
    rows = feature_rows(made, extractor, tmp_path)
    again = feature_rows(made, extractor, tmp_path)
    assert isinstance(again, np.memmap)
    assert extractor.asked == len(made.logos)
    assert again.tolist() == rows.tolist()
    samples = drawn_samples(made, extractor, tmp_path)
    assert np.asarray(samples.inputs["features"][:2]).tolist() == [rows[0].tolist()] * 2
    (file,) = tmp_path.glob("features-*.npy")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match=r"not the features that were kept: .*; delete it"):
        feature_rows(made, extractor, tmp_path)


def test_a_resnet_takes_its_weights_from_a_file(made: Made, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {
        **ResNet50().state_dict(),
        "fc.weight": torch.zeros(3, 2048),
        "fc.bias": torch.zeros(3),
    }
    torch.save(state, tmp_path / "resnet50.pt")
    extractor = find_extractor("resnet50", tmp_path / "resnet50.pt")
    vector = extractor.features(made.pictures[0], ())
    assert vector.shape == (extractor.size,) == (2048,)
    assert np.isfinite(vector).all()
    assert vector.std() > 0
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="no weights of a ResNet-50"):
        find_extractor("resnet50", tmp_path / "other.pt")


def test_efficientnet_is_cut_before_its_classifier(made: Made, shared_data: Path) -> None:
    (weights,) = (shared_data / "models" / "efficientnet-lite0").glob("*.onnx")
    extractor = find_extractor("efficientnet-lite0", weights)
    one, two = (extractor.features(picture, ()) for picture in made.pictures[:2])
    assert one.shape == (extractor.size,) == (1280,)
    assert not np.allclose(one, two)
    assert extractor.identity != find_extractor("statistics", None).identity


def test_a_recommendation_is_measured_and_never_larger(made: Made) -> None:
    def predict(features: np.ndarray, settings: np.ndarray) -> np.ndarray:
        return settings[:, 2] / 8 - settings[:, 1] / 32

    found = recommend(made.pictures[0], find_extractor("statistics", None), predict)
    assert found.pick.svg_bytes <= found.default.svg_bytes
    assert found.pick.true_ssim >= found.default.true_ssim
    again = recommend(made.pictures[0], find_extractor("statistics", None), predict)
    assert again == found


def test_pictures_are_squared_on_white() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 10)).save(buffer, "png")
    square = raster(buffer.getvalue(), source="wide.png")
    assert square.shape == (128, 128, 3)
    assert square[0, 0].tolist() == [255, 255, 255]
    assert square[64, 64].tolist() == [0, 0, 0]
