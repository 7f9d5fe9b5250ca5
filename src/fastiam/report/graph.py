"""A graph of paths as SVG: columns by the distance to the targets, which are on the right."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Final

from markupsafe import Markup

from fastiam.report.highlighting import visible
from fastiam.report.pictures import Graph, GraphEdge, short_names

MAX_NODES: Final = 150  # of a graph that is drawn
_CHARACTERS: Final = 34  # of a name that is shown
_SMALL: Final = 42  # of the patterns below it
_WIDTH, _HEIGHT, _GAP, _BETWEEN = 290, 40, 8, 120


def drawn_graph(graph: Graph) -> Markup:
    """Return a graph as SVG, and the same paths as a list for narrow screens."""
    distances = _distances(graph)
    order = sorted(distances, key=lambda name: (distances[name], name))
    kept = set(order[:MAX_NODES])
    edges = [edge for edge in graph.edges if edge.source in kept and edge.target in kept]
    names = short_names(kept)
    places = _places({name: distances[name] for name in order if name in kept}, edges)
    width = max(x for x, _ in places.values()) + _WIDTH + 2
    height = max(y for _, y in places.values()) + _HEIGHT + 2
    parts = [_line(edge, places) for edge in edges]
    labels: dict[str, str] = {}
    for edge in edges:
        labels.setdefault(edge.source, edge.label)
    parts += [
        _box(name, names[name], "" if name in graph.targets else labels[name], places[name]) for name in order if name in kept
    ]
    svg = Markup('<svg class="graph" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>').format(
        visible_text(graph.title), width, height, width, height, Markup("").join(parts)
    )
    more = len(distances) - len(kept)
    note = Markup('<p class="note">{} more users and roles are in the table only.</p>').format(more) if more else Markup("")
    return Markup('<div class="drawing" tabindex="0" role="region" aria-label="{}">{}</div>{}{}').format(
        visible_text(graph.title), svg, _list(edges, names), note
    )


def _distances(graph: Graph) -> dict[str, int]:
    """The number of edges from each node to the nearest target."""
    arriving: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        arriving[edge.target].append(edge.source)
    found = dict.fromkeys(graph.targets, 0)
    waiting = deque(graph.targets)
    while waiting:
        node = waiting.popleft()
        for source in arriving[node]:
            if source not in found:
                found[source] = found[node] + 1
                waiting.append(source)
    return found


def _places(distances: Mapping[str, int], edges: list[GraphEdge]) -> dict[str, tuple[float, float]]:
    """The top left corner of each node: sources at the height of their targets, as far as there is room."""
    following: dict[str, str] = {}
    for edge in edges:
        following.setdefault(edge.source, edge.target)
    members: dict[int, list[str]] = defaultdict(list)
    for name, distance in distances.items():
        members[distance].append(name)
    last = max(members)
    found: dict[str, tuple[float, float]] = {}
    counts: dict[str, int] = defaultdict(int)
    for name in distances:
        node = name
        while node in following and distances.get(node, 0) > 0:
            node = following[node]
            counts[node] += 1
    for distance in range(last + 1):
        x = (last - distance) * (_WIDTH + _BETWEEN) + 1
        if distance == 0:
            y = 1.0
            for name in sorted(members[0], key=lambda name: -counts[name]):
                room = max(counts[name], 1) * (_HEIGHT + _GAP)
                found[name] = x, y
                y += room + _GAP
            continue
        free = 1.0
        for name in sorted(members[distance], key=lambda name: (found[following[name]][1], name)):
            found[name] = x, max(free, found[following[name]][1])
            free = found[name][1] + _HEIGHT + _GAP
    return found


def _line(edge: GraphEdge, places: Mapping[str, tuple[float, float]]) -> Markup:
    (x, y), (to_x, to_y) = places[edge.source], places[edge.target]
    start, end = (x + _WIDTH, y + _HEIGHT / 2), (to_x, to_y + _HEIGHT / 2)
    middle = (start[0] + end[0]) / 2
    path = f"M{start[0]:.0f} {start[1]:.0f}C{middle:.0f} {start[1]:.0f} {middle:.0f} {end[1]:.0f} {end[0]:.0f} {end[1]:.0f}"
    kind = "sure" if edge.is_sure else "possible"
    return Markup('<path class="{}" d="{}"><title>{}</title></path>').format(kind, path, visible_text(edge.label))


def _box(name: str, text: str, label: str, place: tuple[float, float]) -> Markup:
    """A node with the patterns of its edge; a target has none."""
    x, y = place
    box = Markup('<rect x="{:.0f}" y="{:.0f}" width="{}" height="{}" rx="4"/>').format(x, y, _WIDTH, _HEIGHT)
    lines = Markup('<text x="{:.0f}" y="{:.0f}">{}</text>').format(x + 8, y + 17, _cut(text, _CHARACTERS))
    if label:
        lines += Markup('<text class="small" x="{:.0f}" y="{:.0f}">{}</text>').format(x + 8, y + 32, _cut(label, _SMALL))
    kind = "source" if label else "target"
    return Markup('<g class="{}"><title>{}</title>{}{}</g>').format(kind, visible_text(f"{name} {label}".strip()), box, lines)


def _cut(text: str, most: int) -> str:
    """A text that is cut in the middle: similar names differ in their ends."""
    shown = visible_text(text)
    return shown if len(shown) <= most else f"{shown[: most // 2]}\u2026{shown[1 - most // 2 :]}"


def _list(edges: list[GraphEdge], names: Mapping[str, str]) -> Markup:
    lines = (
        Markup('<li class="{}"><code>{}</code> by {} to <code>{}</code></li>').format(
            "sure" if edge.is_sure else "possible", visible(names[edge.source]), visible(edge.label), visible(names[edge.target])
        )
        for edge in edges
    )
    return Markup('<ul class="listed">{}</ul>').format(Markup("").join(lines))


def visible_text(text: str) -> str:
    """A text for an element that has no children: invisible characters become their numbers."""
    return visible(text).striptags() if not (text.isascii() and text.isprintable()) else text
