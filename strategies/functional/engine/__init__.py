"""The look-ahead engine: kernel regression one label ahead, for every candidate at once.

Write S for the residual kernel after the labelled points L, and f for the predictions (method of the block
update, Mohamadi et al. 2022, eq. 12):

    S = K_UU - K_UL (K_LL + r I)^-1 K_LU,      f = f0 + K_UL (K_LL + r I)^-1 (Y_L - f0_L).

Adding candidate i with target y_i changes f by g (y_i - f[i]) with g = S[:, i] / (S[i, i] + r); once it is
accepted, S loses S[:, i] S[i, :] / (S[i, i] + r). So a round factorises once, and a pick is a pass over S.

A block (`cpu.Block`, `gpu.DeviceBlock`) holds the rows of S of some candidates (S is symmetric: a row is a column).
The greedy loop talks to one block or to several and finds the same picks, because every tile is computed alike
wherever it is and the corrections are elementwise.
"""
