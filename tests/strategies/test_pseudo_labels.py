import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from strategies.exceptions import InvalidParameterError
from strategies.functional.pseudo_labels import (
    _starting_centres,
    constrained_kmeans,
    n_pseudo_classes,
    split_by_confusion,
)


def random(seed=0):
    return np.random.default_rng(seed)


def draw_blobs(n=90, n_blobs=3):
    blob = np.arange(n) % n_blobs
    return (10 * np.eye(n_blobs)[blob] + random().normal(size=(n, n_blobs))).astype(np.float32), blob


def centres_of(points, clusters):
    return np.stack([points[clusters == k].mean(axis=0) for k in range(clusters.max() + 1)])


class TestNumberOfClusters:
    def test_totals_of_the_paper(self):
        totals = [20, 40, 60, 80, 100, 200, 300, 400]
        rounds = zip([0, *totals], totals, strict=False)
        found = [n_pseudo_classes(before, after - before, 100, cap_first_round=False) for before, after in rounds]
        assert found == [20, 20, 30, 40, 50, 100, 100, 100]

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ("half_total", [20, 20, 30, 40, 50, 100]),
            ("half_labelled", [20, 10, 20, 30, 40, 50]),
            ("half_query", [20, 10, 10, 10, 10, 50]),
        ],
    )
    def test_three_readings_of_the_paper(self, rule, expected):
        totals = [20, 40, 60, 80, 100, 200]
        rounds = zip([0, *totals], totals, strict=False)
        found = [n_pseudo_classes(a, b - a, 100, cap_first_round=False, rule=rule) for a, b in rounds]
        assert found == expected
        assert n_pseudo_classes(1, 1, 5, cap_first_round=False, rule=rule) == 1

    @pytest.mark.parametrize(("capped", "expected"), [(True, 100), (False, 300)])
    def test_cap_of_the_first_round(self, capped, expected):
        assert n_pseudo_classes(0, 300, 100, cap_first_round=capped) == expected
        assert n_pseudo_classes(300, 300, 100, cap_first_round=capped) == 100

    def test_at_least_one(self):
        assert n_pseudo_classes(1, 1, 1, cap_first_round=True) == 1
        assert n_pseudo_classes(1, 0, 5, cap_first_round=True) == 1


@pytest.mark.parametrize("constraint", ["relaxed", "strict"])
class TestConstrainedKMeans:
    def test_separated_blobs_are_the_classes(self, constraint):
        points, blob = draw_blobs()
        labelled = np.array([4, 2, 0, 30, 32])
        found = constrained_kmeans(points, 3, labelled, blob[labelled], constraint=constraint, rng=random())
        # The clusters of the classes seen are numbered as the classes are.
        np.testing.assert_array_equal(found, blob)

    def test_assignment_is_stationary(self, constraint):
        points = random(1).normal(size=(200, 2)).astype(np.float32)
        labelled, labels = np.array([3, 8, 50, 51]), np.array([0, 0, 1, 1])
        found = constrained_kmeans(points, 5, labelled, labels, constraint=constraint, rng=random())
        pulled = found.copy()
        if constraint == "relaxed":
            pulled[labelled] = labels
        nearest = cdist(points, centres_of(points, pulled)).argmin(axis=1)
        free = np.ones(200, dtype=bool)
        free[labelled] = constraint == "relaxed"
        np.testing.assert_array_equal(found[free], nearest[free])

    @pytest.mark.parametrize("seed", range(3))
    def test_nothing_labelled_is_plain_k_means(self, constraint, seed):
        points, none = draw_blobs()[0], np.empty(0, dtype=np.int64)
        found = constrained_kmeans(points, 4, none, none, constraint=constraint, rng=random(seed))
        np.testing.assert_array_equal(found, cdist(points, centres_of(points, found)).argmin(axis=1))

    def test_all_points_labelled(self, constraint):
        points, blob = draw_blobs(30)
        found = constrained_kmeans(points, 3, np.arange(30), blob, constraint=constraint, rng=random())
        np.testing.assert_array_equal(found, blob)

    def test_more_clusters_than_unlabelled_points(self, constraint):
        points, blob = draw_blobs(12)
        found = constrained_kmeans(points, 12, np.arange(10), blob[:10], constraint=constraint, rng=random())
        assert found.min() >= 0
        assert found.max() < 12

    @pytest.mark.parametrize("n_clusters", [1, 2, 5])
    def test_equal_points(self, constraint, n_clusters):
        points = np.ones((8, 3), dtype=np.float32)
        found = constrained_kmeans(
            points, n_clusters, np.array([1, 2]), np.array([4, 4]), constraint=constraint, rng=random()
        )
        assert found.dtype == np.int64
        assert len(set(found.tolist())) == 1

    def test_inputs_are_unmodified(self, constraint):
        points, blob = draw_blobs()
        untouched = points.copy()
        constrained_kmeans(points, 5, np.arange(6), blob[:6], constraint=constraint, rng=random())
        np.testing.assert_array_equal(points, untouched)


class TestRelaxed:
    def test_labelled_points_pull_their_own_centre_but_go_to_the_nearest(self):
        points = np.array([[0.0], [6.5], [9.0], [10.0], [10.0]])
        free = constrained_kmeans(points, 2, np.array([0, 3]), np.array([0, 1]), constraint="relaxed", rng=random())
        np.testing.assert_array_equal(free, [0, 1, 1, 1, 1])
        # A second labelled point at 9 moves the centre of class 0 to (0 + 9) / 2 and, with 6.5, to 5.2.
        labelled, labels = np.array([0, 2, 3]), np.array([0, 0, 1])
        pulled = constrained_kmeans(points, 2, labelled, labels, constraint="relaxed", rng=random())
        np.testing.assert_array_equal(pulled, [0, 0, 1, 1, 1])

    def test_with_too_few_clusters_the_rarest_classes_have_no_centre(self):
        points, blob = draw_blobs()
        labelled = np.array([0, 1, 4, 2, 5])
        found = constrained_kmeans(points, 2, labelled, blob[labelled], constraint="relaxed", rng=random())
        assert set(found[blob == 1]) == {0}
        assert set(found[blob == 2]) == {1}


class TestStrict:
    @settings(deadline=None, max_examples=60)
    @given(
        seed=st.integers(0, 10**6),
        n_labelled=st.integers(0, 12),
        n_classes=st.integers(1, 5),
        spare=st.integers(0, 4),
        coarse=st.booleans(),
    )
    def test_must_link_and_cannot_link_always_hold(self, seed, n_labelled, n_classes, spare, coarse):
        rng = random(seed)
        points = rng.normal(size=(20, 2))
        points = np.round(points) if coarse else points
        labelled = rng.choice(20, size=n_labelled, replace=False)
        labels = rng.integers(n_classes, size=n_labelled)
        found = constrained_kmeans(points, n_classes + spare, labelled, labels, constraint="strict", rng=rng)[labelled]
        np.testing.assert_array_equal(found[:, None] == found, labels[:, None] == labels)

    @pytest.mark.parametrize("seed", range(8))
    def test_is_cop_kmeans(self, seed):
        """Wagstaff et al. 2001, table 2: each point in turn goes to the nearest centre that breaks no constraint."""
        rng = random(seed)
        points, n_clusters = rng.normal(size=(30, 2)), 6
        labelled, labels = rng.choice(30, size=9, replace=False), rng.integers(4, size=9)
        class_of = dict(zip(labelled.tolist(), labels.tolist(), strict=True))
        firsts = [int(labelled[labels == k][0]) for k in np.unique(labels)]
        in_turn = [*sorted(firsts), *(i for i in range(30) if i not in firsts)]
        anchors = [labelled[labels == k] for k in np.unique(labels)]
        centres = _starting_centres(points, n_clusters, anchors, labelled, random(seed))
        before = {}
        for _ in range(100):  # it need not converge
            assigned = {}
            for i in in_turn:
                linked = [
                    (class_of[j] == class_of[i], assigned[j]) for j in assigned if i in class_of and j in class_of
                ]
                by_distance = np.argsort(((points[i] - centres) ** 2).sum(axis=1))
                assigned[i] = next(int(k) for k in by_distance if all(same == (k == other) for same, other in linked))
            if assigned == before:
                break
            before = assigned
            groups = [[i for i in assigned if assigned[i] == k] for k in range(n_clusters)]
            centres = np.stack(
                [points[own].mean(axis=0) if own else old for own, old in zip(groups, centres, strict=True)]
            )
        found = constrained_kmeans(points, n_clusters, labelled, labels, constraint="strict", rng=random(seed))
        assert found.tolist() == [assigned[i] for i in range(30)]

    def test_more_classes_than_clusters_is_one_line(self):
        points, blob = draw_blobs()
        with pytest.raises(InvalidParameterError, match=r"^Expected at least 3 clusters .* but got 2; .*\.$"):
            constrained_kmeans(points, 2, np.arange(6), blob[:6], constraint="strict", rng=random())


class TestSplitByConfusion:
    # Three clusters on a line, each of two lumps.
    LINE = np.array([0, 0, 1, 1, 1, 10, 10, 11, 11, 11, 20, 20, 20, 20, 21, 21, 21])[:, None].astype(np.float64)
    CLUSTERS = np.repeat([0, 1, 2], [5, 5, 7])

    def split(self, n_clusters, predicted):
        return split_by_confusion(self.LINE, self.CLUSTERS, np.array(predicted), n_clusters, rng=random())

    def test_most_confusing_samples_first(self):
        predicted = [0] * 4 + [1] + [1] * 3 + [2] * 2 + [2] * 7
        found = self.split(4, predicted)
        assert set(found[5:10]) == {1, 3}
        assert set(found[:5]) == {0}
        assert set(found[10:]) == {2}

    def test_then_the_next(self):
        predicted = [0] * 4 + [1] + [1] * 3 + [2] * 2 + [2] * 7
        found = self.split(5, predicted)
        assert [len(set(found[part])) for part in (slice(5), slice(5, 10), slice(10, 17))] == [2, 2, 1]

    def test_halves_are_those_of_two_means(self):
        found = self.split(6, [0] * 17)
        assert len({(x, k) for x, k in zip(self.LINE[:, 0], found, strict=True)}) == 6

    def test_without_confusion_the_largest(self):
        found = self.split(4, [0] * 17)
        assert [len(set(found[part])) for part in (slice(5), slice(5, 10), slice(10, 17))] == [1, 1, 2]

    def test_stops_when_no_cluster_can_be_split(self):
        assert self.split(50, [0] * 17).max() + 1 == 6
        same = split_by_confusion(np.ones((9, 2)), np.zeros(9, int), np.arange(9), 5, rng=random())
        np.testing.assert_array_equal(same, 0)

    def test_enough_clusters_stay_as_they_are(self):
        clusters = np.array([7, 7, 2, 2, 9])
        found = split_by_confusion(random().normal(size=(5, 2)), clusters, np.arange(5), 2, rng=random())
        np.testing.assert_array_equal(found, [1, 1, 0, 0, 2])

    @settings(deadline=None, max_examples=40)
    @given(
        seed=st.integers(0, 10**6), n=st.integers(1, 25), n_clusters=st.integers(1, 30), n_distinct=st.integers(1, 30)
    )
    def test_refines_and_numbers_without_gaps(self, seed, n, n_clusters, n_distinct):
        rng = random(seed)
        points = rng.normal(size=(n_distinct, 2))[rng.integers(n_distinct, size=n)].astype(np.float32)
        clusters = rng.integers(4, size=n)
        found = split_by_confusion(points, clusters, rng.integers(3, size=n), n_clusters, rng=rng)
        numbers = np.unique(found)
        np.testing.assert_array_equal(numbers, np.arange(len(numbers)))
        assert all(len(np.unique(clusters[found == k])) == 1 for k in numbers)
        n_initial, n_possible = len(np.unique(clusters)), len(np.unique(np.c_[points, clusters], axis=0))
        assert len(numbers) == max(n_initial, min(n_clusters, n_possible))
