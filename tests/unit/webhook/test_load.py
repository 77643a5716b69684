"""How much is taken on before it is refused."""

from webhook.load import Load


def test_there_is_room_until_the_wait_would_be_too_long() -> None:
    """Reviews are answered one after another: so many wait so long."""
    load = Load(max_wait_seconds=0.5, max_reviews=1000, max_bytes=1)
    for _ in range(200):
        load.took(0.01)
    load.reviews = 49
    assert load.has_room()
    load.reviews = 51
    assert not load.has_room()


def test_slower_reviews_leave_less_room_and_faster_ones_more() -> None:
    """The machine may be throttled, and get its share back."""
    load = Load(max_wait_seconds=0.5, max_reviews=1000, max_bytes=1)
    load.reviews = 100
    assert load.has_room()
    for _ in range(50):
        load.took(0.1)
    assert not load.has_room()
    for _ in range(50):
        load.took(0.0001)
    assert load.has_room()


def test_one_slow_review_does_not_close_the_door() -> None:
    """A moving average: the largest review there can be is no overload."""
    load = Load(max_wait_seconds=0.5, max_reviews=1000, max_bytes=1)
    load.took(0.2)
    load.reviews = 10
    assert load.has_room()


def test_the_number_is_bounded_however_fast_they_are() -> None:
    """Each holds memory."""
    load = Load(max_wait_seconds=10, max_reviews=5, max_bytes=1)
    load.reviews = 4
    assert load.has_room()
    load.reviews = 5
    assert not load.has_room()


def test_bytes_are_bounded() -> None:
    """All bodies together."""
    load = Load(max_wait_seconds=10, max_reviews=5, max_bytes=100)
    load.held_bytes = 60
    assert load.has_memory(40)
    assert not load.has_memory(41)
