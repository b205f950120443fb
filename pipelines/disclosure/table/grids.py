"""Moves for many cells at once that may be sums of several products, found on a small grid around each cell.

What belongs here: the grid of cells around a target, the room and price of every product on it, and their sum until
the target has risen far enough. What does not: which codes stand on the grid (cubes), the rounds.

Around a target stand, in each dimension, its own code, some partners, a profile to rise with or profiles elsewhere.
All targets of a batch have the same layout, so the products of a whole batch are compared by plain array arithmetic.
Products are added up on a private copy of the rooms: what one raises the next may lower again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PLENTY = np.int32(2**29)  # room of an absent cell, or more than any amount
TINY = np.float32(0.2)  # price of a product of hidden cells only: few products are better than many


@dataclass(frozen=True)
class Side:
    """One dimension of the grids of a batch.

    codes: shape (targets, places), the target's own first, -1 where nothing stands. shifts: per shift the places that
    rise and those that fall. valid: shape (targets, shifts).
    """

    codes: np.ndarray
    shifts: list[tuple[list[int], list[int]]]
    valid: np.ndarray


def moves_on_grids(
    index: np.ndarray,
    price: np.ndarray,
    room: np.ndarray,
    room_up: np.ndarray | None,
    sides: list[Side],
    amount: np.ndarray,
    interval: int,
    sums: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The cheapest move found per target: its price (inf: none) and the change of every cell of its grid.

    index, price, room (to fall), room_up (None: endless): shape (targets, places, places, ...). A newly hidden cell
    must change by `interval` at least in the product that hides it. sums: how many products may be added up.
    """
    count = len(index)
    change = np.zeros(index.shape, dtype=np.int32)
    barred = _barred(sides, count)
    # One product that is enough by itself, if there is one.
    cost, most = _costs(price, sides) + barred, _most(room, room_up, sides)
    single = np.where(most >= _wide(amount, most), cost, np.float32(np.inf)).reshape(count, -1)
    choice = single.argmin(axis=1)
    best = single[np.arange(count), choice]
    found = np.isfinite(best)
    _add(change, sides, choice, np.where(found, amount, 0), most.shape)
    # Several products together, for those whose single one hides something.
    rows = np.flatnonzero(best > 0)
    if sums > 1 and len(rows):
        up = None if room_up is None else room_up[rows]
        total, several = _several(
            price[rows], room[rows], up, _cut(sides, rows), amount[rows], interval, sums, best[rows]
        )
        better = total < best[rows]
        best[rows[better]], change[rows[better]] = total[better], several[better]
    return best, change


def _several(price, room, room_up, sides, amount, interval, sums, most_price):
    """Products added up, the one with the lowest price per person first. Gives up a target that costs `most_price`."""
    count = len(amount)
    price, room = price.copy(), room.copy()
    room_up = None if room_up is None else room_up.copy()
    change = np.zeros(price.shape, dtype=np.int32)
    paid = np.zeros(count, dtype=np.float32)
    left = amount.astype(np.int32)
    barred = _barred(sides, count)
    live = np.arange(count)
    for _ in range(sums):
        part = _cut(sides, live)
        up = None if room_up is None else room_up[live]
        cost, most = _costs(price[live], part) + barred[live], _most(room[live], up, part)
        wanted = _wide(left[live], most)
        useful = np.minimum(most, wanted)
        # What is hidden for this product must change by the interval, even when less is left to do.
        short = (cost > 0) & (most < interval)
        score = np.where((most < 1) | short, np.float32(np.inf), (cost + TINY) / np.maximum(useful, 1))
        score = score.reshape(len(live), -1)
        choice = score.argmin(axis=1)
        row = np.arange(len(live))
        cost, most = cost.reshape(len(live), -1)[row, choice], most.reshape(len(live), -1)[row, choice]
        step = np.where(cost > 0, np.minimum(most, np.maximum(left[live], interval)), np.minimum(most, left[live]))
        ok = np.isfinite(score[row, choice]) & (paid[live] + cost < most_price[live])
        step = np.where(ok, step, 0)
        delta = np.zeros((len(live), *price.shape[1:]), dtype=np.int32)
        _add(delta, part, choice, step, _products(part))
        change[live] += delta
        room[live] += delta
        if room_up is not None:
            room_up[live] -= delta
        price[live] = np.where(delta != 0, np.float32(0), price[live])
        paid[live] = np.where(ok, paid[live] + cost, np.float32(np.inf))
        left[live] -= step
        live = live[ok & (left[live] > 0)]
        if not len(live):
            break
    paid[left > 0] = np.inf
    return paid, change


def _products(sides: list[Side]) -> tuple[int, ...]:
    """Shape of what is known per product: (targets, shifts, shifts, ...)."""
    return (len(sides[0].valid), *(len(side.shifts) for side in sides))


def _cut(sides: list[Side], rows: np.ndarray) -> list[Side]:
    return [Side(side.codes[rows], side.shifts, side.valid[rows]) for side in sides]


def _wide(amount: np.ndarray, like: np.ndarray) -> np.ndarray:
    return amount.astype(np.int32).reshape((-1,) + (1,) * (like.ndim - 1))


def _barred(sides: list[Side], count: int) -> np.ndarray:
    """0 where all shifts of a product are there, else infinite."""
    total = np.float32(0)
    for k, side in enumerate(sides):
        shape = [count] + [1] * len(sides)
        shape[k + 1] = len(side.shifts)
        total = total + np.where(side.valid, np.float32(0), np.float32(np.inf)).reshape(shape)
    return total


def _costs(price: np.ndarray, sides: list[Side]) -> np.ndarray:
    """The price of every product: places summed, one dimension after the other."""
    for k, side in enumerate(sides):
        moved = np.moveaxis(price, k + 1, 1)
        parts = [moved[:, up + down].sum(axis=1) for up, down in side.shifts]
        price = np.moveaxis(np.stack(parts, axis=1), 1, k + 1)
    return price


def _most(room: np.ndarray, room_up: np.ndarray | None, sides: list[Side]) -> np.ndarray:
    """By how much every product may be used: the least room of its falling cells, and of its rising ones."""
    _, falling = _least_by_sign(room, sides)
    return falling if room_up is None else np.minimum(falling, _least_by_sign(room_up, sides)[0])


def _least_by_sign(room: np.ndarray, sides: list[Side]) -> tuple[np.ndarray, np.ndarray]:
    """Per product the least `room` of the cells that rise in it, and of those that fall."""
    rising, falling = room, None  # least room of cells whose sign so far is +, and of those whose sign is -
    for k, side in enumerate(sides):
        plus, minus = [], []
        up_moved = np.moveaxis(rising, k + 1, 1)
        down_moved = None if falling is None else np.moveaxis(falling, k + 1, 1)
        for up, down in side.shifts:
            a = up_moved[:, up].min(axis=1)
            b = up_moved[:, down].min(axis=1) if down else np.full_like(a, PLENTY)
            if down_moved is not None:
                b = np.minimum(b, down_moved[:, up].min(axis=1))
                if down:
                    a = np.minimum(a, down_moved[:, down].min(axis=1))
            plus.append(a)
            minus.append(b)
        rising = np.moveaxis(np.stack(plus, axis=1), 1, k + 1)
        falling = np.moveaxis(np.stack(minus, axis=1), 1, k + 1)
    return rising, falling


def _add(change: np.ndarray, sides: list[Side], choice: np.ndarray, amount: np.ndarray, shape: tuple) -> None:
    """Add `amount` of the chosen product to every target's grid."""
    at = np.unravel_index(choice, shape[1:])
    total = amount.astype(np.int32).reshape((-1,) + (1,) * len(sides))
    for k, side in enumerate(sides):
        sign = np.zeros((len(side.shifts), side.codes.shape[1]), dtype=np.int32)
        for number, (up, down) in enumerate(side.shifts):
            sign[number, up], sign[number, down] = 1, -1
        form = [len(change)] + [1] * len(sides)
        form[k + 1] = side.codes.shape[1]
        total = total * sign[at[k]].reshape(form)
    change += total
