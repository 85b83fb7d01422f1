"""From what power-grid-model wrote to a ``GridState``: one compiled pass, for it runs twice in every interval."""

import numpy as np
from numba import njit


@njit(cache=True)
def handed_over(p_gen_w, q_gen_var, p_specified, q_specified, u_pu):  # type: ignore[no-untyped-def]
    """Copy k scenarios of powers to the core's buffers and void its voltages; False where a power is not finite.

    What the core did not write must not pass for a result.
    """
    finite = True
    for row in range(p_gen_w.shape[0]):
        for i in range(p_gen_w.shape[1]):
            p_specified[row, i], q_specified[row, i] = p_gen_w[row, i], q_gen_var[row, i]
            finite &= np.isfinite(p_gen_w[row, i]) and np.isfinite(q_gen_var[row, i])
        for i in range(p_gen_w.shape[1], p_specified.shape[1]):  # a feeder without points has a stand-in
            p_specified[row, i], q_specified[row, i] = 0.0, 0.0
        for i in range(u_pu.shape[1]):
            u_pu[row, i] = np.nan
    return finite


@njit(cache=True, error_model="numpy")
def gathered(  # type: ignore[no-untyped-def]
    u_pu, loading, line_from_w, line_to_w, i_from_a, i_to_a, trafo_from_w, trafo_to_w, source_w, source_var,
    hv_percent_per_a, lv_percent_per_a, rated,
):  # fmt: skip
    """Arrays of k scenarios as the core writes them to those of a ``GridState``, in its own order.

    ``rated`` (n_line,): lines without a rating get NaN. A voltage that is not finite marks its row.
    """
    k, n_bus = u_pu.shape
    n_line, n_trafo = loading.shape[1], i_from_a.shape[1]
    v_pu, percent = np.empty((k, n_bus)), np.empty((k, n_line + n_trafo))
    branch_w = np.empty((k, n_line + n_trafo))
    slack_w, slack_var, loss_w = np.zeros(k), np.zeros(k), np.zeros(k)
    converged = np.empty(k, dtype=np.bool_)
    for row in range(k):
        total = 0.0
        for i in range(n_bus):
            v_pu[row, i] = u_pu[row, i]
            total += u_pu[row, i]
        converged[row] = np.isfinite(total)
        for i in range(n_line):
            percent[row, i] = 100.0 * loading[row, i] if rated[i] else np.nan
            branch_w[row, i] = line_from_w[row, i]
            loss_w[row] += line_from_w[row, i] + line_to_w[row, i]
        for i in range(n_trafo):
            high, low = i_from_a[row, i] * hv_percent_per_a[i], i_to_a[row, i] * lv_percent_per_a[i]
            percent[row, n_line + i] = np.maximum(high, low)  # NaN wins: it is never within a limit
            branch_w[row, n_line + i] = trafo_from_w[row, i]
            loss_w[row] += trafo_from_w[row, i] + trafo_to_w[row, i]
        for i in range(source_w.shape[1]):
            slack_w[row] += source_w[row, i]
            slack_var[row] += source_var[row, i]
    return v_pu, percent, branch_w, slack_w, slack_var, loss_w, converged
