"""Which edges of a pixel lie between two moves of a contour tracer: the table that `vista.codec.rings` looks into."""

import numpy as np


def _swept_edges() -> tuple[np.ndarray, np.ndarray]:
    """For each pair (arrival, departure) of moves the midpoints of the edges swept over, and which of the 4 there are.

    Returns:
        complex (81, 4) and bool (81, 4).
    """
    # Clockwise on screen.
    around = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    midpoints = np.full((81, 4), np.nan, dtype=np.complex128)
    for arrival in around:
        for departure in around:
            # From where the tracer came to where it leaves, one neighbour after the other.
            back = around.index((-arrival[0], -arrival[1]))
            turns = (back - around.index(departure)) % 8 or 8
            swept = [around[(back - k) % 8] for k in range(1, turns)]
            edges = [complex(dx, dy) for dx, dy in swept if dx == 0 or dy == 0]
            arrived = arrival[0] + 3 * arrival[1]
            left = departure[0] + 3 * departure[1]
            pair = 9 * arrived + left + 40  # as `vista.codec.rings` numbers it
            midpoints[pair, : len(edges)] = edges
    midpoints[40] = [1, -1j, -1, 1j]  # a lone pixel
    return 0.5 * midpoints + (0.5 + 0.5j), ~np.isnan(midpoints)


SWEPT, IS_SWEPT = _swept_edges()
