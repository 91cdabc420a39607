"""A payoff as a picture: dots in a terminal, or PNG bytes.

Invariants: the input is the payoff as it goes over the wire (decimal texts), so that whoever shows it needs no
engine; a terminal without colours gets none; PNG needs the optional ``pictures`` packages and says so.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import plotille

WIDTH_LEAST, HEIGHT_LEAST = 40, 10
_COLOURS: Final = ("cyan", "yellow", "magenta", "green", "blue")
_BREAKEVEN: Final = "|"


class PictureUnavailable(RuntimeError):
    """The packages for PNG pictures are not installed."""


def draw_text(payoff: Mapping[str, Any], *, width: int = 78, height: int = 18, colours: bool = False) -> str:
    """Curves, the zero line, breakevens and the present price as lines of text."""
    curves = [_floats(curve) for curve in payoff["curves"]]
    prices = [price for xs, _ in curves for price in xs]
    profits = [profit for _, ys in curves for profit in ys] + [0.0]
    figure = plotille.Figure()
    figure.color_mode = "names"
    figure.with_colors = colours
    figure.width, figure.height = max(WIDTH_LEAST, width - 14), max(HEIGHT_LEAST, height)
    margin = (max(profits) - min(profits)) * 0.05 or 1.0
    figure.set_x_limits(min(prices), max(prices))
    figure.set_y_limits(min(profits) - margin, max(profits) + margin)
    figure.x_label, figure.y_label = str(payoff.get("underlying") or "price"), "profit, $"
    figure.register_label_formatter(float, _label)
    figure.plot([min(prices), max(prices)], [0.0, 0.0], lc="white" if colours else None)
    for number, (curve, (xs, ys)) in enumerate(zip(payoff["curves"], curves, strict=True)):
        colour = _COLOURS[number % len(_COLOURS)] if colours else None
        figure.plot(xs, ys, lc=colour, label=str(curve["label"]))
    marks = [float(price) for price in payoff["breakevens"]]
    if marks:
        figure.text(marks, [0.0] * len(marks), [_BREAKEVEN] * len(marks))
    shown = str(figure.show(legend=False))
    return "\n".join([shown, *_captions(payoff, [str(curve["label"]) for curve in payoff["curves"]])])


def draw_png(payoff: Mapping[str, Any], *, width_px: int = 1000, height_px: int = 600) -> bytes:
    """The same as PNG. Raises :class:`PictureUnavailable` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise PictureUnavailable("PNG pictures need matplotlib: pip install 'mbtd[pictures]'") from None
    dots = 100
    figure = Figure(figsize=(width_px / dots, height_px / dots), dpi=dots, layout="constrained")
    axes = figure.subplots()
    for curve in payoff["curves"]:
        xs, ys = _floats(curve)
        axes.plot(xs, ys, "--" if curve["theoretical"] else "-", label=str(curve["label"]))
    axes.axhline(0.0, color="0.5", linewidth=0.8)
    axes.axvline(float(payoff["spot"]), color="0.5", linewidth=0.8, linestyle=":")
    low, high = axes.get_ylim()
    for text in payoff["breakevens"]:
        axes.plot([float(text)], [0.0], "ko", markersize=4)
        axes.annotate(str(text), (float(text), (high - low) * 0.02), ha="center")
    axes.set_xlabel(f"{payoff.get('underlying', '')} $")
    axes.set_ylabel("profit $")
    axes.set_title("   ".join(_captions(payoff, [])))
    axes.legend()
    stream = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _captions(payoff: Mapping[str, Any], labels: list[str]) -> list[str]:
    breakevens = ", ".join(str(price) for price in payoff["breakevens"]) or "none"
    limits = [
        f"{name} {payoff[key] if payoff[key] is not None else 'unlimited'}"
        for name, key in (("max profit", "max_profit"), ("max loss", "max_loss"))
    ]
    curves = [f"curves: {', '.join(labels)}"] if labels else []
    if payoff["curves"] and payoff["curves"][0]["theoretical"]:
        limits.append("(closed at the first expiry, by the model)")
    if payoff.get("unpriced"):
        curves.append(
            f"no price tells the volatility of {', '.join(payoff['unpriced'])}: shown at what exercise pays"
        )
    return [*curves, f"spot {payoff['spot']}   breakeven {breakevens}   {'   '.join(limits)}"]


def _floats(curve: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    return [float(price) for price in curve["prices"]], [float(profit) for profit in curve["profits"]]


def _label(value: float, chars: int, delta: float, left: bool = False) -> str:
    text = f"{value:,.2f}" if abs(delta) < 10 else f"{value:,.0f}"
    return text.ljust(chars) if left else text.rjust(chars)
