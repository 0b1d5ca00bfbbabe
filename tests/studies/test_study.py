import re

import pytest
import yaml

from harness.data import load_dataset
from harness.exceptions import SpecError
from harness.features.images import NAMED
from harness.features.recipes import make_recipe
from harness.learners.registry import named
from harness.pools import PoolSpec
from harness.schedule import Schedule
from harness.spec import LearnerSpec
from strategies.exceptions import StrategyError
from strategies.ntkcpl import PAPER
from strategies.registry import BUILT_IN, SETS
from studies.compare import parse_learner, parse_strategies
from studies.study import AskedComparison, asked_pools, feature_changes, load_study, study_names

FACTS = {  # schedule, most clusters, backbone, method: method section of the paper
    "cifar10": ("20x5,100x4,500x3", 100, "resnet18", "simsiam"),
    "cifar100": ("500x10", 500, "wrn28_8", "simsiam"),
    "svhn": ("20x25", 100, "resnet18", "simsiam"),
    "imagenet100": ("200x5,500x2", 300, "resnet50", "byol"),
    "pets": ("40x10", 150, "resnet50", "byol"),
}


def options(*settings, **typed):
    empty = dict.fromkeys(("strategies", "schedule", "seeds", "max_clusters", "candidates"))
    return AskedComparison(**{**empty, **typed}, settings=settings)


def test_the_papers_five_studies_are_there_and_its_sweep():
    assert study_names() == sorted([*FACTS, "cifar10_clusters"])


@pytest.mark.parametrize("name", FACTS)
def test_a_study_says_what_the_paper_says(name):
    found, study = load_study(name)
    comparison = options().comparison((found, study))
    recipe = make_recipe(study.features.recipe, study.features.settings)
    schedule = str(Schedule.parse(study.schedule))
    assert (schedule, study.max_clusters, recipe.backbone, recipe.method) == FACTS[name]
    assert study.data == name
    assert study.data in NAMED
    assert comparison.seeds == (0, 1, 2, 3, 4)
    assert comparison.strategies[0] == "random"
    assert all(comparison.variants[name] == [{}, {"preset": "paper"}] for name in ("ntkcpl_self", "ntkcpl_al"))
    assert {"ntkcpl", "ridge"} <= set(study.deviations)
    assert {"ntkcpl_self", "ntkcpl_al", "lookahead", "typiclust"} < set(comparison.strategies)
    assert comparison.shared == {"max_clusters": FACTS[name][1], "candidates": 10000}
    assert comparison.settings["learner"] == {"hidden": "512"}
    assert comparison.kind == name
    large = name in ("cifar100", "imagenet100", "pets")
    assert ("badge_partition" in comparison.strategies, "badge" in comparison.strategies) == (large, not large)


@pytest.mark.parametrize("name", ["cifar100", "svhn", "pets"])
def test_budgets_that_the_paper_does_not_state_are_marked(name):
    assert "choice" in load_study(name)[1].not_stated["schedule"]


def test_options_override_the_study():
    found = options(
        "learner.epochs=3", strategies="random,entropy", schedule="5x2", seeds="2", max_clusters=7, candidates="all"
    ).comparison(load_study("cifar10"))
    assert (found.strategies, str(found.schedule), found.seeds) == (("random", "entropy"), "5x2", (0, 1))
    assert found.shared == {"max_clusters": 7, "candidates": "all"}
    assert found.settings["learner"] == {"hidden": "512", "epochs": "3"}


class TestLearner:
    @pytest.fixture
    def compare(self, tmp_path):
        """The comparison of a study with this learner and options."""

        def of(planned, *settings, **typed):
            study = load_study("cifar10")[1].model_dump(mode="json") | {"learner": planned}
            (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study))
            found = options(*settings, **typed).comparison(load_study(str(tmp_path / "mine.yaml")))
            return parse_learner(found.settings.get("learner", {}))

        return of

    def test_a_name_or_a_name_with_settings(self, compare):
        assert compare("knn") == named("knn")
        assert compare({"name": "knn", "neighbours": 3}) == named("knn", {"neighbours": 3})
        assert compare({}) == compare("mlp") == compare({"name": "mlp"}) == LearnerSpec()

    def test_the_command_line_wins(self, compare):
        planned = {"name": "knn", "neighbours": 3}
        assert compare(planned, "learner.temperature=1") == named("knn", {"neighbours": 3, "temperature": 1})
        assert compare(planned, learner="knn") == named("knn", {"neighbours": 3})
        assert compare(planned, learner="linear") == named("linear")
        assert compare({"hidden": 16}, learner="mlp") == LearnerSpec(hidden=16)
        assert compare({"hidden": 16}, "learner.penalty=1", learner="linear") == named("linear", {"penalty": 1.0})


class TestConfigurations:
    """Several configurations of a strategy."""

    @pytest.fixture
    def compare(self, tmp_path):
        """The comparison of a study with these strategies and options."""

        def of(strategies, *settings, **typed):
            study = load_study("cifar10")[1].model_dump(mode="json") | {"schedule": "10x2", "seeds": 2}
            (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study | {"strategies": strategies}))
            return options(*settings, **typed).comparison(load_study(str(tmp_path / "mine.yaml")))

        return of

    def test_run_side_by_side(self, compare):
        data = load_dataset("digits")
        specs = compare(["random", "ntkcpl_al", {"name": "ntkcpl_al", "preset": "paper"}]).specs(data)
        assert [(spec.strategy, spec.seed, list(spec.preset)) for spec in specs] == [
            *[("random", 0, []), ("ntkcpl_al", 0, []), ("ntkcpl_al", 0, ["paper"])],
            *[("random", 1, []), ("ntkcpl_al", 1, []), ("ntkcpl_al", 1, ["paper"])],
        ]
        assert len({spec.trajectory_id for spec in specs}) == 6

    def test_two_ways_to_write_a_preset_are_one_trajectory(self, compare):
        data, written = load_dataset("digits"), [{"name": "ntkcpl_al", **PAPER}]
        one, two = (compare(each).specs(data) for each in (written, [{"name": "ntkcpl_al", "preset": "paper"}]))
        three = compare(["ntkcpl_al"], "ntkcpl_al.preset=paper").specs(data)
        assert one == two == three

    def test_options_win_over_each_and_they_over_the_study(self, compare):
        entries = [{"name": "ntkcpl_al", "max_clusters": 3}, {"name": "ntkcpl_al", "preset": "paper"}]
        data = load_dataset("digits")

        def found(*settings, **typed):
            return [
                (spec.params["max_clusters"], spec.params["ridge"])
                for spec in compare(entries, *settings, seeds="1", **typed).specs(data)
            ]

        assert found() == [(3, 0.01), (10, 0.0001)]
        assert found(max_clusters=5) == [(5, 0.01), (5, 0.0001)]
        assert found("ntkcpl_al.ridge=0.1") == [(3, 0.1), (10, 0.1)]

    def test_those_that_pick_the_same_run_once(self, compare):
        entries = ["ntkcpl_al", {"name": "ntkcpl_al", "cluster_rule": "half_query", "max_clusters": 5}]
        data = load_dataset("digits")
        assert len(compare(entries).specs(data)) == 4
        once = compare([*entries, {"name": "ntkcpl_al", "max_clusters": 5}])
        assert len(once.specs(data)) == 4
        assert once.notes[1:] == [
            "ntkcpl_al: cluster_rule=half_query makes no difference on 10x2; it runs as cluster_rule=half_total, with"
            " the same picks.",
            "ntkcpl_al: two of its configurations pick the same on 10x2; they run as one.",
        ]

    @pytest.mark.parametrize(
        ("strategies", "complaint"),
        [
            ([3], "Expected a valid `mine.strategies`, but got 3: .* neither a name nor {name"),
            ([{"preset": "paper"}], "^Expected `mine.strategies.0.name`, but it is missing.$"),
            (["random", "random"], "Expected configurations that differ, but got `random` twice"),
            ([{"name": "ntkcpl_al", "preset": "pap"}], "Expected a preset of `ntkcpl_al` among paper, but got `pap`"),
            ([{"name": "ntkcpl_al", "ridge": "x"}], "Expected a valid `ntkcpl_al.ridge`"),
            ([{"name": "random", "ridge": 1}], "Expected no hyperparameter of `random`, which has none"),
            ([{"name": "ntkcpl", "preset": "paper"}], "Expected a strategy among"),
        ],
    )
    def test_bad_ones_are_one_line(self, compare, strategies, complaint):
        with pytest.raises((SpecError, StrategyError), match=complaint) as error:
            compare(strategies).specs(load_dataset("digits"))
        assert "\n" not in str(error.value)


class TestPools:
    def test_a_study_lists_some_and_options_replace_them(self, tmp_path):
        study = load_study("cifar10")[1].model_dump(mode="json")
        pools = [{}, {"pool": "longtail:20"}, {"pool": "subset:300", "label_noise": 0.1, "pool_seed": 2}]
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study | {"pools": pools}))
        plan = load_study(str(tmp_path / "mine.yaml"))
        noisy = PoolSpec(pool="subset:300", label_noise="0.1", pool_seed=2)
        assert asked_pools(plan, None, None, None, 0) == (PoolSpec(), PoolSpec(pool="longtail:20"), noisy)
        assert asked_pools(plan, None, "0.3", None, 0) == (PoolSpec(label_noise="0.3"),)

    def test_without_any_the_data_is_taken_as_it_is(self):
        assert asked_pools(None, None, None, None, 0) == (PoolSpec(),)
        assert asked_pools(load_study("cifar10"), None, None, None, 0) == (PoolSpec(),)

    @pytest.mark.parametrize(
        ("pools", "complaint"),
        [
            (
                [{"pool": "subset:9"}, {"pool": "subset:9"}],
                'Expected pools that differ, but got {"pool":"subset:9"} twice',
            ),
            ([{"size": 3}], "Expected no `mine.pools.0.size`"),
            ([{"pool_seed": -1}], "Expected a valid `mine.pools"),
        ],
    )
    def test_bad_ones_are_one_line(self, tmp_path, pools, complaint):
        study = load_study("cifar10")[1].model_dump(mode="json") | {"pools": pools}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study))
        with pytest.raises(SpecError, match=complaint):
            asked_pools(load_study(str(tmp_path / "mine.yaml")), None, None, None, 0)


def test_without_a_study_the_options_must_say_all():
    with pytest.raises(SpecError, match="Expected --strategies and --schedule, or a --study"):
        options().comparison(None)
    assert options(strategies="random", schedule="5x2").comparison(None).kind == "compare"


def test_feature_settings_change_the_stage_or_the_recipe():
    changes = feature_changes(["features.epochs=3", "features.limit=500", "learner.epochs=1"])
    stage = load_study("cifar10")[1].features.changed(changes)
    assert stage.limit == 500
    assert make_recipe(stage.recipe, stage.settings).epochs == 3
    narrow = stage.changed({"backbone": "wrn10_2"})
    assert make_recipe(narrow.recipe, narrow.settings).backbone == "wrn10_2"
    foreign = stage.changed({"checkpoint": "x.pt", "backbone": "resnet50"})
    assert (foreign.checkpoint, foreign.backbone) == ("x.pt", "resnet50")


@pytest.mark.parametrize("text", ["features.epochs", "features.=3", "features.limit=few"])
def test_feature_settings_that_do_not_parse(text):
    with pytest.raises(SpecError, match="Expected"):
        load_study("cifar10")[1].features.changed(feature_changes([text]))


WHOLE = "title: x\ndata: digits\nschedule: 10x2\nfeatures: {recipe: simsiam_digits}\n"
BOMB = "sweep:\n  space:\n    - &x0 [a, a]\n" + "".join(
    f"    - &x{k + 1} [{', '.join([f'*x{k}'] * 9)}]\n" for k in range(40)
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [1", "Expected YAML"),
        ("title: x", "^Expected `mine.strategies`, but it is missing.$"),
        ("title: x\ndata: digits\nfeatures: {}", "^Expected `mine.features.recipe`, but it is missing.$"),
        ("- 1", "^Expected a valid `mine`, but got .1.: Input should be names with values, such as {a: 1}"),
        (
            "sedes: 2",
            "^Expected parts of a study among title, .*, but got `sedes` in .*mine.yaml. Did you mean `seeds`",
        ),
        (WHOLE + "strategies: random", "`mine.strategies`, but got 'random': Input should be a list, such as "),
        (
            WHOLE + "strategies: [random]\npools: {pool: longtail:20}",
            "`mine.pools`, .*: Input should be a list, such as",
        ),
        (
            WHOLE + "strategies: [random]\nsweep: {spaces: {}}",
            "^Expected no `mine.sweep.spaces`, as there is no such setting",
        ),
        ("!!python/object/apply:os.system [echo]", "Expected YAML"),
        ("seeds: 2\ntitle: x\nseeds: 5", "found `seeds` twice in .*, line 3, column 1"),
        ("strategies: [random, {name: ntkcpl_al, max_clusters: 50, max_clusters: 20}]", "found `max_clusters` twice"),
        (BOMB, "found more than 100000 values, those that aliases repeat among them in .*, line 9, column"),
        (BOMB.replace("- &", "- <<: &").replace("[a", "[{a: 1}"), "found more than 100000 values"),
        (WHOLE + "strategies: &a [random, *a]", r"got \['random', \[...\]\]"),
        (WHOLE + f"strategies: {'x' * 5000}", "^Expected .*, but got 'x{199} ...: Input should be a list"),
        (f"title: {'[' * 2000}{']' * 2000}", "more lists or mappings in one another than can be read"),
        *(
            (f"title: !!{tag}", f"found what is no `{tag.split()[0]}`, as its tag says in .*, line 1, column 8")
            for tag in ("bool perhaps", 'int ""', 'float ""', "timestamp soon", "int {a: 1}")
        ),
    ],
)
def test_a_file_that_is_no_study_is_one_line(tmp_path, text, complaint):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(SpecError, match=complaint):
        load_study(str(tmp_path / "mine.yaml"))


def test_a_study_of_ones_own(tmp_path):
    study = load_study("cifar10")[1].model_dump(mode="json") | {"data": "digits", "schedule": "10x2"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study))
    assert options().comparison(load_study(str(tmp_path / "mine.yaml"))).kind == "mine"


def test_a_study_of_ones_own_is_not_called_like_one_of_the_papers(tmp_path):
    (tmp_path / "cifar10.yaml").write_text("seeds: 2")
    with pytest.raises(SpecError, match="none of the paper's studies', but got"):
        load_study(str(tmp_path / "cifar10.yaml"))


@pytest.mark.parametrize("name", ["cifar", "no.yaml", "../cifar10"])
def test_unknown_studies_are_refused(name):
    with pytest.raises(SpecError, match="Expected a study among cifar10, cifar100, cifar10_clusters, imagenet100"):
        load_study(name)


class TestNamesForSeveral:
    def test_they_stand_for_their_members(self):
        assert parse_strategies("recommended") == SETS["recommended"]
        assert parse_strategies("margin, recommended") == ("margin", *SETS["recommended"])
        assert parse_strategies("all") == tuple(BUILT_IN)

    def test_a_member_is_not_asked_for_twice(self):
        with pytest.raises(SpecError, match="`badge` 2 times in `recommended,badge`"):
            parse_strategies("recommended,badge")


class TestOracle:
    def test_is_run_beside_the_strategies(self):
        asked = options(strategies="random", schedule="5x2", oracle="boss")
        assert asked.comparison(None).oracle == "boss"

    def test_takes_settings(self):
        asked = options("boss.n_batches=7", strategies="random", schedule="5x2", oracle="boss")
        specs = asked.comparison(None).specs(load_dataset("digits"))
        assert [spec.params.get("n_batches") for spec in specs[:2]] == [None, 7]

    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            (
                {"strategies": "random,boss"},
                "`boss` is an oracle, which draws a bound into the figures: use --oracle boss",
            ),
            ({"strategies": "strategies.boss:Boss"}, "`strategies.boss:Boss` is an oracle"),
            (
                {"strategies": "random", "oracle": "bos"},
                "among boss, but got `bos`. Did you mean `boss`",
            ),
        ],
    )
    def test_is_no_strategy_and_no_strategy_is_one(self, typed, said):
        with pytest.raises(SpecError, match=re.escape(said)):
            options(schedule="5x2", **typed).comparison(None)
