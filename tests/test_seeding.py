from omni_msa.seeding import derive


def test_the_same_name_gives_the_same_number_always():
    # The first eight bytes of SHA-256 of "1111/order/0", without the lowest bit.
    assert derive(1111, "order", 0) == int("b9b3e17677f3f492", 16) >> 1


def test_no_two_purposes_share_a_stream():
    seeds, purposes = range(3), [("order", 0), ("order", 1), ("dropout", 0), ("adapter", "q"), ("readout",)]
    found = {derive(seed, *purpose) for seed in seeds for purpose in purposes}
    assert len(found) == 15
    assert all(0 <= number < 2**63 for number in found)
