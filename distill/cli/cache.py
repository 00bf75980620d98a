"""`distill cache`: what is stored."""

from __future__ import annotations

import click

from distill.errors import DistillError


@click.group()
def cache() -> None:
    """See and clear what is stored: teacher vectors, tokens and corpora."""


@cache.command("ls")
def cache_ls() -> None:
    """List the stores, largest first."""
    from distill.store import cache_root, list_stores

    stores = list_stores()
    for store in stores:
        what = store.identity.get("model") or store.identity.get("hub") or store.identity.get("files") or ""
        if isinstance(what, list):
            what = ", ".join(name for name, _ in what)
        click.echo(f"{store.id}  {store.kind:8}  {store.texts:>10,} texts  {store.bytes / 1e6:>9,.1f} MB  {what}")
    total = sum(store.bytes for store in stores)
    click.echo(f"{len(stores)} stores, {total / 1e6:,.1f} MB in {cache_root()}")


@cache.command("rm")
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Remove all stores.")
@click.option("--kind", type=click.Choice(["vectors", "tokens", "corpora"]), help="Remove all stores of one kind.")
def cache_rm(ids: tuple[str, ...], everything: bool, kind: str | None) -> None:
    """Remove stores by the IDS that `distill cache ls` shows (their beginnings will do)."""
    from distill.store import list_stores, remove_stores

    stores = list_stores()
    if not (ids or everything or kind):
        raise DistillError("distill cache rm", "nothing to remove", expected="ids, --kind or --all")
    for wanted in ids:
        if not any(store.id.startswith(wanted) for store in stores):
            raise DistillError(
                "distill cache rm", f"no store {wanted!r}", expected="an id that `distill cache ls` shows"
            )
    chosen = [s for s in stores if everything or s.kind == kind or any(s.id.startswith(i) for i in ids)]
    freed = remove_stores(chosen)
    click.echo(f"{len(chosen)} stores removed, {freed / 1e6:,.1f} MB freed")
