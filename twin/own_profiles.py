"""Which profile each connection point and each PV plant of the case follows; what had to be chosen is noted."""

from dataclasses import replace

from adapters.grid.feeder import CaseAsset, Feeder
from twin.profiles import Table
from twin.streams import stream


def with_profiles(feeder: Feeder, table: Table, seed: int) -> Feeder:
    """Give every connection point a load profile (its own by name, that of the case, or one drawn by the seed) and
    every PV plant of the case its own by name, that of the case, or the table's first.
    """
    points = []
    drawn = 0
    for point in feeder.points:
        if point.name in table.names:
            profile = point.name
        elif point.profile in table.names:
            profile = point.profile or ""
        else:
            profile = table.names[int(stream(seed, point.name, "profile").integers(len(table.names)))]
            drawn += 1
        points.append(replace(point, profile=profile))
    notes = list(feeder.notes)
    if drawn:
        notes.append(f"{drawn} connection points have no profile of their own; one was drawn with the seed.")
    assets = [_with_pv_profile(asset, table.pv_names) for asset in feeder.assets]
    guessed = sum(
        new.profile not in (old.profile, new.name) for new, old in zip(assets, feeder.assets, strict=True)
    )
    if guessed:
        notes.append(
            f"{guessed} PV plants of the case have no profile of their own; {table.pv_names[0]} is used."
        )
    return replace(feeder, points=tuple(points), assets=tuple(assets), notes=tuple(notes))


def _with_pv_profile(asset: CaseAsset, pv_names: tuple[str, ...]) -> CaseAsset:
    if asset.kind != "pv" or not pv_names or (asset.profile in pv_names and asset.name not in pv_names):
        return asset
    return replace(asset, profile=asset.name if asset.name in pv_names else pv_names[0])
