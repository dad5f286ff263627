from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emberd.records.keys import KEY_BYTES, KeySpace, frame

parts = st.text(alphabet=st.sampled_from("ab\x00\x01é: "), max_size=4)
tuples = st.tuples(parts, parts, parts, parts, parts)


@given(tuples, tuples)
def test_no_two_different_requests_share_a_frame(one, other):
    assert (frame(*one) == frame(*other)) == (one == other)


@given(st.lists(st.text(max_size=20), max_size=20))
def test_a_key_depends_on_its_own_text_alone(texts):
    space = KeySpace("default", "f" * 32, "", "end", "f16")
    keys = space.keys(texts)
    assert keys == [space.keys([text])[0] for text in texts]
    assert all(len(key) == KEY_BYTES for key in keys)
    assert len(set(keys)) == len(set(texts))


def test_every_part_of_a_space_changes_the_key_but_the_namespace_does_not():
    base = {"namespace": "a", "fingerprint": "f", "prompt": "p", "truncate": "end", "dtype": "f16"}
    space = KeySpace(**base)
    for part in ("fingerprint", "prompt", "truncate", "dtype"):
        assert KeySpace(**{**base, part: "other"}).keys(["text"]) != space.keys(["text"])
    assert KeySpace(**{**base, "namespace": "b"}).keys(["text"]) == space.keys(["text"])


def test_equal_spaces_are_one_dictionary_key():
    one = KeySpace("a", "f", "p", "end", "f16")
    other = KeySpace("a", "f", "p", "end", "f16")
    assert {one: 1}[other] == 1
    assert one != KeySpace("b", "f", "p", "end", "f16")


def test_keys_stay_the_same_from_version_to_version():
    space = KeySpace("default", "0" * 32, "query: ", "end", "f16")
    assert space.keys(["warm"])[0].hex() == "87058a1d9b03a696d2f7194dee1770b7"
