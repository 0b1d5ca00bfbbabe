from analysis.formats import slugs


def test_slugs_are_names_of_files_of_their_own():
    """Also on a file system where case does not count."""
    assert slugs(["a b", "a-b", "A/B", "c", "a-b_"]) == ["a-b", "a-b_", "A-B__", "c", "a-b___"]
    assert slugs(["é", "..", "data"]) == ["data", "data_", "data__"]
