#!/usr/bin/env python3
"""Draws docs/latency.svg from the figures of a run: how late readiness is noticed, by how long was waited.

plot.py FIGURES OUT
"""

import math
import sys

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 30, 50
X = (0.1, 600)  # seconds waited
Y = (1, 2000)  # milliseconds late


def place(value, bounds, start, end):
    low, high = (math.log10(bound) for bound in bounds)
    return start + (math.log10(value) - low) / (high - low) * (end - start)


def x(seconds):
    return place(seconds, X, LEFT, WIDTH - RIGHT)


def y(late):
    return place(max(late, Y[0]), Y, HEIGHT - BOTTOM, TOP)


def text(at_x, at_y, words, anchor="middle"):
    return f'<text x="{at_x:.0f}" y="{at_y:.0f}" text-anchor="{anchor}">{words}</text>'


def line(points, style):
    joined = " ".join(f"{x(seconds):.1f},{y(late):.1f}" for seconds, late in points)
    return f'<polyline points="{joined}" fill="none" {style}/>'


def drawn(figures):
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for seconds in (0.1, 1, 10, 60, 300):
        parts.append(line([(seconds, Y[0]), (seconds, Y[1])], 'stroke="#ddd"'))
        parts.append(text(x(seconds), HEIGHT - BOTTOM + 18, f"{seconds:g} s"))
    for late in (1, 10, 100, 1000):
        parts.append(line([(X[0], late), (X[1], late)], 'stroke="#ddd"'))
        parts.append(text(LEFT - 8, y(late) + 4, f"{late} ms", "end"))
    # A fixed pause is noticed half of it late in the middle, and 95% of it late at the 95th percentile.
    for pause, label in ((100, "every 100 ms"), (1000, "every second")):
        parts.append(line([(X[0], pause / 2), (X[1], pause / 2)], 'stroke="#888" stroke-width="2"'))
        parts.append(text(WIDTH - RIGHT - 4, y(pause / 2) - 6, f"{label}, median", "end"))
    for what, style in (
        ("p95", 'stroke="#1f5fa8" stroke-width="2" stroke-dasharray="5 4"'),
        ("median", 'stroke="#1f5fa8" stroke-width="3"'),
    ):
        waits = sorted(
            float(name.split(".", 2)[2].rsplit(".", 1)[0])
            for name in figures
            if name.startswith("latency.tcp.") and name.endswith("." + what)
        )
        points = [(wait, figures[f"latency.tcp.{wait:g}.{what}"]) for wait in waits]
        parts.append(line(points, style))
        parts.append(text(x(points[0][0]), y(points[0][1]) - 8, f"afterall, {what}", "start"))
    parts.append(text(WIDTH / 2, HEIGHT - 10, "time waited for a refused port on this machine"))
    parts.append(text(LEFT, TOP - 12, "the command starts so long after the port is open", "start"))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def main():
    source, out = sys.argv[1:]
    with open(source) as file:
        figures = {name: float(value) for name, value in (row.split() for row in file)}
    with open(out, "w") as file:
        file.write(drawn(figures))


main()
