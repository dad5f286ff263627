"""`emberd similarity`: how alike texts are."""

from __future__ import annotations

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.options import model_option
from emberd.cli.printing import print_json
from emberd.cli.pulling import ensure_model

__all__ = ["command"]


@click.command(cls=Command, name="similarity")
@click.argument("a", metavar="A")
@click.argument("others", metavar="B...", nargs=-1, required=True)
@model_option
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def command(app: App, a: str, others: tuple[str, ...], model: str | None, as_json: bool) -> None:
    """Say how alike texts are (cosine similarity).

    Prints the cosine of A with each B: 1 for equal texts, about 0 for unrelated ones.

    \b
    Examples:
      $ emberd similarity "a cat" "a kitten"
      $ emberd similarity "a cat" "a kitten" "a lorry" --json
    """
    ensure_model(app, model)
    with app.client(autostart=True) as client:
        scores = [float(score) for score in client.similarity([a], list(others), model=model)[0]]
    pairs = list(zip(others, scores, strict=True))
    if as_json:
        print_json({"a": a, "scores": [{"b": b, "score": score} for b, score in pairs]})
    elif len(pairs) == 1:
        click.echo(f"{scores[0]:.4f}")
    else:
        click.echo("\n".join(f"{score:7.4f}  {b}" for b, score in pairs))
