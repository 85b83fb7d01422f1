"""The only points that a conformance run may write, by name; ``[]`` stands for the number of a set or a point.

Left out of the models named here: what opens a contactor (123 ``Conn``) or is grid protection (704 ``AntiIslEna``).
Models that are not named here are never written: ratings (702), entering service (703), trip curves (707 to 710) and
the commands of a device (715).
"""

import re

_SET = "Crv[].ActPt Crv[].DeptRef Crv[].Pri"
_CURVE = "Ena AdptCrvReq RvrtTms RvrtCrv"

TRIED: dict[int, frozenset[str]] = {
    model_id: frozenset(names.split())
    for model_id, names in {
        123: "WMaxLimPct WMaxLimPct_WinTms WMaxLimPct_RvrtTms WMaxLimPct_RmpTms WMaxLim_Ena OutPFSet OutPFSet_WinTms "
        "OutPFSet_RvrtTms OutPFSet_RmpTms OutPFSet_Ena VArWMaxPct VArMaxPct VArAvalPct VArPct_WinTms VArPct_RvrtTms "
        "VArPct_RmpTms VArPct_Mod VArPct_Ena",
        704: "PFWInjEna PFWInjEnaRvrt PFWInjRvrtTms PFWAbsEna PFWAbsEnaRvrt PFWAbsRvrtTms WMaxLimPctEna WMaxLimPct "
        "WMaxLimPctRvrt WMaxLimPctEnaRvrt WMaxLimPctRvrtTms WSetEna WSetMod WSet WSetRvrt WSetPct WSetPctRvrt "
        "WSetEnaRvrt WSetRvrtTms VarSetEna VarSetMod VarSetPri VarSet VarSetRvrt VarSetPct VarSetPctRvrt "
        "VarSetEnaRvrt VarSetRvrtTms WRmp WRmpRef VarRmp PFWInj.PF PFWInj.Ext PFWInjRvrt.PF PFWInjRvrt.Ext "
        "PFWAbs.PF PFWAbs.Ext PFWAbsRvrt.PF PFWAbsRvrt.Ext",
        705: f"{_CURVE} {_SET} Crv[].VRef Crv[].VRefAutoEna Crv[].VRefAutoTms Crv[].RspTms Crv[].Pt[].V Crv[].Pt[].Var",
        706: f"{_CURVE} {_SET} Crv[].RspTms Crv[].Pt[].V Crv[].Pt[].W",
        711: "Ena AdptCtlReq RvrtTms RvrtCtl Ctl[].DbOf Ctl[].DbUf Ctl[].KOf Ctl[].KUf Ctl[].RspTms Ctl[].PMin",
        712: f"{_CURVE} {_SET} Crv[].Pt[].W Crv[].Pt[].Var",
    }.items()
}
_REQUESTS = frozenset({"AdptCrvReq", "AdptCtlReq"})
_INDEX = re.compile(r"\[\d+\]")


def may_be_tried(model_id: int, name: str) -> bool:
    """Tell whether a conformance run may write a point."""
    return _INDEX.sub("[]", name) in TRIED.get(model_id, ())


def holds_a_setting(name: str) -> bool:
    """Tell whether a point holds something to put back; a request to adopt a set does not."""
    return name not in _REQUESTS
