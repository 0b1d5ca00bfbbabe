from analysis.formats import slugs


def test_slugs_are_names_of_files_of_their_own():
    """Also on a file system where case does not count."""
    assert slugs(["a b", "a-b", "A/B", "c", "a-b_"]) == ["a-b", "a-b_", "A-B__", "c", "a-b___"]
    assert slugs(["é", "..", "data"]) == ["data", "data_", "data__"]


def test_slugs_are_short_enough_for_a_file():
    one, other = slugs(["x" * 300, "x" * 301])
    assert one != other
    assert max(len(one), len(other)) < 100
