"""One causal answer to «why is it not done»: `explaining` gives it, of a task (`tasks`) or of a run (`runs`).

`offers` says what stands between READY tasks and runners, `causes` what pruned, skipped or failed something, up to the
first cause, `phrases` how such things are said.
"""
