"""Philox 4x32-10 in Python integers."""


def words_of(counter: tuple[int, ...], key: tuple[int, ...]) -> list[int]:
    """The four random words of a counter and a key, in Python integers."""
    a, b, c, d = counter
    for i in range(10):
        high_a, low_a = divmod(a * 0xD2511F53, 2**32)
        high_c, low_c = divmod(c * 0xCD9E8D57, 2**32)
        left = (key[0] + i * 0x9E3779B9) % 2**32  # the golden ratio
        right = (key[1] + i * 0xBB67AE85) % 2**32  # the square root of three, less one
        a, b, c, d = high_c ^ b ^ left, low_c, high_a ^ d ^ right, low_a
    return [a, b, c, d]
